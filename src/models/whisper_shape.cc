#include "models/whisper_shape.h"

#include <fmt/format.h>

#include <array>

#include "models/config_fields.h"
#include "models/gguf_types.h"
#include "models/limits.h"
#include "models/model_file.h"
#include "models/weight_tally.h"

namespace gantry::models {
namespace {

constexpr uint64_t kConvolution = 3;       // steps that a convolution sees
constexpr uint64_t kFilterBins = 201;      // of a mel filter, 32-bit
constexpr uint64_t kWordBytes = 10;        // of the vocabulary: its length and it, on average
constexpr uint64_t kTensorHeadBytes = 50;  // numbers, dimensions and a name, on average

// ggml's types that whisper.cpp makes files of.
const TensorType* file_type(const std::string& name) {
    constexpr std::array<uint32_t, 7> kIds = {0, 1, 2, 3, 6, 7, 8};   // F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
    for (const uint32_t id : kIds) {
        if (tensor_type(id).name == name) return &tensor_type(id);
    }
    return nullptr;
}

class Tensors {
public:
    Tensors(const WhisperShape& shape, const TensorType& type) : shape_(shape), type_(type) {}

    WeightTally all() {
        const uint64_t wide = shape_.audio_width;
        plain({Place::kOther}, shape_.audio_context * wide + 2 * wide + 2 * wide);   // positions, the convolutions' biases, a norm
        convolution(shape_.mels, wide);
        convolution(wide, wide);
        for (uint64_t i = 0; i < shape_.audio_layers; ++i) layer({Place::kOther}, wide, 1);
        plain({Place::kEmbedding}, shape_.text_context * shape_.text_width);
        matrix({Place::kEmbedding}, shape_.text_width, shape_.vocabulary);
        plain({Place::kOutput}, 2 * shape_.text_width);
        for (uint64_t i = 0; i < shape_.text_layers; ++i) layer({Place::kLayer, static_cast<uint32_t>(i)}, shape_.text_width, 2);
        return std::move(tally_);
    }
    uint64_t count() const { return 11 + 15 * shape_.audio_layers + 24 * shape_.text_layers; }

private:
    // Attention, of the decoder once more over what was heard, each with a norm and biases but of the keys; then the network's two matrices.
    void layer(TensorPlace place, uint64_t width, uint64_t attentions) {
        for (uint64_t i = 0; i < attentions; ++i) matrix(place, width, 4 * width);
        plain(place, attentions * (2 + 3) * width);
        matrix(place, width, 4 * width);
        matrix(place, 4 * width, width);
        plain(place, (2 + 4 + 1) * width);
    }
    void matrix(TensorPlace place, uint64_t columns, uint64_t rows) {
        tally_.add(place, type_.name, columns * rows, columns * rows / type_.block_elements * type_.block_bytes);
    }
    void convolution(uint64_t from, uint64_t to) {   // never quantized
        const TensorType& type = type_.block_elements > 1 ? tensor_type(1) : type_;
        tally_.add({Place::kOther}, type.name, kConvolution * from * to, kConvolution * from * to * type.block_bytes);
    }
    void plain(TensorPlace place, uint64_t values) { tally_.add(place, "F32", values, values * 4); }

    const WhisperShape& shape_;
    const TensorType& type_;
    WeightTally tally_;
};

}  // namespace

Result<ModelMeta> whisper_meta(const WhisperShape& shape, const std::string& type) {
    const TensorType* const matrices = file_type(type);
    const bool fits = matrices != nullptr && shape.audio_width % matrices->block_elements == 0 && shape.text_width % matrices->block_elements == 0;
    if (!fits) return invalid_argument(fmt::format("there is no Whisper file of whisper.cpp with weights of the type {}", shown(type)));
    const WeightTally tally = Tensors(shape, *matrices).all();
    ModelMeta meta;
    meta.format = "ggml";
    meta.architecture = "whisper";
    meta.modality = "transcription";
    meta.quantization = type;
    meta.parameter_count = tally.parameters();
    meta.layers = static_cast<uint32_t>(shape.text_layers);
    meta.context_length = static_cast<uint32_t>(shape.text_context);
    meta.embedding_length = static_cast<uint32_t>(shape.text_width);
    meta.feed_forward_length = 4 * meta.embedding_length;
    meta.heads = meta.heads_kv = static_cast<uint32_t>(shape.text_heads);
    meta.vocabulary = static_cast<uint32_t>(shape.vocabulary);
    meta.weights = tally.by_place(meta.layers);
    meta.bytes_of_type = tally.bytes_of_type();
    return meta;
}

Result<ModelMeta> whisper_of_config(const json::object& config, const std::string& type) {
    Fields fields(config);
    if (fields.text("model_type") != "whisper") return invalid_argument("its config.json is of no Whisper model");
    WhisperShape shape;
    shape.vocabulary = fields.number({"vocab_size"}, kVocabularyMax);
    shape.mels = fields.number({"num_mel_bins"}, 1024, 80);
    shape.audio_context = fields.number({"max_source_positions"}, kContextMax >> 10, 1500);
    shape.text_context = fields.number({"max_target_positions"}, kContextMax >> 10, 448);
    shape.audio_width = shape.text_width = fields.number({"d_model"}, kWidthMax >> 6);
    shape.audio_layers = fields.number({"encoder_layers"}, 256);
    shape.text_layers = fields.number({"decoder_layers"}, 256);
    shape.text_heads = fields.number({"decoder_attention_heads"}, 1024);
    if (!fields.problem().empty()) return invalid_model("config.json: " + fields.problem());
    if (shape.vocabulary == 0 || shape.audio_width == 0 || shape.audio_layers == 0 || shape.text_layers == 0 || shape.text_heads == 0) {
        return invalid_model("config.json: a number of its shape is missing");
    }
    auto meta = whisper_meta(shape, type);
    if (!meta) return meta;
    const uint64_t others = shape.mels * kFilterBins * 4 + shape.vocabulary * kWordBytes + Tensors(shape, tensor_type(0)).count() * kTensorHeadBytes;
    meta->file_bytes = meta->weights.total() + others;
    return meta;
}

}  // namespace gantry::models
