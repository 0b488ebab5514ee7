#include "models/gguf_shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/limits.h"

namespace gantry::models {
namespace {

bool read_heads(Hyperparameters& numbers, bool none_possible, ModelMeta& meta) {
    const bool taken = numbers.take("attention.head_count", kHeadsMax, none_possible, meta.heads) &&
                       numbers.take("attention.head_count_kv", kHeadsMax, none_possible, meta.heads_kv) &&
                       numbers.take("attention.key_length", kWidthMax, none_possible, meta.key_length) &&
                       numbers.take("attention.value_length", kWidthMax, none_possible, meta.value_length);
    if (!taken) return false;
    if (meta.heads_kv == 0 && !none_possible) meta.heads_kv = meta.heads;  // the format's default
    if (meta.heads_kv > meta.heads) {
        return numbers.fail(fmt::format("it has more key-value heads ({}) than heads ({})", meta.heads_kv, meta.heads));
    }
    if (meta.heads > 0 && meta.key_length == 0 && meta.embedding_length > 0 && meta.heads > meta.embedding_length) {
        return numbers.fail(fmt::format("{} heads do not fit into an embedding of {}", meta.heads, meta.embedding_length));
    }
    if (const auto* each = numbers.of_layers("attention.head_count_kv", meta.layers)) {
        if (std::any_of(each->begin(), each->end(), [&](uint64_t n) { return n != each->front(); })) {
            meta.layer_heads_kv.assign(each->begin(), each->end());  // none is over the largest, which was taken above
        }
    }
    return !numbers.failed();
}

}  // namespace

bool read_shape(Hyperparameters& numbers, const Values& values, ModelMeta& meta) {
    // State-space models have no attention heads, or none in some layers, and their files say 0.
    const bool no_heads = numbers.has_prefix("ssm.") || numbers.has_prefix("wkv.") || numbers.has_prefix("shortconv.") ||
                          numbers.has_prefix("kda.");
    const bool taken = numbers.take("block_count", kLayersMax, false, meta.layers) &&
                       numbers.take("context_length", kContextMax, false, meta.context_length) &&
                       numbers.take("embedding_length", kWidthMax, false, meta.embedding_length) &&
                       numbers.take("feed_forward_length", kWidthMax, true, meta.feed_forward_length) &&
                       numbers.take("expert_count", kExpertsMax, true, meta.experts) &&
                       numbers.take("expert_used_count", kExpertsMax, true, meta.experts_used) &&
                       numbers.take("vision.attention.head_count", kHeadsMax, true, meta.vision_heads) &&
                       numbers.take("vocab_size", kStringsMax, true, meta.vocabulary) && read_heads(numbers, no_heads, meta);
    if (!taken) return false;
    const auto tokens = values.find("tokenizer.ggml.tokens");
    if (tokens != values.end() && tokens->second.array) {
        meta.vocabulary = static_cast<uint32_t>(std::min(tokens->second.count, kStringsMax));
    }
    return true;
}

bool read_tower(Hyperparameters& numbers, const Values& values, ModelMeta& meta) {
    if (meta.architecture != "clip") return true;
    // By the keys of llama.cpp's tools/mtmd/clip-impl.h; a file with sound beside names each one's projector.
    VisionTower& tower = meta.tower;
    std::string projector;
    if (text_of(values, "clip.vision.projector_type", projector) || text_of(values, "clip.projector_type", projector)) {
        tower.projector = shown(projector);
    }
    uint32_t pixels = 0;
    const bool taken = numbers.take("vision.embedding_length", kWidthMax, true, tower.embedding_length) &&
                       numbers.take("vision.feed_forward_length", kWidthMax, true, tower.feed_forward_length) &&
                       numbers.take("vision.projection_dim", kWidthMax, true, tower.projection_length) &&
                       numbers.take("vision.image_size", kPictureSideMax, true, tower.image_side) &&
                       numbers.take("vision.patch_size", kPictureSideMax, true, tower.patch_side) &&
                       numbers.take("vision.projector.scale_factor", kPictureSideMax, true, tower.merged_side) &&
                       numbers.take("vision.spatial_merge_size", kPictureSideMax, true, tower.merged_side) &&
                       numbers.take("vision.image_max_pixels", kPicturePixelsMax, true, pixels);
    tower.image_pixels_max = pixels;
    return taken;
}

}  // namespace gantry::models
