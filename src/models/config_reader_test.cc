#include "models/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "models/model_reader.h"

namespace gantry::models {
namespace {

using testing::HasSubstr;

ModelMeta recorded(const std::string& name) {
    const auto meta = read_model(std::string(GANTRY_SOURCE_DIR) + "/tests/data/models/" + name);
    EXPECT_TRUE(meta.ok()) << name << ": " << meta.error().message;
    return meta.ok() ? *meta : ModelMeta{};
}
Result<ModelMeta> parsed(const std::string& text) {
    const auto json = parse_json(text);
    if (!json) return json.error();
    const auto config = read_config(json->get_object());
    if (!config) return config.error();
    return config->meta;
}
std::string refused(const std::string& text) {
    const auto meta = parsed(text);
    return meta.ok() ? "" : meta.error().message;
}

// Against the counts that the makers' repositories publish ("safetensors", "total" or the paper): exact where nothing is noted.
TEST(Config, CountsParametersAsPublished) {
    struct Case {
        const char* name;
        uint64_t published;
        double within = 0;   // share
    };
    for (const Case& c : {Case{"synthetic-DeepSeek-R1-Distill-Qwen-7B", 7'615'616'512},
                          {"synthetic-DeepSeek-R1-Distill-Qwen-14B", 14'770'033'664},
                          {"synthetic-DeepSeek-R1-Distill-Qwen-32B", 32'763'876'352},
                          {"Qwen__Qwen3-14B", 14'768'307'200}, {"Qwen__Qwen3-32B", 32'762'123'264},
                          {"Qwen__Qwen3-30B-A3B", 30'532'122'624}, {"Qwen__Qwen3-8B-FP8", 8'190'735'360},
                          {"Qwen__Qwen2.5-0.5B", 494'032'768}, {"Qwen__Qwen2.5-7B", 7'615'616'512},
                          {"Qwen__Qwen1.5-MoE-A2.7B-Chat", 14'315'784'192}, {"meta-llama__Llama-3.1-8B", 8'030'261'248},
                          {"mistralai__Mistral-7B-Instruct-v0.3", 7'248'023'552},
                          {"mistralai__Mixtral-8x7B-v0.1", 46'702'792'704}, {"google__gemma-2b", 2'506'172'416},
                          {"google__gemma-2-2b-it", 2'614'341'888}, {"google__gemma-3-1b-it", 999'885'952},
                          {"microsoft__Phi-3-mini-4k-instruct", 3'821'079'552},
                          {"deepseek-ai__DeepSeek-V2-Lite-Chat", 15'706'484'224},
                          {"deepseek-ai__DeepSeek-V3", 671'000'000'000, 0.0005},   // the paper's, less the guessing layer
                          {"openai__gpt-oss-20b", 20'914'757'184}, {"THUDM__glm-4-9b", 9'399'951'360},
                          {"internlm__internlm2-7b", 7'737'708'544}, {"BAAI__bge-reranker-v2-m3", 567'755'777},
                          {"synthetic-bge-m3", 567'754'752},
                          {"snowflake__snowflake-arctic-embed-m", 108'891'648, 0.006}}) {   // its files lack the pooler
        const ModelMeta meta = recorded(c.name);
        EXPECT_NEAR(static_cast<double>(meta.parameter_count), static_cast<double>(c.published),
                    static_cast<double>(c.published) * c.within)
            << c.name;
        EXPECT_EQ(meta.weights.layers.size(), meta.layers) << c.name;
        EXPECT_EQ(meta.file_bytes, meta.weights.total()) << c.name;
    }
}

TEST(Config, ReadsTheFieldReportsModels) {
    const ModelMeta large = recorded("Qwen__Qwen3-32B");
    EXPECT_EQ(large.format, "safetensors");
    EXPECT_EQ(large.architecture, "Qwen3ForCausalLM");
    EXPECT_EQ(large.layers, 64u);
    EXPECT_EQ(large.heads, 64u);
    EXPECT_EQ(large.heads_kv, 8u);
    EXPECT_EQ(large.key_length, 128u);
    EXPECT_EQ(large.context_length, 40960u);
    EXPECT_EQ(large.dtype, "bfloat16");
    EXPECT_EQ(large.quantization, "");
    EXPECT_EQ(large.modality, "text");
    EXPECT_EQ(large.layer_memory, "");
    EXPECT_EQ(large.weights.total(), large.parameter_count * 2);
    EXPECT_EQ(describe(large), "Qwen3ForCausalLM, 32.8B parameters, bfloat16, 64 layers, context 40,960, safetensors");
    const ModelMeta small = recorded("synthetic-DeepSeek-R1-Distill-Qwen-7B");
    EXPECT_EQ(small.heads_kv, 4u);
    EXPECT_EQ(small.context_length, 131072u);
    EXPECT_EQ(small.sliding_window, 0u) << "its configuration names a window and says that it is not used";
    EXPECT_FALSE(small.brings_code);
}

TEST(Config, KnowsWindows) {
    EXPECT_EQ(recorded("google__gemma-2-2b-it").layer_memory.substr(0, 4), "wfwf");
    EXPECT_EQ(recorded("google__gemma-2-2b-it").sliding_window, 4096u);
    const ModelMeta gemma = recorded("google__gemma-3-1b-it");
    EXPECT_EQ(gemma.layer_memory, "wwwwwfwwwwwfwwwwwfwwwwwfww");
    EXPECT_EQ(gemma.sliding_window, 512u);
    EXPECT_EQ(recorded("openai__gpt-oss-20b").layer_memory.substr(0, 4), "wfwf");
    EXPECT_EQ(recorded("microsoft__Phi-3-mini-4k-instruct").layer_memory, std::string(32, 'w'));
    EXPECT_EQ(recorded("mistralai__Mistral-7B-Instruct-v0.3").layer_memory, "");
    const std::string qwen = R"({"model_type":"qwen2","num_hidden_layers":4,"max_position_embeddings":32768,
        "sliding_window":4096,"max_window_layers":2,"use_sliding_window":)";
    EXPECT_EQ(parsed(qwen + "true}")->layer_memory, "ffww");
    EXPECT_EQ(parsed(qwen + "false}")->layer_memory, "");
    EXPECT_EQ(parsed(R"({"model_type":"mistral","num_hidden_layers":2,"max_position_embeddings":4096,"sliding_window":4096})")
                  ->layer_memory, "") << "a window as long as the context is none";
}

TEST(Config, KnowsCompressedKeysAndValues) {
    const ModelMeta meta = recorded("deepseek-ai__DeepSeek-V3");
    EXPECT_EQ(meta.layer_memory, std::string(61, 'l'));
    EXPECT_EQ(meta.kv_lora_rank, 512u);
    EXPECT_EQ(meta.rope_head_length, 64u);
    EXPECT_EQ(meta.key_length, 192u);
    EXPECT_EQ(meta.value_length, 128u);
    EXPECT_EQ(meta.experts, 256u);
    EXPECT_EQ(meta.experts_used, 8u);
    EXPECT_EQ(meta.quantization, "fp8");
    EXPECT_EQ(meta.context_length, 163840u) << "the scaling is counted in";
    EXPECT_TRUE(meta.brings_code);
    EXPECT_NEAR(static_cast<double>(meta.weights.total()), 672.9e9, 2e9) << "a byte each, the embedding two";
}

// States as llama.cpp's keep them: see gguf_shape_test.cc.
TEST(Config, KnowsStates) {
    const ModelMeta next = recorded("Qwen__Qwen3-Next-80B-A3B-Thinking");
    EXPECT_EQ(next.layer_memory.substr(0, 8), "sssfsssf");
    EXPECT_EQ(next.state_bytes, (3 * (4096 + 2 * 2048) + 4096 * 128) * 4u);
    const auto jamba = parsed(R"({"model_type":"jamba","num_hidden_layers":8,"hidden_size":64,"num_attention_heads":8,
        "attn_layer_period":4,"attn_layer_offset":2,"mamba_d_state":16,"mamba_d_conv":4,"mamba_expand":2})");
    EXPECT_EQ(jamba->layer_memory, "ssfsssfs");
    EXPECT_EQ(jamba->state_bytes, (3 * 128 + 16 * 128) * 4u);
    const auto nemotron = parsed(R"({"model_type":"nemotron_h","num_hidden_layers":4,"hybrid_override_pattern":"M-*M"})");
    EXPECT_EQ(nemotron->layer_memory, "s-fs");
    const auto granite = parsed(R"({"model_type":"granitemoehybrid","num_hidden_layers":3,"hidden_size":64,
        "layer_types":["mamba","attention","mamba"],"mamba_n_heads":4,"mamba_d_head":32,"mamba_d_state":16,
        "mamba_n_groups":2,"mamba_d_conv":4})");
    EXPECT_EQ(granite->layer_memory, "sfs");
    EXPECT_EQ(granite->state_bytes, (3 * (128 + 2 * 2 * 16) + 16 * 128) * 4u);
}

TEST(Config, ReadsModelsOfTextAndPictures) {
    const ModelMeta qwen = recorded("Qwen__Qwen2.5-VL-7B-Instruct");
    EXPECT_EQ(qwen.modality, "vision");
    EXPECT_EQ(qwen.layers, 28u);
    EXPECT_EQ(qwen.vision_heads, 16u);
    EXPECT_EQ(qwen.parameter_count, 0u) << "its tower's weights are unknown without the files";
    const ModelMeta gemma = recorded("google__gemma-3-27b-it");
    EXPECT_EQ(gemma.layers, 62u);
    EXPECT_EQ(gemma.embedding_length, 5376u);
    EXPECT_EQ(gemma.key_length, 128u);
    EXPECT_EQ(gemma.context_length, 131072u) << "the library's default";
    EXPECT_EQ(gemma.vocabulary, 262208u);
    EXPECT_EQ(gemma.layer_memory.substr(0, 7), "wwwwwfw");
    EXPECT_EQ(gemma.dtype, "bfloat16");
    const ModelMeta llava = recorded("llava-hf__llava-1.5-7b-hf");
    EXPECT_EQ(llava.layers, 32u) << "the library's default";
    EXPECT_EQ(llava.embedding_length, 4096u);
    EXPECT_EQ(llava.context_length, 4096u);
    EXPECT_EQ(llava.vision_heads, 16u);
    EXPECT_EQ(recorded("mistralai__Ministral-3-3B-Reasoning-2512").heads_kv, 8u);
}

TEST(Config, SaysWhatAModelIsFor) {
    const ModelMeta embeds = recorded("synthetic-bge-m3");
    EXPECT_EQ(embeds.modality, "embedding");
    EXPECT_EQ(embeds.pooling, "cls") << "its module says so";
    EXPECT_EQ(embeds.context_length, 8192u) << "positions begin after the padding token";
    EXPECT_EQ(embeds.layer_memory, std::string(24, '-'));
    EXPECT_EQ(recorded("snowflake__snowflake-arctic-embed-m").pooling, "mean");
    const ModelMeta ranks = recorded("BAAI__bge-reranker-v2-m3");
    EXPECT_EQ(ranks.modality, "rerank");
    EXPECT_EQ(ranks.pooling, "rank");
    const ModelMeta hears = recorded("synthetic-whisper-large-v3");
    EXPECT_EQ(hears.modality, "transcription");
    EXPECT_EQ(hears.context_length, 448u);
    EXPECT_EQ(hears.heads, 20u);
    EXPECT_EQ(parsed(R"({"architectures":["Qwen3TTSForConditionalGeneration"],"model_type":"qwen3_tts"})")->modality, "speech");
    EXPECT_EQ(parsed(R"({"architectures":["GPT2LMHeadModel"],"model_type":"gpt2"})")->modality, "text");
    EXPECT_EQ(parsed(R"({"architectures":["MistralModel"],"model_type":"mistral"})")->pooling, "last");
}

TEST(Config, ReadsQuantizations) {
    const auto method = [](const std::string& quantization) {
        const auto meta = parsed(R"({"quantization_config":)" + quantization + "}");
        return meta.ok() ? meta->quantization : meta.error().message;
    };
    EXPECT_EQ(method(R"({"quant_method":"awq","bits":4,"group_size":128})"), "awq");
    EXPECT_EQ(method(R"({"quant_method":"gptq","bits":8})"), "gptq");
    EXPECT_EQ(method(R"({"quant_method":"bitsandbytes","load_in_4bit":true})"), "bitsandbytes");
    EXPECT_EQ(method(R"({"quant_method":"compressed-tensors","config_groups":{"group_0":{"weights":{"num_bits":8}}}})"),
              "compressed-tensors");
    EXPECT_THAT(method(R"({"quant_method":"awq","bits":-4})"), HasSubstr("bits"));
    EXPECT_EQ(parsed(R"({"quantize":"W8A8"})")->quantization, "w8a8");
    // What the published files take: Qwen2.5-7B-Instruct-AWQ 5.57 GB, Qwen3-8B-FP8 9.43 GB, gpt-oss-20b 13.76 GB.
    std::ifstream file(std::string(GANTRY_SOURCE_DIR) + "/tests/data/models/Qwen__Qwen2.5-7B/config.json");
    std::string text(std::istreambuf_iterator<char>(file), {});
    text.insert(1, R"("quantization_config":{"quant_method":"awq","bits":4,"group_size":128},)");
    EXPECT_NEAR(static_cast<double>(parsed(text)->weights.total()), 5.57e9, 0.02e9);
    EXPECT_NEAR(static_cast<double>(recorded("Qwen__Qwen3-8B-FP8").weights.total()), 9.43e9, 0.05e9);
    EXPECT_NEAR(static_cast<double>(recorded("openai__gpt-oss-20b").weights.total()), 13.76e9, 0.05e9);
}

// Rows 42 and 43: numbers that would make an evaluation divide by zero, overflow or allocate.
TEST(Config, RefusesAbsurdNumbers) {
    for (const char* field : {"num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size",
                              "max_position_embeddings", "head_dim", "num_local_experts", "sliding_window", "kv_lora_rank"}) {
        for (const char* value : {"-1", "1e300", "1.5", "18446744073709551615", "\"many\"", "{}", "true", "[1,-1]"}) {
            EXPECT_THAT(refused(std::string(R"({"num_hidden_layers":2,)") + "\"" + field + "\":" + value + "}"), HasSubstr(field))
                << value;
        }
    }
    EXPECT_THAT(refused(R"({"num_attention_heads":4,"num_key_value_heads":8})"), HasSubstr("more key-value heads"));
    EXPECT_THAT(refused(R"({"num_attention_heads":4,"hidden_size":2})"), HasSubstr("do not fit"));
    EXPECT_THAT(refused(R"({"model_type":"mixtral","num_hidden_layers":4096,"hidden_size":4194304,"intermediate_size":4194304,
        "num_attention_heads":65536,"num_key_value_heads":65536,"head_dim":4194304,"vocab_size":16777216,
        "num_local_experts":65536})"),
                HasSubstr("more parameters"));
    EXPECT_EQ(refused("{}"), "") << "nothing is known, and nothing wrong";
    EXPECT_EQ(refused(R"({"num_hidden_layers":0,"hidden_size":null,"num_attention_heads":32.0})"), "");
    EXPECT_EQ(parsed(R"({"architectures":["a\u001b[31m b"],"model_type":"../x"})")->architecture, "");
}

}  // namespace
}  // namespace gantry::models
