#include "placement/estimates/parallel.h"

#include <gtest/gtest.h>

namespace gantry::placement {
namespace {

// DeepSeek-V3's shape in FP8: norms and routers in 16 bits, projections down to latents in 8.
TEST(weights_of_rank, routers_and_projections_to_latents_are_on_every_rank) {
    ModelMeta meta;
    meta.format = "safetensors";
    meta.layers = 61;
    meta.embedding_length = 7168;
    meta.feed_forward_length = 18432;
    meta.heads = meta.heads_kv = 128;
    meta.vocabulary = 129280;
    meta.experts = 256;
    meta.kv_lora_rank = 512;
    meta.rope_head_length = 64;
    meta.layer_memory = std::string(61, 'l');
    meta.parameter_count = meta.file_bytes = 671'000'000'000;
    const auto of_a_rank = [&meta] { return weights_of_rank(meta, 8).bytes; };
    const uint64_t norms = 2 * (2 * 61 + 1) * 7168ull, routers = 2ull * 61 * 256 * 7168, down = 61ull * 7168 * (1536 + 512 + 64);
    const uint64_t whole = norms + routers + down;
    EXPECT_EQ(of_a_rank(), (meta.file_bytes - whole + 7) / 8 + whole);
    EXPECT_GT(of_a_rank() - meta.file_bytes / 8, 900'000'000u) << "a gigabyte that an eighth does not have";
    meta.file_bytes *= 2;   // BF16
    EXPECT_EQ(of_a_rank(), (meta.file_bytes - (whole + down) + 7) / 8 + whole + down);
}

}  // namespace
}  // namespace gantry::placement
