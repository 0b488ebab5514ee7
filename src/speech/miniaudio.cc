// miniaudio's decoders (third_party/sources.txt: in llama.cpp's vendor folder), and nothing else of it.

#define MINIAUDIO_IMPLEMENTATION
#define MA_NO_DEVICE_IO
#define MA_NO_ENCODING
#define MA_NO_ENGINE
#define MA_NO_GENERATION
#define MA_NO_NODE_GRAPH
#define MA_NO_RESOURCE_MANAGER
#define MA_NO_THREADING
#define MA_API static
#include "miniaudio/miniaudio.h"

#include "speech/audio.h"

namespace gantry::speech {
namespace {

constexpr uint64_t kFramesAtOnce = 1u << 15;

Error no_recording(const char* why) {
    return invalid_argument(std::string("'file' is no recording that can be read: ") + why + ". Send wav, flac or mp3.", "file");
}

struct Decoder {
    ma_decoder it{};
    bool open = false;
    ~Decoder() {
        if (open) ma_decoder_uninit(&it);
    }
};

}  // namespace

Result<std::vector<float>> decode_recording(std::string_view bytes, const std::atomic<bool>& cancelled, uint32_t seconds_max) {
    const ma_decoder_config config = ma_decoder_config_init(ma_format_f32, 1, kSampleRate);
    Decoder decoder;
    decoder.open = ma_decoder_init_memory(bytes.data(), bytes.size(), &config, &decoder.it) == MA_SUCCESS;
    if (!decoder.open) return no_recording("its format is unknown, or it is damaged");
    const uint64_t most = uint64_t{seconds_max} * kSampleRate;
    std::vector<float> samples;
    for (;;) {
        if (cancelled) return Error{ErrorCode::kCancelled, "the client left", {}, {}};
        const size_t before = samples.size();
        samples.resize(before + kFramesAtOnce);
        ma_uint64 read = 0;
        const ma_result result = ma_decoder_read_pcm_frames(&decoder.it, samples.data() + before, kFramesAtOnce, &read);
        samples.resize(before + static_cast<size_t>(read));
        if (samples.size() > most) {
            return Error{ErrorCode::kTooLarge, "The recording is longer than " + std::to_string(seconds_max) + " s: send it in pieces.", "file", {}};
        }
        if (result != MA_SUCCESS || read == 0) break;
    }
    if (samples.empty()) return no_recording("it holds no sound");
    for (float& sample : samples) {
        if (!(sample >= -8.0F && sample <= 8.0F)) sample = 0;   // wav may hold any float, and no number, too
    }
    return samples;
}

}  // namespace gantry::speech
