#include "models/model_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "models/folder_for_test.h"
#include "models/gguf_for_test.h"

namespace gantry::models {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kConfig = R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","num_hidden_layers":2,
    "hidden_size":4,"intermediate_size":8,"num_attention_heads":2,"vocab_size":10,"max_position_embeddings":64,
    "torch_dtype":"bfloat16"})";

// One tensor of so many bytes.
std::string tensor_file(const std::string& name, uint64_t bytes) {
    const std::string count = std::to_string(bytes);
    return safetensors("{\"" + name + R"(":{"dtype":"U8","shape":[)" + count + R"(],"data_offsets":[0,)" + count + "]}}", bytes);
}

class ReadModel : public ModelFolder {
protected:
    ModelMeta meta() const {
        const auto read = read_model(folder_);
        EXPECT_TRUE(read.ok()) << read.error().message;
        return read.ok() ? *read : ModelMeta{};
    }
    std::string problem() const {
        const auto read = read_model(folder_);
        if (read.ok()) return {};
        EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument) << read.error().message;
        EXPECT_THAT(read.error().message, testing::StartsWith("invalid model file: "));
        EXPECT_LT(read.error().message.size(), 2048u);
        return read.error().message;
    }
    void index(const std::string& files) {
        write("model.safetensors.index.json", R"({"metadata":{"total_size":4000},"weight_map":)" + files + "}");
    }
};

TEST_F(ReadModel, SumsTheFilesThatAnIndexNames) {
    write("config.json", kConfig);
    index(R"({"model.embed_tokens.weight":"a.safetensors","model.layers.0.x":"b.safetensors",
        "model.layers.1.x":"b.safetensors"})");
    write("a.safetensors", tensor_file("model.embed_tokens.weight", 80));
    write("b.safetensors", tensor_file("model.layers.1.x", 24));
    write("not-named.safetensors", tensor_file("model.layers.0.y", 1000));
    const ModelMeta read = meta();
    EXPECT_EQ(read.architecture, "LlamaForCausalLM");
    EXPECT_EQ(read.weights.embedding, 80u);
    EXPECT_THAT(read.weights.layers, ElementsAre(0, 24));
    const auto size = [&](const char* name) { return std::filesystem::file_size(folder_ / name); };
    EXPECT_EQ(read.file_bytes, size("a.safetensors") + size("b.safetensors"));
    EXPECT_FALSE(read.has_chat_template);

    std::filesystem::remove(folder_ / "a.safetensors");
    EXPECT_THAT(problem(), HasSubstr("1 of the 2 files that model.safetensors.index.json names are missing: a.safetensors"));
    std::filesystem::remove(folder_ / "b.safetensors");
    const ModelMeta computed = meta();
    EXPECT_GT(computed.parameter_count, 0u) << "none is there yet: computed from the sizes";
    EXPECT_EQ(computed.file_bytes, 4000u) << "as the index says";
}

// Row 43: an index that points outside.
TEST_F(ReadModel, RefusesAnIndexThatLeavesItsFolder) {
    write("config.json", kConfig);
    for (const char* name : {"../../etc/passwd", "/etc/passwd", "a/../../b", "..", ".", "", "sub/model.safetensors", "a\\\\b",
                             "a\\u0000b", "a\\nb"}) {
        index(std::string(R"({"x":")") + name + "\"}");
        EXPECT_THAT(problem(), HasSubstr("no name of a file beside it")) << name;
    }
    index(R"({"x":7})");
    EXPECT_THAT(problem(), HasSubstr("no name"));
    index("[]");
    EXPECT_THAT(problem(), HasSubstr("no weight_map"));
    write("model.safetensors.index.json", "{");
    EXPECT_THAT(problem(), HasSubstr("model.safetensors.index.json: "));
}

