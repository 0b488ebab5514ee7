#include "backends/architectures.h"

#include <algorithm>
#include <iterator>
#include <string>

// Data: the architectures in vLLM's registry (vllm/model_executor/models/registry.py of release 0.32.0): text generation,
// pooling, classification, multimodal, and those that it runs by Transformers' own code. Without drafts for speculative
// decoding, which serve nothing alone. Then those that the same file lists as supported until an earlier release: an older
// vLLM may be installed. To renew: the keys of the file's tables.

namespace gantry::backends {
namespace {

constexpr std::string_view kNow[] = {
    "AXK1ForCausalLM", "AfmoeForCausalLM", "ApertusForCausalLM", "ArceeForCausalLM", "AriaForConditionalGeneration",
    "AudioFlamingo3ForConditionalGeneration", "BagelForConditionalGeneration", "BailingMoeForCausalLM",
    "BailingMoeV2ForCausalLM", "BailingMoeV2_5ForCausalLM", "BailingMoeV3ForCausalLM",
    "BailingMoeV3VLForConditionalGeneration", "BeeForConditionalGeneration", "BertForMaskedLM",
    "BertForSequenceClassification", "BertForTokenClassification", "BertModel", "BertSpladeSparseEmbeddingModel",
    "BgeM3EmbeddingModel", "Blip2ForConditionalGeneration", "BloomForCausalLM", "CLIPModel",
    "ChatGLMForConditionalGeneration", "ChatGLMModel", "ClefOmniForJointSchema", "Cohere2ForCausalLM",
    "Cohere2MoeForCausalLM", "Cohere2VisionForConditionalGeneration", "CohereAsrForConditionalGeneration",
    "CohereCompassForConditionalGeneration", "CohereForCausalLM", "ColBERTJinaRobertaModel", "ColBERTLfm2Model",
    "ColBERTModernBertModel", "ColModernVBertForRetrieval", "ColPaliForRetrieval", "ColQwen3", "ColQwen3_5",
    "Cosmos3EdgeForConditionalGeneration", "Cosmos3ForConditionalGeneration", "CwmForCausalLM", "DbrxForCausalLM",
    "DeciLMForCausalLM", "DeepseekForCausalLM", "DeepseekOCR2ForCausalLM", "DeepseekOCRForCausalLM", "DeepseekV2ForCausalLM",
    "DeepseekV32ForCausalLM", "DeepseekV3BidirectionalModel", "DeepseekV3ForCausalLM", "DeepseekV41ForCausalLM",
    "DeepseekV4ForCausalLM", "DeepseekV4ForConditionalGeneration", "DeepseekVLV2ForCausalLM",
    "DiffusionGemmaForBlockDiffusion", "Dots3NoteForCausalLM", "DotsOCRForCausalLM", "Eagle2_5_VLForConditionalGeneration",
    "EmbeddingGemma2Model", "Emu3ForConditionalGeneration", "Ernie4_5ForCausalLM", "Ernie4_5_MoeForCausalLM",
    "Ernie4_5_VLMoeForConditionalGeneration", "Exaone4ForCausalLM", "Exaone4_5_ForConditionalGeneration", "ExaoneForCausalLM",
    "ExaoneMoEForCausalLM", "ExaoneMoeForCausalLM", "FalconForCausalLM", "FalconH1ForCausalLM", "FalconMambaForCausalLM",
    "FireRedASR2ForConditionalGeneration", "FlexOlmoForCausalLM", "FunASRForConditionalGeneration",
    "FunAudioChatForConditionalGeneration", "GLM4VForCausalLM", "GPT2ForSequenceClassification", "GPT2LMHeadModel",
    "GPTBigCodeForCausalLM", "GPTJForCausalLM", "GPTNeoXForCausalLM", "Gemma2ForCausalLM", "Gemma2Model", "Gemma3ForCausalLM",
    "Gemma3ForConditionalGeneration", "Gemma3TextModel", "Gemma3nForCausalLM", "Gemma3nForConditionalGeneration",
    "Gemma4ForCausalLM", "Gemma4ForConditionalGeneration", "Gemma4UnifiedForConditionalGeneration", "GemmaForCausalLM",
    "Glm4ForCausalLM", "Glm4MoeForCausalLM", "Glm4MoeLiteForCausalLM", "Glm4vForConditionalGeneration",
    "Glm4vMoeForConditionalGeneration", "Glm5NextForCausalLM", "Glm5NextForConditionalGeneration",
    "GlmAsrForConditionalGeneration", "GlmForCausalLM", "GlmMoeDsaForCausalLM", "GlmOcrForConditionalGeneration",
    "GptOssForCausalLM", "Granite4VisionForConditionalGeneration", "GraniteForCausalLM", "GraniteMoeForCausalLM",
    "GraniteMoeHybridForCausalLM", "GraniteMoeSWAForCausalLM", "GraniteMoeSharedForCausalLM", "GraniteSWAForCausalLM",
    "GraniteSpeechForConditionalGeneration", "GraniteSpeechPlusForConditionalGeneration", "GteModel",
    "GteNewForSequenceClassification", "GteNewModel", "H2OVLChatModel", "HCXVisionV2ForCausalLM", "HF_ColBERT",
    "HYV3ForCausalLM", "HYV4ForCausalLM", "HfMoondream", "HrmTextForCausalLM", "HunYuanDenseV1ForCausalLM",
    "HunYuanMoEV1ForCausalLM", "HunYuanVLForConditionalGeneration", "HyperCLOVAXForCausalLM", "IQuestCoderForCausalLM",
    "IQuestLoopCoderForCausalLM", "Idefics3ForConditionalGeneration", "InklingForCausalLM", "InklingForConditionalGeneration",
    "InternLM2ForCausalLM", "InternLM2ForRewardModel", "InternLM3ForCausalLM", "InternS1ForConditionalGeneration",
    "InternS1ProForConditionalGeneration", "InternS2MobiusForConditionalGeneration",
    "InternS2PreviewForConditionalGeneration", "InternVLChatModel", "InternVLForConditionalGeneration",
    "IsaacForConditionalGeneration", "Jais2ForCausalLM", "JambaForCausalLM", "JambaForSequenceClassification",
    "JinaEmbeddingsV5Model", "JinaForRanking", "JinaVLForRanking", "K2HorizonForCausalLM", "KananaVForConditionalGeneration",
    "KeyeForConditionalGeneration", "KeyeVL1_5ForConditionalGeneration", "KimiK25ForConditionalGeneration",
    "KimiK3ForConditionalGeneration", "KimiLinearForCausalLM", "KimiVLForConditionalGeneration", "LLaMAForCausalLM",
    "LagunaForCausalLM", "Lfm2ForCausalLM", "Lfm2MoeForCausalLM", "Lfm2VlForConditionalGeneration",
    "LightOnOCRForConditionalGeneration", "Llama4ForCausalLM", "Llama4ForConditionalGeneration",
    "LlamaBidirectionalForSequenceClassification", "LlamaBidirectionalModel", "LlamaForCausalLM", "LlamaModel",
    "LlamaNemotronVLForSequenceClassification", "LlamaNemotronVLModel", "Llama_Nemotron_Nano_VL",
    "LlavaForConditionalGeneration", "LlavaNextForConditionalGeneration", "LlavaNextVideoForConditionalGeneration",
    "LlavaOnevision2ForConditionalGeneration", "LlavaOnevisionForConditionalGeneration", "LongcatFlashForCausalLM",
    "LongcatFlashNgramForCausalLM", "Mamba2ForCausalLM", "MambaForCausalLM", "MellumForCausalLM", "MiDashengLMModel",
    "MiMoForCausalLM", "MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM", "MiMoV2OmniForCausalLM", "MiniCPM3ForCausalLM",
    "MiniCPMForCausalLM", "MiniCPMO", "MiniCPMV", "MiniCPMV4_6ForConditionalGeneration",
    "MiniCPMV4_7ForConditionalGeneration", "MiniMaxM2ForCausalLM", "MiniMaxM3SparseForCausalLM",
    "MiniMaxM3SparseForConditionalGeneration", "Ministral3ForCausalLM", "Mistral3ForConditionalGeneration",
    "MistralForCausalLM", "MistralLarge3ForCausalLM", "MistralModel", "MixtralForCausalLM",
    "ModernBertForSequenceClassification", "ModernBertForTokenClassification", "ModernBertModel",
    "Molmo2ForConditionalGeneration", "MolmoForCausalLM", "Moondream3ForCausalLM", "MoonshotKimiaForCausalLM",
    "MossAudioModel", "MossTranscribeDiarizeForConditionalGeneration", "MuseGlimmerForCausalLM",
    "MuseGlimmerForConditionalGeneration", "NVLM_D", "NanbeigeForCausalLM", "NemotronForCausalLM", "NemotronHForCausalLM",
    "NemotronHPuzzleForCausalLM", "NemotronH_Nano_Omni_Reasoning_V3", "NemotronH_Nano_VL_V2", "NemotronH_Omni_Reasoning_V3",
    "NemotronH_Super_Omni_Reasoning_V3", "NemotronParseForConditionalGeneration", "NomicBertModel", "OPTForCausalLM",
    "Olmo2ForCausalLM", "Olmo3ForCausalLM", "OlmoForCausalLM", "OlmoHybridForCausalLM", "OlmoeForCausalLM",
    "OpenAIPrivacyFilterForTokenClassification", "OpenCUAForConditionalGeneration", "OpenPanguVLForConditionalGeneration",
    "OpenVLAForActionPrediction", "OpsColQwen3Model", "OrionForCausalLM", "Ovis", "Ovis2_5", "Ovis2_6ForCausalLM",
    "Ovis2_6_MoeForCausalLM", "PaddleOCRVLForConditionalGeneration", "PaliGemmaForConditionalGeneration",
    "PanguEmbeddedForCausalLM", "PanguProMoEV2ForCausalLM", "PanguUltraMoEForCausalLM", "Param2MoEForCausalLM",
    "Phi3ForCausalLM", "Phi3VForCausalLM", "Phi4ForCausalLMV", "Phi4MMForCausalLM", "PhiForCausalLM", "PhiMoEForCausalLM",
    "PixtralForConditionalGeneration", "Plamo3ForCausalLM", "QianfanOCRForConditionalGeneration",
    "Qwen2AudioForConditionalGeneration", "Qwen2ForCausalLM", "Qwen2ForProcessRewardModel", "Qwen2ForRewardModel",
    "Qwen2Model", "Qwen2MoeForCausalLM", "Qwen2VLForConditionalGeneration", "Qwen2_5OmniForConditionalGeneration",
    "Qwen2_5OmniModel", "Qwen2_5_VLForConditionalGeneration", "Qwen3ASRForConditionalGeneration",
    "Qwen3ASRForcedAlignerForTokenClassification", "Qwen3ASRRealtimeGeneration", "Qwen3ForCausalLM", "Qwen3MoeForCausalLM",
    "Qwen3NextForCausalLM", "Qwen3OmniMoeForConditionalGeneration", "Qwen3VLForConditionalGeneration",
    "Qwen3VLMoeForConditionalGeneration", "Qwen3VLNemotronEmbedModel", "Qwen3_5ForCausalLM",
    "Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForCausalLM", "Qwen3_5MoeForConditionalGeneration", "Qwen4ExpForCausalLM",
    "Qwen4ExpForConditionalGeneration", "RForConditionalGeneration", "Rnj1ForCausalLM", "RobertaForMaskedLM",
    "RobertaForSequenceClassification", "RobertaForTokenClassification", "RobertaModel", "SarvamMLAForCausalLM",
    "SarvamMoEForCausalLM", "SeedOssForCausalLM", "SiglipModel", "SkyworkR1VChatModel", "SmolLM3ForCausalLM",
    "SmolVLMForConditionalGeneration", "SolarForCausalLM", "StableLmForCausalLM", "Starcoder2ForCausalLM", "Step1ForCausalLM",
    "Step3TextForCausalLM", "Step3VLForConditionalGeneration", "Step3p5ForCausalLM", "Step3p7ForConditionalGeneration",
    "StepVLForConditionalGeneration", "TeleChat2ForCausalLM", "TeleChat3ForCausalLM", "TeleFLMForCausalLM", "Terratorch",
    "UltravoxModel", "UnlimitedOCRForCausalLM", "VaultGemmaForCausalLM", "VibeVoiceAsrForConditionalGeneration",
    "VoxtralForConditionalGeneration", "VoxtralRealtimeGeneration", "VoyageQwen3BidirectionalEmbedModel",
    "WhisperForConditionalGeneration", "XLMRobertaForSequenceClassification", "XLMRobertaForTokenClassification",
    "XLMRobertaModel", "Zamba2ForCausalLM",
};

constexpr std::string_view kEarlier[] = {
    "AquilaForCausalLM", "AquilaModel", "ArcticForCausalLM", "AyaVisionForConditionalGeneration", "BaiChuanForCausalLM",
    "BaichuanForCausalLM", "BambaForCausalLM", "ChameleonForConditionalGeneration", "Cheers",
    "CheersForConditionalGeneration", "DonutForConditionalGeneration", "Dots1ForCausalLM", "ErnieForSequenceClassification",
    "ErnieForTokenClassification", "ErnieModel", "Fairseq2LlamaForCausalLM", "FireRedLIDForConditionalGeneration",
    "FuyuForCausalLM", "GritLM", "Grok1ForCausalLM", "Grok1ModelForCausalLM", "HCXVisionForCausalLM",
    "InternLM2VEForCausalLM", "InternLMForCausalLM", "JAISLMHeadModel", "MPTForCausalLM", "MantisForConditionalGeneration",
    "MiniMaxForCausalLM", "MiniMaxM1ForCausalLM", "MiniMaxText01ForCausalLM", "MiniMaxVL01ForConditionalGeneration",
    "MllamaForConditionalGeneration", "MotifForCausalLM", "MptForCausalLM", "MusicFlamingoForConditionalGeneration",
    "OuroForCausalLM", "PersimmonForCausalLM", "Phi3SmallForCausalLM", "Phi4FlashForCausalLM", "Phi4MultimodalForCausalLM",
    "Plamo2ForCausalLM", "PrithviGeoSpatialMAE", "QWenLMHeadModel", "QwenVLForConditionalGeneration", "RWForCausalLM",
    "StableLMEpochForCausalLM", "Tarsier2ForConditionalGeneration", "TarsierForConditionalGeneration", "TeleChatForCausalLM",
    "XverseForCausalLM",
};

// A model of another task with the same trunk is converted: Qwen3ForSequenceClassification runs as Qwen3ForCausalLM (the
// same release's registry, which replaces one of these endings by another).
constexpr std::string_view kEndings[] = {"ForCausalLM",           "ForConditionalGeneration",  "ChatModel",
                                         "LMHeadModel",           "ForTextEncoding",           "EmbeddingModel",
                                         "ForSequenceClassification", "ForTokenClassification", "ClassificationModel",
                                         "ForRewardModeling",     "RewardModel",               "Model"};

bool is_listed(std::string_view architecture) {
    return std::find(std::begin(kNow), std::end(kNow), architecture) != std::end(kNow) ||
           std::find(std::begin(kEarlier), std::end(kEarlier), architecture) != std::end(kEarlier);
}

}  // namespace

bool vllm_knows(std::string_view architecture) {
    if (is_listed(architecture)) return true;
    for (const std::string_view ending : kEndings) {
        if (!architecture.ends_with(ending)) continue;
        const std::string trunk(architecture.substr(0, architecture.size() - ending.size()));
        return std::any_of(std::begin(kEndings), std::end(kEndings),
                           [&trunk](std::string_view other) { return is_listed(trunk + std::string(other)); });
    }
    return false;
}

}  // namespace gantry::backends
