#include "backends/architectures.h"

#include <algorithm>
#include <iterator>

// Data: MindIE chooses a model's code by `model_type` of its config.json; there is a folder for each in
// examples/atb_models/atb_llm/models and mindie_llm/runtime/models of MindIE-LLM (gitcode.com/Ascend/MindIE-LLM, master of
// 2026-05-30, after 3.0.0), and docs/zh/user_guide/model_support_list.md names the models. Here are the architectures that
// models of those types carry.

namespace gantry::backends {
namespace {

constexpr std::string_view kKnown[] = {
    "BaiChuanForCausalLM", "BaichuanForCausalLM", "BloomForCausalLM", "ChatGLMForConditionalGeneration", "ChatGLMModel",
    "DeepseekForCausalLM", "DeepseekV2ForCausalLM", "DeepseekV32ForCausalLM", "DeepseekV3ForCausalLM", "Ernie4_5_MoeForCausalLM",
    "Glm4MoeForCausalLM", "Glm4vForConditionalGeneration", "Glm4vMoeForConditionalGeneration", "GlmForCausalLM", "HunYuanForCausalLM",
    "HunYuanMoEV1ForCausalLM", "InternLM2ForCausalLM", "InternLM3ForCausalLM", "InternLMXComposer2ForCausalLM", "InternVLChatModel",
    "KimiK2ForCausalLM", "LlamaForCausalLM", "LlavaForConditionalGeneration", "LlavaNextForConditionalGeneration", "MiniCPMForCausalLM",
    "MiniCPMV", "MistralForCausalLM", "MixtralForCausalLM", "MllamaForConditionalGeneration", "MultiModalityCausalLM",
    "Phi3ForCausalLM", "Qwen2AudioForConditionalGeneration", "Qwen2ForCausalLM", "Qwen2MoeForCausalLM",
    "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration", "Qwen3ForCausalLM", "Qwen3MoeForCausalLM",
    "Qwen3VLForConditionalGeneration", "Qwen3VLMoeForConditionalGeneration", "TeleChatForCausalLM", "TelechatForCausalLM",
    "VITAMixtralForCausalLM", "YiForCausalLM",
};

}  // namespace

bool mindie_knows(std::string_view architecture) {
    return std::find(std::begin(kKnown), std::end(kKnown), architecture) != std::end(kKnown);
}

}  // namespace gantry::backends
