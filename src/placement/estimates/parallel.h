#pragma once
// Shares of a rank where tensors are cut across ranks (vLLM, SGLang, MindIE).

#include "placement/estimates/sum.h"

namespace gantry::placement {

struct RankShare {
    uint64_t bytes = 0;
    std::string formula;
};
RankShare weights_of_rank(const ModelMeta& meta, uint32_t ranks);
// Of one rank of the stage that takes the most, of a pipeline of so many: `ranks` of each stage.
RankShare weights_of_stage(const ModelMeta& meta, uint32_t ranks, uint32_t stages);
RankShare kv_of_stage(const ModelMeta& meta, const KvBytes& kv, uint32_t ranks, uint32_t stages);
RankShare kv_of_rank(const ModelMeta& meta, const KvBytes& kv, uint32_t ranks);

}  // namespace gantry::placement
