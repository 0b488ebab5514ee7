#include "models/safetensors_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "models/folder_for_test.h"
#include "models/gguf_for_test.h"
#include "models/model_reader.h"

namespace gantry::models {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

// "" where the file was taken.
std::string refused(const std::string& bytes, WeightTally* tally = nullptr, const WeightRules& rules = {}) {
    WeightTally own;
    const Status read = read_safetensors(source_of(bytes), rules, tally != nullptr ? *tally : own);
    if (read.ok()) return {};
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(read.error().reason, "invalid_model_file");
    EXPECT_THAT(read.error().message, testing::StartsWith("invalid model file: "));
    for (const char c : read.error().message) EXPECT_GE(static_cast<unsigned char>(c), 0x20u);
    return read.error().message;
}
std::string refused_header(const std::string& header, uint64_t data_bytes) { return refused(safetensors(header, data_bytes)); }

TEST(Safetensors, SumsByPlaceAndType) {
    WeightTally tally;
    EXPECT_EQ(refused(safetensors(R"({"__metadata__":{"format":"pt"},
        "model.embed_tokens.weight":{"dtype":"BF16","shape":[10,4],"data_offsets":[0,80]},
        "model.layers.0.mlp.up_proj.weight":{"dtype":"BF16","shape":[4,4],"data_offsets":[80,112]},
        "model.layers.1.input_layernorm.weight":{"dtype":"F32","shape":[4],"data_offsets":[112,128]},
        "model.norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[128,144]},
        "visual.blocks.3.attn.qkv.weight":{"dtype":"F16","shape":[2,2],"data_offsets":[144,152]},
        "empty":{"dtype":"I64","shape":[0],"data_offsets":[152,152]}})", 152), &tally), "");
    EXPECT_EQ(tally.parameters(), 40u + 16 + 4 + 4 + 4);
    EXPECT_EQ(tally.layers_seen(), 2u);
    const WeightBytes weights = tally.by_place(2);
    EXPECT_EQ(weights.embedding, 80u);
    EXPECT_EQ(weights.output, 16u);
    EXPECT_EQ(weights.other, 8u);
    EXPECT_THAT(weights.layers, ElementsAre(32, 16));
    EXPECT_EQ(tally.by_place(1).other, 24u) << "a layer that the model does not have";
    EXPECT_THAT(tally.bytes_of_type(), UnorderedElementsAre(Pair("BF16", 112), Pair("F32", 32), Pair("F16", 8), Pair("I64", 0)));
    EXPECT_EQ(tally.most_floats(), "bfloat16");
}

TEST(Safetensors, CountsPackedWeightsAndNoScales) {
    const auto parameters = [](const std::string& header, uint64_t bytes, uint32_t bits) {
        WeightTally tally;
        EXPECT_EQ(refused(safetensors(header, bytes), &tally, {.packed_bits = bits}), "");
        return tally.parameters();
    };
    EXPECT_EQ(parameters(R"({"a.qweight":{"dtype":"I32","shape":[4,2],"data_offsets":[0,32]},
        "a.qzeros":{"dtype":"I32","shape":[1,2],"data_offsets":[32,40]},
        "a.scales":{"dtype":"F16","shape":[1,8],"data_offsets":[40,56]}})", 56, 4), 64u) << "AWQ: eight in each integer";
    EXPECT_EQ(parameters(R"({"a.weight":{"dtype":"F8_E4M3","shape":[4,4],"data_offsets":[0,16]},
        "a.weight_scale_inv":{"dtype":"F32","shape":[1,1],"data_offsets":[16,20]}})", 20, 8), 16u);
    EXPECT_EQ(parameters(R"({"a.weight":{"dtype":"U8","shape":[8,1],"data_offsets":[0,8]},
        "a.weight.absmax":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},
        "a.weight.quant_state.bitsandbytes__nf4":{"dtype":"U8","shape":[4],"data_offsets":[12,16]}})", 16, 4), 16u);
    EXPECT_EQ(parameters(R"({"e.down_proj_blocks":{"dtype":"U8","shape":[1,2,16],"data_offsets":[0,32]},
        "e.down_proj_scales":{"dtype":"U8","shape":[1,2],"data_offsets":[32,34]}})", 34, 4), 64u) << "MXFP4";
    EXPECT_EQ(parameters(R"({"a.weight":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})", 8, 0), 8u);
}

TEST(Safetensors, PlacesWeightsByName) {
    const auto place = [](const char* name, bool encoder_apart = false) {
        const TensorPlace found = place_of_weight(name, {.encoder_apart = encoder_apart});
        return std::string(1, "eolx"[static_cast<int>(found.place)]) +
               (found.place == Place::kLayer ? std::to_string(found.layer) : "");
    };
    EXPECT_EQ(place("model.embed_tokens.weight"), "e");
    EXPECT_EQ(place("lm_head.weight"), "o");
    EXPECT_EQ(place("model.norm.weight"), "o");
    EXPECT_EQ(place("model.layers.17.mlp.experts.3.down_proj.weight"), "l17");
    EXPECT_EQ(place("language_model.model.layers.2.self_attn.q_proj.weight"), "l2");
    EXPECT_EQ(place("vision_tower.vision_model.encoder.layers.4.mlp.fc1.weight"), "x");
    EXPECT_EQ(place("multi_modal_projector.linear_1.weight"), "x");
    EXPECT_EQ(place("embeddings.word_embeddings.weight"), "e");
    EXPECT_EQ(place("encoder.layer.5.output.dense.weight"), "l5");
    EXPECT_EQ(place("transformer.h.1.attn.c_attn.weight"), "l1");
    EXPECT_EQ(place("model.encoder.layers.3.fc1.weight", true), "x");
    EXPECT_EQ(place("model.decoder.layers.3.fc1.weight", true), "l3");
    EXPECT_EQ(place("model.layers.99999999999999999999.x"), "x");
    EXPECT_EQ(place("model.layers.-1.x"), "x");
    EXPECT_EQ(place(""), "x");
    EXPECT_EQ(place("..."), "x");
}

// Row 43 of the trust checklist.
TEST(Safetensors, RefusesHostileHeaders) {
    EXPECT_THAT(refused(""), HasSubstr("too short"));
    EXPECT_THAT(refused("abc"), HasSubstr("too short"));
    for (const uint64_t length : {1ull << 60, ~0ull, 1ull << 63, (32ull << 20) + 1, 100'000'000ull}) {
        std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
        EXPECT_THAT(refused(bytes + "{}"), HasSubstr("over the limit")) << length;
    }
    const uint64_t length = 1000;
    EXPECT_THAT(refused(std::string(reinterpret_cast<const char*>(&length), 8) + "{}"), HasSubstr("ends inside"));
    EXPECT_THAT(refused_header("", 0), HasSubstr("no JSON object"));
    EXPECT_THAT(refused_header("[]", 0), HasSubstr("no JSON object"));
    EXPECT_THAT(refused_header("{", 0), HasSubstr("its header"));
    EXPECT_THAT(refused_header("{} {}", 0), HasSubstr("its header"));
    EXPECT_THAT(refused_header("{}", 0), HasSubstr("no tensors"));
    EXPECT_THAT(refused_header(R"({"__metadata__":{}})", 0), HasSubstr("no tensors"));
    EXPECT_NE(refused_header(R"({"a":)" + std::string(1000, '[') + std::string(1000, ']') + "}", 0), "");
}

TEST(Safetensors, RefusesHostileTensors) {
    const auto entry = [](const std::string& type, const std::string& shape, const std::string& offsets) {
        return R"({"a":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
    };
    ASSERT_EQ(refused_header(entry("F32", "[2]", "[0,8]"), 8), "");
    EXPECT_THAT(refused_header(entry("F33", "[2]", "[0,8]"), 8), HasSubstr("unknown type"));
    EXPECT_THAT(refused_header(entry("F32", "[-2]", "[0,8]"), 8), HasSubstr("no whole number"));
    EXPECT_THAT(refused_header(entry("F32", "[2.5]", "[0,8]"), 8), HasSubstr("no whole number"));
    EXPECT_THAT(refused_header(entry("F32", "[9223372036854775807,9223372036854775807]", "[0,8]"), 8), HasSubstr("larger"));
    EXPECT_THAT(refused_header(entry("F32", "[4294967296,4294967296,4294967296]", "[0,8]"), 8), HasSubstr("larger"));
    EXPECT_THAT(refused_header(entry("F32", "[2]", "[8,0]"), 8), HasSubstr("no range"));
    EXPECT_THAT(refused_header(entry("F32", "[2]", "[-8,0]"), 8), HasSubstr("no range"));
    EXPECT_THAT(refused_header(entry("F32", "[2]", "[0,8,16]"), 8), HasSubstr("offsets"));
    EXPECT_THAT(refused_header(entry("F32", "[2]", "[0,16]"), 16), HasSubstr("not what"));
    EXPECT_THAT(refused_header(entry("F32", "[2]", "[0,18446744073709551615]"), 8), HasSubstr("not what"));
    EXPECT_THAT(refused_header(entry("F32", "2", "[0,8]"), 8), HasSubstr("no type, shape"));
    EXPECT_THAT(refused_header(entry("F4", "[3]", "[0,1]"), 1), HasSubstr("not what"));
    EXPECT_THAT(refused_header(R"({"a":[]})", 0), HasSubstr("no type"));
    EXPECT_THAT(refused_header(R"({"a\u001b[2J":1})", 0), HasSubstr("tensor"));
    const auto two = [](const std::string& first, const std::string& second, uint64_t data) {
        return refused_header(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":)" + first +
                                  R"(},"b":{"dtype":"U8","shape":[8],"data_offsets":)" + second + "}}", data);
    };
    EXPECT_EQ(two("[8,16]", "[0,8]", 16), "");
    EXPECT_THAT(two("[0,8]", "[4,12]", 12), HasSubstr("8 expected")) << "overlap";
    EXPECT_THAT(two("[0,8]", "[9,17]", 17), HasSubstr("8 expected")) << "a hole";
    EXPECT_THAT(two("[0,8]", "[8,16]", 15), HasSubstr("cut off"));
    EXPECT_THAT(two("[0,8]", "[8,16]", 17), HasSubstr("it has 17"));
    // Of a name that comes twice the last counts, so that the first leaves a hole.
    EXPECT_NE(refused_header(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},
        "a":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})", 16), "");
}

TEST(Safetensors, RefusesEveryTruncation) {
    const std::string whole = safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
    ASSERT_EQ(refused(whole), "");
    for (size_t length = 0; length < whole.size(); ++length) EXPECT_NE(refused(whole.substr(0, length)), "") << length;
    for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
        std::string flipped = whole;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        (void)refused(flipped);
    }
}

TEST(Safetensors, BoundsTimeOnManyTensors) {
    std::string header = "{";
    for (int i = 0; i < 100'000; ++i) {
        header += (i > 0 ? "," : "") + ("\"t" + std::to_string(i)) + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" +
                  std::to_string(i) + "," + std::to_string(i + 1) + "]}";
    }
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(refused_header(header + "}", 100'000), "");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Safetensors, ReadsARealFile) {
    const std::string path = cached_model("embed/all-MiniLM-L6-v2.safetensors");
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "the model is not in the cache: run ./dev models minilm-l6";
    const auto meta = read_model(path);
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->layers, 6u);
    EXPECT_EQ(meta->dtype, "float32");
    EXPECT_EQ(meta->file_bytes, std::filesystem::file_size(path));
    EXPECT_EQ(meta->parameter_count, 22'713'216u);
    EXPECT_EQ(meta->weights.embedding, (30522 + 512 + 2 + 2) * 384 * 4u + 512 * 8) << "with its places' numbers";
}

}  // namespace
}  // namespace gantry::models