TEST_F(ReadModel, TakesTheFilesOfAFolderWithoutIndex) {
    write("config.json", kConfig);
    write("consolidated.safetensors", tensor_file("layers.0.x", 500));
    EXPECT_EQ(meta().weights.total(), 500u) << "there is nothing else";
    write("model-1.safetensors", tensor_file("model.layers.0.x", 20));
    write("model-2.safetensors", tensor_file("model.layers.1.x", 30));
    write("adapter_model.safetensors", tensor_file("model.layers.1.lora", 7));
    EXPECT_EQ(meta().weights.total(), 50u) << "the same weights twice, and an adapter";
    write("model.safetensors", tensor_file("model.layers.1.x", 90));
    EXPECT_EQ(meta().weights.total(), 90u);
    write("tokenizer_config.json", R"({"chat_template":"{{ messages }}"})");
    EXPECT_TRUE(meta().has_chat_template);
    write("model.safetensors", "damaged");
    EXPECT_THAT(problem(), HasSubstr("model.safetensors: it is too short"));
}

TEST_F(ReadModel, ReadsWhatLiesBeside) {
    write("config.json", kConfig);
    write("chat_template.jinja", "{{ messages }}");
    write("1_Pooling/config.json", R"({"pooling_mode_lasttoken":true,"pooling_mode_cls_token":false})");
    write("quant_model_description_w8a8.json", R"({"model_quant_type":"W8A8","model.layers.0.x":"W8A8"})");
    const ModelMeta read = meta();
    EXPECT_TRUE(read.has_chat_template);
    EXPECT_EQ(read.modality, "embedding");
    EXPECT_EQ(read.pooling, "last");
    EXPECT_EQ(read.quantization, "w8a8");
    std::filesystem::remove(folder_ / "quant_model_description_w8a8.json");
    write("hf_quant_config.json", R"({"producer":{"name":"modelopt"},"quantization":{"quant_algo":"NVFP4","group_size":16}})");
    EXPECT_EQ(meta().quantization, "nvfp4");
    write("1_Pooling/config.json", "[");
    EXPECT_THAT(problem(), HasSubstr("1_Pooling/config.json"));
}

TEST_F(ReadModel, SumsAPipelinesComponents) {
    write("model_index.json", R"({"_class_name":"StableDiffusionPipeline","unet":["diffusers","UNet2DConditionModel"],
        "vae":["diffusers","AutoencoderKL"],"safety_checker":[null,null],"scheduler":["diffusers","PNDMScheduler"]})");
    write("unet/diffusion_pytorch_model.safetensors", tensor_file("down_blocks.0.x", 70));
    write("unet/diffusion_pytorch_model.fp16.safetensors", tensor_file("down_blocks.0.x", 35));
    write("vae/diffusion_pytorch_model.safetensors", tensor_file("decoder.x", 30));
    write("scheduler/scheduler_config.json", "{}");
    const ModelMeta read = meta();
    EXPECT_EQ(read.modality, "image");
    EXPECT_EQ(read.architecture, "StableDiffusionPipeline");
    EXPECT_EQ(read.weights.total(), 100u);
    write("model_index.json", R"({"../..":["a","b"]})");
    EXPECT_THAT(problem(), HasSubstr("no component"));
}

TEST_F(ReadModel, TakesTheOneGgufOfAFolder) {
    write("m.gguf", Model().bytes());
    write("README.md", "a model");
    EXPECT_EQ(meta().architecture, "llama");
    const uint64_t alone = meta().file_bytes;
    Model tower;
    tower.only(10, [](Writer& w) {
        w.string("general.architecture", "clip").u32("clip.vision.attention.head_count", 16).string("clip.projector_type", "qwen2vl_merger");
        w.u32("clip.vision.embedding_length", 1280).u32("clip.vision.feed_forward_length", 5120).u32("clip.vision.projection_dim", 1536);
        w.u32("clip.vision.image_size", 560).u32("clip.vision.patch_size", 14).u32("clip.vision.spatial_merge_size", 2);
        w.u32("clip.vision.image_max_pixels", 1'000'000);
    });
    write("mmproj-m.gguf", tower.bytes());
    const ModelMeta both = meta();
    EXPECT_EQ(both.modality, "vision");
    EXPECT_EQ(both.vision_heads, 16u);
    EXPECT_EQ(both.tower, (VisionTower{.projector = "qwen2vl_merger", .embedding_length = 1280, .feed_forward_length = 5120,
                                       .projection_length = 1536, .image_side = 560, .patch_side = 14, .merged_side = 2,
                                       .image_pixels_max = 1'000'000, .gated = false}));
    EXPECT_EQ(both.file_bytes, alone + tower.bytes().size());
    write("another.gguf", Model().bytes());
    EXPECT_THAT(problem(), HasSubstr("several models: another.gguf, m.gguf"));
    for (int i = 0; i < 10; ++i) write("m" + std::to_string(i) + ".gguf", "");
    EXPECT_THAT(problem(), HasSubstr("8 more"));
}

