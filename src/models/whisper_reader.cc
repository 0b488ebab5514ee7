#include "models/whisper_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "models/gguf_types.h"
#include "models/limits.h"
#include "models/whisper_shape.h"

namespace gantry::models {
namespace {

constexpr uint32_t kMagic = 0x67676d6c;         // "ggml", as a number
constexpr uint64_t kFiltersMax = 1u << 20;      // values
constexpr uint64_t kTokenBytesMax = 4096;
constexpr uint64_t kTensorsMax = 20'000;
constexpr uint64_t kNameMax = 256;
constexpr int32_t kFactor = 1000;               // ftype also says how its types were quantised

// The numbers at the file's beginning, in their order.
enum Head {
    kVocabulary, kAudioContext, kAudioWidth, kAudioHeads, kAudioLayers, kTextContext, kTextWidth, kTextHeads, kTextLayers, kMels, kType, kHeads
};

// Walks the file front to back; after the first failure every read gives 0 and nothing is read any more.
class Walk {
public:
    explicit Walk(const ByteSource& source) : source_(source) {}
    bool failed() const { return failed_; }
    bool at_end() const { return at_ == source_.size; }
    int32_t number() {
        std::array<char, 4> bytes{};
        int32_t out = 0;
        if (take(bytes.data(), bytes.size())) std::memcpy(&out, bytes.data(), sizeof out);
        return out;
    }
    // A number from 1 to `most`; another fails.
    uint64_t count(uint64_t most) {
        const int32_t value = number();
        if (value < 1 || static_cast<uint64_t>(value) > most) failed_ = true;
        return failed_ ? 0 : static_cast<uint64_t>(value);
    }
    void skip(uint64_t bytes) {
        if (failed_ || bytes > source_.size - at_) failed_ = true;
        else at_ += bytes;
    }

private:
    // Through a buffer: a vocabulary is read in pieces of a few bytes.
    bool take(char* out, size_t bytes) {
        if (failed_ || bytes > source_.size - at_) return fail();
        if (at_ < begin_ || at_ + bytes > begin_ + filled_) {
            begin_ = at_;
            filled_ = static_cast<size_t>(std::min<uint64_t>(buffer_.size(), source_.size - at_));
            if (!source_.read(begin_, buffer_.data(), filled_)) return fail();
        }
        std::memcpy(out, buffer_.data() + (at_ - begin_), bytes);
        at_ += bytes;
        return true;
    }
    bool fail() {
        failed_ = true;
        return false;
    }

