#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "placement/estimates/sum.h"

namespace gantry::placement {
namespace {

using testing::Contains;
using testing::HasSubstr;

// What tools/models/synthetic_tower.py writes.
VisionTower synthetic() {
    return {.projector = "mlp", .embedding_length = 64, .feed_forward_length = 128, .projection_length = 576, .image_side = 64,
            .patch_side = 16, .merged_side = 2, .image_pixels_max = 0, .gated = false};
}

VisionTower qwen(const char* projector) {
    return {.projector = projector, .embedding_length = 1280, .feed_forward_length = 3420, .projection_length = 2048, .image_side = 560,
            .patch_side = 14, .merged_side = 2, .image_pixels_max = 0, .gated = true};
}

uint64_t compute(const VisionTower& tower, std::vector<std::string> flags = {}) {
    BackendOptions options;
    options.extra_args = std::move(flags);
    const auto bytes = picture_bytes(tower, options);
    return bytes ? bytes->compute : 0;
}

TEST(PictureBytes, AreThoseOfThePatchesOfAPictureAsLargeAsTheFileSays) {
    const auto bytes = picture_bytes(synthetic(), {});
    ASSERT_TRUE(bytes);
    // 16 patches; of all phases the projector is the largest of so small a tower: what comes in, and twice the width of the model.
    EXPECT_EQ(bytes->compute, 12u * 64 * 64 + 4u * 16 * 64 + 8u * 16 * 576);
    EXPECT_EQ(bytes->memory, 15u * 64 * 64 + 4u * 16 * 576) << "a patch is a token, whatever the file says of merging";
    EXPECT_THAT(bytes->formula, HasSubstr("4,096 pixels in 16 patches"));
    VisionTower wide = synthetic();
    wide.embedding_length = 1024;
    wide.feed_forward_length = 4096;
    EXPECT_EQ(compute(wide), 12u * 64 * 64 + 4u * 16 * (3 * 1024 + 4096));
    wide.gated = true;
    EXPECT_EQ(compute(wide), 12u * 64 * 64 + 4u * 16 * (3 * 1024 + 2 * 4096));
}

// What llama-server of the pinned tree logs for towers of random weights of these sizes (reserve_compute_meta, in MiB).
TEST(PictureBytes, AreWhatLlamaServerSaysToAPercent) {
    VisionTower tower = synthetic();
    tower.embedding_length = 1024;   // as CLIP's ViT-L/14 at 336
    tower.feed_forward_length = 4096;
    tower.image_side = 336;
    tower.patch_side = 14;
    EXPECT_NEAR(static_cast<double>(compute(tower)) / (1 << 20), 17.05, 0.17);
    tower.embedding_length = 1152;   // as SigLIP at 896
    tower.feed_forward_length = 4304;
    tower.image_side = 896;
    EXPECT_NEAR(static_cast<double>(compute(tower)) / (1 << 20), 130.47, 1.3);
}

TEST(PictureBytes, OfAnySizeGrowToTheTokensThatTheProjectorTakes) {
    const uint64_t pixels = 4096ull * 28 * 28, patches = 4096 * 4;
    EXPECT_EQ(compute(qwen("qwen2vl_merger")), 12 * pixels + 4 * patches * (3 * 1280 + 2 * 3420));
    EXPECT_EQ(compute(qwen("qwen2.5vl_merger")), compute(qwen("qwen2vl_merger")) + 6 * patches * patches) << "a mask of windows";
    EXPECT_EQ(compute(qwen("qwen2vl_merger"), {"--image-max-tokens", "1024"}), compute(qwen("qwen2vl_merger")) / 4);
    EXPECT_EQ(compute(synthetic(), {"--image-max-tokens", "1024"}), compute(synthetic())) << "its pictures have one size";
    VisionTower said = qwen("dots_ocr");
    said.image_pixels_max = pixels / 2;
    EXPECT_EQ(compute(said), compute(qwen("qwen2vl_merger")) / 2) << "as many pixels as the file says";
}

TEST(PictureBytes, OfSeveralAtOnceAreOfSeveral) {
    VisionTower tower{.projector = "internvl", .embedding_length = 1024, .feed_forward_length = 4096, .projection_length = 2048, .image_side = 448,
                      .patch_side = 14, .merged_side = 2, .image_pixels_max = 0, .gated = false};
    const uint64_t four = compute(tower);   // 256 tokens each
    EXPECT_EQ(compute(tower, {"--mtmd-batch-max-tokens", "256"}), four / 4);
    EXPECT_EQ(compute(tower, {"--mtmd-batch-max-tokens", "1"}), four / 4) << "one at least";
    tower.projector = "another";
    EXPECT_EQ(compute(tower), four / 4);
}

TEST(PictureBytes, WhatTheFileDoesNotSayIsUnknownAndNonsenseEndsAtTooMuch) {
    EXPECT_FALSE(picture_bytes({}, {}));
    VisionTower tower = synthetic();
    tower.patch_side = 0;
    EXPECT_FALSE(picture_bytes(tower, {}));
    tower = {.projector = "qwen2.5vl_merger", .embedding_length = UINT32_MAX, .feed_forward_length = UINT32_MAX, .projection_length = UINT32_MAX,
             .image_side = UINT32_MAX, .patch_side = UINT32_MAX, .merged_side = UINT32_MAX, .image_pixels_max = UINT64_MAX, .gated = true};
    ASSERT_TRUE(picture_bytes(tower, {}));
    EXPECT_LE(picture_bytes(tower, {})->compute, kTooMuch);
}

TEST(PictureBytes, CountForLlamaServerWhereTheTowerComputes) {
    ModelMeta meta;
    meta.format = "gguf";
    meta.architecture = "qwen2";
    meta.modality = "vision";
    meta.file_bytes = 3'000'000'000;
    meta.layers = 24;
    meta.embedding_length = 896;
    meta.feed_forward_length = 4864;
    meta.heads = 14;
    meta.heads_kv = 2;
    meta.vocabulary = 151'936;
    meta.bytes_of_type = {{"Q8_0", 1'700'000'000}};
    meta.weights.other = 1'300'000'000;
    meta.tower = qwen("qwen2vl_merger");
    Shape shape{.backend = BackendKind::kLlamaServer, .options = {}, .context_tokens = 2048, .sequences = 1};
    const auto of = [&](Where where) {
        uint64_t bytes = 0;
        for (const Term& term : estimate(meta, shape).terms) bytes += term.name == "picture" && term.where == where ? term.bytes : 0;
        return bytes;
    };
    const PictureBytes picture = *picture_bytes(meta.tower, {});
    EXPECT_EQ(of(Where::kMemory), picture.compute + picture.memory);
    shape.vendor = "nvidia";
    shape.ranks = 2;
    shape.layers_on_devices = 24;
    EXPECT_EQ(of(Where::kDevice), picture.compute);
    EXPECT_EQ(of(Where::kMemory), picture.memory);
    const Estimate on_two = estimate(meta, shape);
    EXPECT_GT(on_two.rank_bytes[0], on_two.rank_bytes[1] + picture.compute / 2) << "on the first";
    shape.options.extra_args = {"--no-mmproj"};
    EXPECT_EQ(of(Where::kDevice) + of(Where::kMemory), 0u);
    shape.options.extra_args.clear();
    shape.backend = BackendKind::kEngine;
    shape.vendor = "cpu";
    EXPECT_EQ(of(Where::kMemory), 0u) << "it takes text alone";
    shape.backend = BackendKind::kLlamaServer;
    meta.tower = {};
    EXPECT_THAT(estimate(meta, shape).unknown, Contains(HasSubstr("a picture")));
}

}  // namespace
}  // namespace gantry::placement