TEST_F(ReadModel, PrefersTheConfigurationWhereItHasWeights) {
    write("config.json", kConfig);
    write("m.gguf", Model().bytes());
    EXPECT_EQ(meta().format, "gguf");
    write("model.safetensors", tensor_file("model.layers.1.x", 90));
    EXPECT_EQ(meta().format, "safetensors");
}

TEST_F(ReadModel, RefusesWhatIsNoModel) {
    EXPECT_THAT(problem(), HasSubstr("neither config.json"));
    EXPECT_EQ(read_model(folder_ / "none").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(read_model("").error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(read_model(std::string("a\0b", 3)).error().code, ErrorCode::kInvalidArgument);
    write("m-00002-of-00003.gguf", "");
    EXPECT_THAT(problem(), HasSubstr("no whole model"));
}

TEST_F(ReadModel, OpensNoLinksAndNoPipes) {
    std::filesystem::create_directory_symlink(folder_, folder_ / "link");
    EXPECT_THAT(read_model(folder_ / "link").error().message, HasSubstr("symbolic link"));
    std::filesystem::remove(folder_ / "link");
    ASSERT_EQ(::mkfifo((folder_ / "config.json").c_str(), 0600), 0);
    EXPECT_THAT(problem(), HasSubstr("config.json: it is no regular file"));
    std::filesystem::remove(folder_ / "config.json");
    std::filesystem::create_symlink("/etc/passwd", folder_ / "config.json");
    EXPECT_THAT(problem(), HasSubstr("config.json: its path is a symbolic link"));
    std::filesystem::remove(folder_ / "config.json");
    write("config.json", kConfig);
    std::filesystem::create_symlink("/dev/zero", folder_ / "model.safetensors");
    EXPECT_THAT(problem(), HasSubstr("model.safetensors: its path is a symbolic link"));
}

// ~/.cache/huggingface/hub/models--ORG--NAME as huggingface_hub makes it.
TEST_F(ReadModel, FollowsTheLinksOfHuggingFacesCacheToItsBlobs) {
    const std::string digest(40, 'a'), other(64, 'b');
    write("blobs/" + digest, kConfig);
    write("blobs/" + other, safetensors(R"({"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}})", 8));
    std::filesystem::create_directories(folder_ / "snapshots/rev");
    const auto link = [&](const std::string& target, const std::string& name) {
        std::filesystem::remove(folder_ / "snapshots/rev" / name);
        std::filesystem::create_symlink(target, folder_ / "snapshots/rev" / name);
    };
    link("../../blobs/" + digest, "config.json");
    link("../../blobs/" + other, "model.safetensors");
    const auto read = read_model(folder_ / "snapshots/rev");
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->parameter_count, 4u);
    const std::vector<std::string> refused = {"../blobs/" + digest, "../../blobs/../" + digest, "../../blobs/" + digest.substr(1),
                                              "../../../etc/passwd", "/" + other, "../../blobs/" + digest + "/"};
    for (const std::string& target : refused) {
        link(target, "config.json");
        EXPECT_THAT(read_model(folder_ / "snapshots/rev").error().message, HasSubstr("symbolic link")) << target;
    }
    std::filesystem::create_symlink("/etc/hostname", folder_ / "blobs" / std::string(40, 'c'));
    link("../../blobs/" + std::string(40, 'c'), "config.json");
    EXPECT_THAT(read_model(folder_ / "snapshots/rev").error().message, HasSubstr("symbolic link")) << "a blob is a file";
}

// ModelScope's cache: "Qwen2.5-0.5B" beside "Qwen2___5-0___5B".
TEST_F(ReadModel, FollowsALinkToANameInTheSameFolder) {
    write("Qwen2___5/config.json", kConfig);
    write("Qwen2___5/model.safetensors", safetensors(R"({"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}})", 8));
    std::filesystem::create_directory_symlink(folder_ / "Qwen2___5", folder_ / "Qwen2.5");
    EXPECT_TRUE(read_model(folder_ / "Qwen2.5").ok());
    EXPECT_TRUE(read_model(folder_.string() + "/Qwen2.5/").ok());
}

