// Whisper in the embedded engine, by whisper.cpp's allocations (whisper_init_state) and what a recording takes. Not calibrated.

#include <fmt/format.h>

#include "placement/estimates/overheads.h"
#include "placement/estimates/sum.h"

namespace gantry::placement {
namespace {

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kProcessBytes = 24 * kMiB;
constexpr uint64_t kAudioCells = 1536;              // 30 s in 1,500 steps, padded to 256
constexpr uint64_t kTextCells = 512 * 3;            // 448 tokens padded, with room for the decoders of a fallback
constexpr uint64_t kCacheValueBytes = 2;            // f16
constexpr uint64_t kRecordingSeconds = 3'600;       // speech::kRecordingSecondsMax
constexpr uint64_t kSecondBytes = 16'000 * 4 * 3 / 2 + 100 * 128 * 4;   // its samples, and while they grow; 128 mels of 100 frames
constexpr uint64_t kUploadBytes = 64 * kMiB;        // that may wait: speech::TranscriberLimits

}  // namespace

Estimate estimate_whisper(const ModelMeta& meta, const Shape& shape) {
    const bool devices = shape.vendor != "cpu";
    Sum sum(shape.ranks, devices);
    if (meta.file_bytes == 0) sum.unknown("bytes of the weights");
    const uint64_t width = meta.embedding_length;
    const uint64_t cells = kAudioCells + kTextCells;
    const uint64_t cache = 2 * uint64_t{meta.layers} * width * cells * kCacheValueBytes;
    const std::string cache_formula = fmt::format("2 x {} layers x {} cells x {} x 2 B", meta.layers, grouped(cells), width);
    // An encoder's step: scores of all heads where there is no flash attention, else some rows as wide as the feed-forward.
    const uint64_t compute = kAudioCells * 4 * (4 * width * 4 + 2 * width) + uint64_t{meta.vocabulary} * 4 * 5;
    const std::string compute_formula = fmt::format("{} steps of 30 s x 18 x {} x 4 B, and rows of the vocabulary", kAudioCells, width);
    if (devices) {
        sum.each_device("weights", meta.file_bytes, "the file");
        sum.each_device("kv_cache", cache, cache_formula);
        sum.each_device("compute", compute, compute_formula);
        sum.each_device("runtime", device_overhead(shape.vendor).context_bytes, "the driver's context and libraries");
    } else {
        sum.memory("weights", meta.file_bytes, "the file");
        sum.memory("kv_cache", cache, cache_formula);
        sum.memory("compute", compute, compute_formula);
    }
    sum.memory("recording", kRecordingSeconds * kSecondBytes, fmt::format("{} s x {} B", grouped(kRecordingSeconds), grouped(kSecondBytes)));
    sum.memory("uploads", kUploadBytes, "recordings that wait");
    sum.memory("runtime", kProcessBytes + (devices ? device_overhead(shape.vendor).host_bytes : 0), "process");
    return sum.done(0);
}

}  // namespace gantry::placement
