// What a picture takes while llama-server's tower (mmproj) encodes it. Places below are in tools/mtmd of the tree pinned by
// third_party/sources.txt.
//
// - How large a picture gets: most kinds make each one, or each tile of one, a square of the file's image size; those of any size make it
//   smaller only beyond so many tokens (clip.cpp, set_limit_image_tokens) or pixels of the file, a token being merged_side x merged_side
//   patches. --image-max-tokens beats both. Tiles and pictures are encoded one after the other, but for the kinds that take several at
//   once, of 1,024 tokens together (support_batch; --mtmd-batch-max-tokens).
// - The graph (clip.cpp, build_vit; models/*.cpp), in F32, with flash attention: the picture itself to its end; then whichever phase is
//   largest, of the patches cut out, of attention (what goes by it, its input, queries, keys, values: 5 widths a patch), of the
//   feed-forward (3 widths, as ggml-alloc packs them, and what is between, twice with a gate) and of the projector. Windows of
//   Qwen2.5-VL: a mask of all patches with all, in F32 and F16 (models/qwen2vl.cpp).
// - In memory beside: the picture in 8 bits and in F32 before it goes in, and the tokens that come out, which llama-server keeps.
// Not counted: the picture as it was sent, in its own size; that depends on who sends it.

#include <fmt/format.h>

#include <algorithm>

#include "backends/flags.h"
#include "placement/estimates/sum.h"

namespace gantry::placement {
namespace {

constexpr uint64_t kBatchTokens = 1024;   // common.h, mtmd_batch_max_tokens

// Kinds that differ from a tower of fixed size, one picture at once.
struct Kind {
    const char* projector;
    uint64_t tokens_max;    // of pictures of any size; 0: as large as the file says
    uint64_t merged_side;   // where the file does not say
    bool together = false;
    bool masked = false;
    bool unmerged = false;  // a patch is a token, whatever the file says (clip_n_output_tokens)
};
constexpr Kind kKinds[] = {
    {.projector = "qwen2vl_merger", .tokens_max = 4096, .merged_side = 2},
    {.projector = "qwen2.5vl_merger", .tokens_max = 4096, .merged_side = 2, .masked = true},
    {.projector = "qwen2.5o", .tokens_max = 4096, .merged_side = 2, .masked = true},
    {.projector = "qwen3vl_merger", .tokens_max = 4096, .merged_side = 2},
    {.projector = "ling3vl", .tokens_max = 4096, .merged_side = 2},
    {.projector = "glm4v", .tokens_max = 4096, .merged_side = 2},
    {.projector = "muse-glimmer", .tokens_max = 4096, .merged_side = 2},
    {.projector = "kimik25", .tokens_max = 4096, .merged_side = 2},
    {.projector = "hunyuanvl", .tokens_max = 16'384, .merged_side = 2},
    {.projector = "youtuvl", .tokens_max = 62'500, .merged_side = 2},
    {.projector = "pixtral", .tokens_max = 1024, .merged_side = 1},
    {.projector = "kimivl", .tokens_max = 1024, .merged_side = 2},
    {.projector = "minimax_m3", .tokens_max = 576, .merged_side = 2},
    {.projector = "lfm2", .tokens_max = 256, .merged_side = 2},
    {.projector = "gemma4v", .tokens_max = 1120, .merged_side = 3, .together = true},
    {.projector = "internvl", .tokens_max = 0, .merged_side = 2, .together = true},
    {.projector = "gemma3", .tokens_max = 0, .merged_side = 4},
    {.projector = "mlp", .tokens_max = 0, .merged_side = 1, .unmerged = true},
    {.projector = "janus_pro", .tokens_max = 0, .merged_side = 1, .unmerged = true},
    {.projector = "phi4", .tokens_max = 0, .merged_side = 1, .unmerged = true},
};

}  // namespace

std::optional<PictureBytes> picture_bytes(const VisionTower& tower, const BackendOptions& options) {
    const uint64_t width = tower.embedding_length, patch = tower.patch_side;
    if (width == 0 || patch == 0 || (tower.image_side == 0 && tower.image_pixels_max == 0)) return std::nullopt;
    const Kind* found = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& kind) { return tower.projector == kind.projector; });
    const Kind kind = found != std::end(kKinds) ? *found : Kind{.projector = "", .tokens_max = 0, .merged_side = 1};
    const uint64_t side = tower.merged_side > 0 && !kind.unmerged ? tower.merged_side : kind.merged_side;
    const uint64_t token_pixels = product({side, side, patch, patch});
    uint64_t pixels = kind.tokens_max > 0           ? product({kind.tokens_max, token_pixels})
                      : tower.image_pixels_max > 0 ? tower.image_pixels_max
                                                   : product({tower.image_side, tower.image_side});
    const uint64_t asked = backends::flag_number(options, {"--image-max-tokens"}, 0, kTooMuch);
    if (asked > 0 && (kind.tokens_max > 0 || tower.image_pixels_max > 0)) pixels = product({asked, token_pixels});
    const uint64_t one = std::max<uint64_t>(pixels / token_pixels, 1);
    const uint64_t batch = backends::flag_number(options, {"--mtmd-batch-max-tokens"}, kBatchTokens, kTooMuch);
    const uint64_t pictures = kind.together ? std::max<uint64_t>(batch / one, 1) : 1;
    const uint64_t tokens = product({one, pictures}), all_pixels = product({pixels, pictures});
    const uint64_t patches = product({pixels / (patch * patch), pictures});

    const uint64_t forward = product({tower.feed_forward_length, tower.gated ? 2u : 1u});
    const uint64_t wide = std::max<uint64_t>(tower.projection_length, product({width, side, side}));
    const uint64_t cut_out = product({4, patches, total_of({product({3, patch, patch}), width})});
    const uint64_t attention = product({4, patches, 5 * width});
    const uint64_t between = product({4, patches, total_of({3 * width, forward})});
    const uint64_t projector = total_of({product({4, patches, width}), product({8, tokens, wide})});
    const uint64_t mask = kind.masked ? product({6, patches, patches}) : 0;
    PictureBytes bytes;
    bytes.compute = total_of({product({12, all_pixels}), mask, std::max({cut_out, attention, between, projector})});
    bytes.memory = total_of({product({15, all_pixels}), product({4, tokens, tower.projection_length})});
    bytes.formula = fmt::format("{}{} pixels in {} patches: {} x (5 x {} or 3 x {} + {}) x 4 B, the picture {}",
                                pictures > 1 ? fmt::format("{} pictures of ", grouped(pictures)) : "", grouped(pixels), grouped(patches),
                                grouped(patches), grouped(width), grouped(width), grouped(forward), mib(product({12, all_pixels})));
    if (mask > 0) bytes.formula += ", masks of windows " + mib(mask);
    return bytes;
}

}  // namespace gantry::placement