TEST_F(ReadModel, FollowsNoLinksToFoldersElsewhere) {
    write("elsewhere/config.json", R"({"pooling_mode_cls_token":true})");
    write("model/config.json", kConfig);
    std::filesystem::create_directory_symlink(folder_ / "elsewhere", folder_ / "model" / "1_Pooling");
    EXPECT_THAT(read_model(folder_ / "model").error().message, HasSubstr("1_Pooling: its path is a symbolic link"));
    write("pipeline/model_index.json", R"({"unet":["diffusers","UNet2DConditionModel"]})");
    std::filesystem::create_directory_symlink(folder_ / "elsewhere", folder_ / "pipeline" / "unet");
    EXPECT_THAT(read_model(folder_ / "pipeline").error().message, HasSubstr("unet: its path is a symbolic link"));
    std::filesystem::remove(folder_ / "pipeline" / "unet");
    write("pipeline/unet", "a file");
    EXPECT_THAT(read_model(folder_ / "pipeline").error().message, HasSubstr("unet: it is no folder"));
}

TEST_F(ReadModel, BoundsFoldersAndConfigurations) {
    write("config.json", std::string(5 << 20, ' ') + kConfig);
    EXPECT_THAT(problem(), HasSubstr("larger than 4096 KiB"));
    write("config.json", "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}");
    EXPECT_THAT(problem(), HasSubstr("nested deeper"));
    write("config.json", "[1]");
    EXPECT_THAT(problem(), HasSubstr("no JSON object"));
    write("config.json", kConfig);
    for (int i = 0; i < 20'001; ++i) std::filesystem::create_hard_link(folder_ / "config.json", folder_ / std::to_string(i));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THAT(problem(), HasSubstr("more than 20000 files"));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(ReadRealModel, ReadsAFolderOfTransformers) {
    const char* home = std::getenv("HOME");
    const std::string folder =
        std::string(home != nullptr ? home : "") + "/.cache/gantry/rivals/dequantized/SmolLM2-135M-Instruct.Q4_1";
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no dequantized model: ./dev bench makes one to compare engines";
    const auto meta = read_model(folder);
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->parameter_count, 134'515'008u);
    EXPECT_EQ(meta->layers, 30u);
    EXPECT_EQ(meta->weights.total(), 134'515'008u * 2);
    EXPECT_TRUE(meta->has_chat_template);
    EXPECT_EQ(describe(*meta), "LlamaForCausalLM, 135M parameters, bfloat16, 30 layers, context 8,192, safetensors");
}

TEST_F(ReadModel, StopsWhereTheFilesTogetherSayTooMuch) {
    write("config.json", kConfig);
    for (const std::string name : {"a", "b", "c"}) write(name + ".safetensors", tensor_file("model.layers.0." + name, 8));
    const auto whole = read_model(folder_);
    ASSERT_TRUE(whole.ok()) << whole.error().message;
    const uint64_t config = std::filesystem::file_size(folder_ / "config.json"), file = std::filesystem::file_size(folder_ / "a.safetensors") - 8;
    EXPECT_TRUE(read_model(folder_, {.bytes_max = config + 3 * file}).ok()) << "exactly what it takes";
    const auto less = read_model(folder_, {.bytes_max = config + 3 * file - 1});
    ASSERT_FALSE(less.ok());
    EXPECT_THAT(less.error().message, HasSubstr("invalid model file: its files say more of themselves than"));
}

TEST_F(ReadModel, IsGivenUpBetweenTwoReads) {
    write("config.json", kConfig);
    write("a.safetensors", tensor_file("model.layers.0.a", 8));
    int asked = 0;
    const auto given_up = read_model(folder_, {.give_up = [&] { return ++asked > 1; }});
    ASSERT_FALSE(given_up.ok());
    EXPECT_THAT(given_up.error().message, HasSubstr("given up"));
    EXPECT_EQ(asked, 2) << "nothing is read after that";
}

}  // namespace
}  // namespace gantry::models