    const ByteSource& source_;
    uint64_t at_ = 0;
    bool failed_ = false;
    std::array<char, 16 * 1024> buffer_{};
    uint64_t begin_ = 0;
    size_t filled_ = 0;
};

struct Tensors {
    uint64_t count = 0, parameters = 0, bytes = 0;
    std::map<std::string, uint64_t> bytes_of_type{};
};

// One tensor's head and its data; what is wrong, or empty.
std::string walk_tensor(Walk& walk, Tensors& out) {
    const uint64_t dimensions = walk.count(4);
    const uint64_t name = walk.count(kNameMax);
    const TensorType& type = tensor_type(static_cast<uint32_t>(walk.number()));
    if (walk.failed() || type.name == nullptr) return "a tensor's head is damaged";
    uint64_t elements = 1, row = 1;
    for (uint64_t i = 0; i < dimensions; ++i) {
        const uint64_t length = walk.count(kWidthMax);
        if (walk.failed() || elements > (1ull << 40) / length) return "a tensor is larger than any";
        elements *= length;
        if (i == 0) row = length;
    }
    if (row % type.block_elements != 0) return "a tensor's rows don't fit its type";
    const uint64_t bytes = elements / type.block_elements * type.block_bytes;
    walk.skip(name);
    walk.skip(bytes);
    if (walk.failed()) return "it ends within a tensor";
    out.parameters += elements;
    out.bytes += bytes;
    out.bytes_of_type[type.name] += bytes;
    return {};
}

// The head and the vocabulary; `walk` then stands before the first tensor.
struct Beginning {
    WhisperShape shape{};
    int32_t type = 0;
};
Result<Beginning> read_beginning(Walk& walk) {
    walk.skip(sizeof kMagic);
    std::array<uint64_t, kHeads> head{};
    constexpr std::array<uint64_t, kHeads - 1> kMost = {kVocabularyMax, kContextMax >> 10, kWidthMax >> 6, 1024, 256,
                                                       kContextMax >> 10, kWidthMax >> 6, 1024, 256, 1024};
    for (size_t i = 0; i < kMost.size(); ++i) head[i] = walk.count(kMost[i]);
    Beginning out;
    out.type = walk.number();
    const uint64_t mels = walk.count(1024), bins = walk.count(kFiltersMax / 1024);
    if (walk.failed()) return invalid_model("it is none of whisper.cpp's: a number in its head is out of range");
    if (mels != head[kMels] || head[kAudioWidth] % head[kAudioHeads] != 0 || head[kTextWidth] % head[kTextHeads] != 0) {
        return invalid_model("the numbers in its head contradict each other");
    }
    walk.skip(mels * bins * sizeof(float));
    const uint64_t words = walk.count(kVocabularyMax);
    for (uint64_t i = 0; i < words && !walk.failed(); ++i) {
        const int32_t length = walk.number();
        if (length < 0 || static_cast<uint64_t>(length) > kTokenBytesMax) return invalid_model("a word of its vocabulary is damaged");
        walk.skip(static_cast<uint64_t>(length));
    }
    if (walk.failed() || words > head[kVocabulary]) return invalid_model("its vocabulary is damaged");
    out.shape = {.vocabulary = head[kVocabulary], .mels = mels, .audio_context = head[kAudioContext], .audio_width = head[kAudioWidth],
                 .audio_layers = head[kAudioLayers], .text_context = head[kTextContext], .text_width = head[kTextWidth],
                 .text_heads = head[kTextHeads], .text_layers = head[kTextLayers]};
    return out;
}

// ggml_ftype, as whisper.cpp's quantizer takes it, as the type of its matrices.
std::string type_of_file(int32_t type) {
    constexpr std::array<uint32_t, 10> kIds = {0, 1, 2, 3, 1, 1, 1, 8, 6, 7};
    type %= kFactor;
    return tensor_type(type >= 0 && type < static_cast<int32_t>(kIds.size()) ? kIds[static_cast<size_t>(type)] : 1).name;
}

}  // namespace

bool is_whisper_name(const std::string& path) {
    const std::string name = path.substr(path.rfind('/') + 1);
    return name.starts_with("ggml-") && name.ends_with(".bin");
}

bool is_whisper(const ByteSource& source) {
    uint32_t magic = 0;
    std::array<char, sizeof magic> bytes{};
    if (source.size < bytes.size() || !source.read(0, bytes.data(), bytes.size())) return false;
    std::memcpy(&magic, bytes.data(), sizeof magic);
    return magic == kMagic;
}

Status check_whisper(const std::string& name, const ByteSource& source) {
    if (is_whisper(source)) return Ok{};
    return invalid_argument(fmt::format("{} does not begin as whisper.cpp's files do: it may be pickled, and hold code that runs when it is "
                                        "loaded, so it is not taken; take GGUF or safetensors",
                                        shown(name)),
                            "source", "unsafe_file");
}

Result<ModelMeta> read_whisper(const ByteSource& source) {
    Walk walk(source);
    const auto beginning = read_beginning(walk);
    if (!beginning) return beginning.error();
    Tensors tensors;
    while (!walk.at_end()) {
        if (++tensors.count > kTensorsMax) return invalid_model("it has more tensors than any");
        if (const std::string wrong = walk_tensor(walk, tensors); !wrong.empty()) return invalid_model(wrong);
    }
    if (tensors.count == 0) return invalid_model("it holds no weights");
    auto meta = whisper_meta(beginning->shape, "F16");
    if (!meta) return meta;
    const auto most = std::max_element(tensors.bytes_of_type.begin(), tensors.bytes_of_type.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    meta->quantization = quantization_name(most->first, static_cast<uint64_t>(std::max(beginning->type % kFactor, 0)));
    meta->parameter_count = tensors.parameters;
    meta->file_bytes = source.size;
    meta->weights = {};
    meta->weights.layers.assign(meta->layers, 0);
    meta->weights.other = tensors.bytes;
    meta->bytes_of_type = std::move(tensors.bytes_of_type);
    return meta;
}

Result<ModelMeta> read_whisper_head(const ByteSource& source) {
    Walk walk(source);
    const auto beginning = read_beginning(walk);
    if (!beginning) return beginning.error();
    auto meta = whisper_meta(beginning->shape, type_of_file(beginning->type));
    if (!meta) return invalid_model("its weights' type does not fit their width");
    if (meta->weights.total() > source.size) return invalid_model("it is smaller than the weights that its head promises");
    meta->file_bytes = source.size;
    return meta;
}

}  // namespace gantry::models
