// Whisper in the embedded engine. The terms are what whisper.cpp allocates (pinned tree, src/whisper.cpp: whisper_init_state,
// whisper_full_with_state, log_mel_spectrogram) and what a recording takes on its way to it (speech/transcriber.cc). estimate_test.cc holds
// them against what was resident at most (VmHWM).

#include <fmt/format.h>

#include "placement/estimates/overheads.h"
#include "placement/estimates/sum.h"

namespace gantry::placement {
namespace {

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kProcessBytes = 48 * kMiB;       // program, libraries, what the heap keeps of what was freed
constexpr uint64_t kWordBytes = 200;                // of the vocabulary, which is there by number and by text
constexpr uint64_t kAudioCells = 1536;              // 30 s in 1,500 steps, padded to 256
constexpr uint64_t kDecoders = 5;                   // that try again together where the first try reads badly
constexpr uint64_t kTextCells = 512 * (kDecoders + 2);   // 448 tokens, padded; made anew with that factor for the decoders
constexpr uint64_t kCacheValueBytes = 2;            // f16
constexpr uint64_t kPromptRows = 448 / 2 + 4;       // of logits that are computed at once: half the context may be a prompt
constexpr uint64_t kDecoderWordBytes = 3 * 4 + 16;  // probabilities, logits, their logarithms, and the order of them
constexpr uint64_t kRecordingSeconds = 3'600;       // speech::kRecordingSecondsMax
constexpr uint64_t kSamplesBytes = 16'000 * 4;      // of a second: as decoded, and padded once more while its mels are made
constexpr uint64_t kMelFrames = 100;                // of a second
constexpr uint64_t kUploadBytes = (64 + 2 * 26) * kMiB;   // that may wait (speech::TranscriberLimits), and the largest twice as it comes in
constexpr uint32_t kWordsBeforeV3 = 51'865;         // whisper.cpp tells large-v3 and turbo, which hear 128 mels, by one language more

// Cells of the text, of what was heard, and of one layer of the encoder's padding.
uint64_t cache_bytes(const ModelMeta& meta) {
    return 2 * kCacheValueBytes * meta.embedding_length * (uint64_t{meta.layers} * (kTextCells + kAudioCells) + kAudioCells);
}

}  // namespace

Estimate estimate_whisper(const ModelMeta& meta, const Shape& shape) {
    const bool devices = shape.vendor != "cpu";
    Sum sum(shape.ranks, devices);
    if (meta.file_bytes == 0) sum.unknown("bytes of the weights");
    const uint64_t width = meta.embedding_length, words = meta.vocabulary;
    const uint64_t rows = kPromptRows * words * 4;
    const std::string rows_formula = fmt::format("{} rows x {} words x 4 B", kPromptRows, grouped(words));
    const std::string cache_formula = fmt::format("2 x 2 B x {} x ({} layers x ({} + {} cells) + {})", width, meta.layers, grouped(kTextCells),
                                                  grouped(kAudioCells), grouped(kAudioCells));
    // An encoder's step: some rows as wide as the feed-forward; the decoder's prompt.
    const uint64_t compute = kAudioCells * 18 * width * 4 + rows;
    const std::string compute_formula = fmt::format("{} steps of 30 s x 18 x {} x 4 B + {}", grouped(kAudioCells), width, rows_formula);
    const auto here = [&](const char* name, uint64_t bytes, const std::string& formula) {
        devices ? sum.each_device(name, bytes, formula) : sum.memory(name, bytes, formula);
    };
    here("weights", meta.file_bytes, "the file");
    here("kv_cache", cache_bytes(meta), cache_formula);
    here("compute", compute, compute_formula);
    if (devices) sum.each_device("runtime", device_overhead(shape.vendor).context_bytes, "the driver's context and libraries");
    sum.memory("logits", rows + kDecoders * words * kDecoderWordBytes,
               fmt::format("{} + {} decoders x {} words x {} B", rows_formula, kDecoders, grouped(words), kDecoderWordBytes));
    const uint64_t mels = words > kWordsBeforeV3 ? 128 : 80, second = 2 * kSamplesBytes + mels * kMelFrames * 4;
    sum.memory("recording", kRecordingSeconds * second,
               fmt::format("{} s x (2 x {} B of samples + {} frames x {} mels x 4 B)", grouped(kRecordingSeconds), grouped(kSamplesBytes),
                           kMelFrames, mels));
    sum.memory("uploads", kUploadBytes, "recordings that wait: 64 MiB, and 26 MiB twice while they come in");
    sum.memory("runtime", kProcessBytes + words * kWordBytes + (devices ? device_overhead(shape.vendor).host_bytes : 0),
               fmt::format("process, and {} words x {} B", grouped(words), kWordBytes));
    return sum.done(0);
}

}  // namespace gantry::placement
