#include "models/gguf_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "models/gguf_for_test.h"

namespace gantry::models {
namespace {

using testing::HasSubstr;

TEST(GgufReader, TakesASmallModel) {
    const auto meta = read(Model().bytes());
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->format, "gguf");
    EXPECT_EQ(meta->architecture, "llama");
    EXPECT_EQ(meta->name, "tiny");
    EXPECT_EQ(meta->quantization, "Q4_0");
    EXPECT_EQ(meta->parameter_count, 64 * 3 + 64u);
    EXPECT_EQ(meta->layers, 2u);
    EXPECT_EQ(meta->context_length, 512u);
    EXPECT_EQ(meta->embedding_length, 64u);
    EXPECT_EQ(meta->heads, 4u);
    EXPECT_EQ(meta->heads_kv, 2u);
    EXPECT_EQ(meta->vocabulary, 3u);
    EXPECT_TRUE(meta->has_chat_template);
    EXPECT_EQ(meta->pooling, "") << "it generates text";
    EXPECT_EQ(meta->file_bytes, Model().bytes().size());
}

TEST(GgufReader, SaysHowAModelPools) {
    const auto pooling = [](std::function<void(Writer&)> more, int64_t count = 1) {
        Model model;
        const auto meta = read(model.with(std::move(more), count).bytes());
        return meta.ok() ? meta->pooling : meta.error().message;
    };
    const std::pair<uint32_t, const char*> cases[] = {{0, ""}, {1, "mean"}, {2, "cls"}, {3, "last"}, {4, "rank"}, {5, ""}, {77, ""}};
    for (const auto& [type, name] : cases) {
        EXPECT_EQ(pooling([t = type](Writer& w) { w.u32("llama.pooling_type", t); }), name) << type;
    }
    const auto causal = [](uint8_t value) {
        return [value](Writer& w) { w.key("llama.attention.causal", kBool).put<uint8_t>(value); };
    };
    EXPECT_EQ(pooling(causal(0)), "mean") << "an encoder";
    EXPECT_EQ(pooling(causal(1)), "");
    EXPECT_EQ(pooling([&](Writer& w) { causal(0)(w); w.u32("llama.pooling_type", 2); }, 2), "cls");
    EXPECT_EQ(pooling([](Writer& w) { w.string("llama.pooling_type", "mean"); }), "");
}

TEST(GgufReader, TakesARealEncoder) {
    const std::string path = cached_model("embed/all-MiniLM-L6-v2.f16.gguf");
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "the model is not in the cache: run ./dev models minilm-l6";
    const auto meta = read_gguf_file(path);
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->architecture, "bert");
    EXPECT_EQ(meta->pooling, "mean");
    EXPECT_EQ(meta->context_length, 512u);
    EXPECT_EQ(meta->embedding_length, 384u);
}

TEST(GgufReader, TakesVersion2AndAnAlignmentOfItsOwn) {
    Model model;
    model.version = 2;
    model.alignment = 64;
    model.with([](Writer& w) { w.u32("general.alignment", 64); });
    EXPECT_EQ(refusal(model.bytes()), "");
}

TEST(GgufReader, ReadsTheRealModel) {
    const std::string path = cached_model("llm/SmolLM2-135M-Instruct.Q4_1.gguf");
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "the model is not in the cache: run ./dev models smollm2-135m";
    const auto begin = std::chrono::steady_clock::now();
    const auto meta = read_gguf_file(path);
    const auto took = std::chrono::steady_clock::now() - begin;
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->architecture, "llama");
    EXPECT_EQ(meta->quantization, "Q4_1");
    EXPECT_EQ(meta->layers, 30u);
    EXPECT_EQ(meta->context_length, 8192u);
    EXPECT_EQ(meta->embedding_length, 576u);
    EXPECT_EQ(meta->heads, 9u);
    EXPECT_EQ(meta->heads_kv, 3u);
    EXPECT_EQ(meta->vocabulary, 49152u);
    EXPECT_EQ(meta->parameter_count, 134'515'008u);
    EXPECT_TRUE(meta->has_chat_template);
    EXPECT_EQ(meta->file_bytes, std::filesystem::file_size(path));
    EXPECT_LT(took, std::chrono::seconds(2));
}

// Row 41 of the trust checklist: the cases of llama.cpp's test-gguf, made anew.
TEST(GgufReader, RefusesABadHeader) {
    Model model;
    model.magic = "GGML";
    EXPECT_THAT(refusal(model.bytes()), HasSubstr("does not start with GGUF"));
    for (const uint32_t version : {0u, 1u, 4u, 0xFFFFFFFFu}) {
        model = {};
        model.version = version;
        EXPECT_THAT(refusal(model.bytes()), HasSubstr("version")) << version;
    }
    model = {};
    model.version = 0x03000000;
    EXPECT_THAT(refusal(model.bytes()), HasSubstr("big-endian"));
    for (const int64_t count : {int64_t{-1}, INT64_MIN, INT64_MAX, int64_t{1} << 40, int64_t{65537}}) {
        model = {};
        model.tensor_count = count;
        EXPECT_THAT(refusal(model.bytes()), HasSubstr("tensors")) << count;
        model = {};
        model.pair_count = count;
        EXPECT_THAT(refusal(model.bytes()), HasSubstr("keys")) << count;
    }
    model = {};
    model.tensor_count = 0;
    EXPECT_THAT(refusal(model.bytes()), HasSubstr("no tensors"));
    EXPECT_THAT(refusal(""), HasSubstr("ends inside"));
    Writer empty;
    empty.raw("GGUF").put<uint32_t>(3).put<int64_t>(0).put<int64_t>(0);
    EXPECT_NE(refusal(empty.bytes), "");
}

TEST(GgufReader, RefusesBadPairs) {
    const auto refused = [](std::function<void(Writer&)> more) { return refusal(Model().with(std::move(more)).bytes()); };
    // Key sizes.
    for (const uint64_t size : {~0ull, 1ull << 63, 1ull << 40, 1025ull}) {
        EXPECT_NE(refused([&](Writer& w) { w.put<uint64_t>(size).raw("x").put<uint32_t>(kU32).put<uint32_t>(1); }), "");
    }
    EXPECT_THAT(refused([](Writer& w) { w.u32("", 1); }), HasSubstr("has no name"));
    // Types.
    for (const uint32_t type : {13u, 14u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
        EXPECT_THAT(refused([&](Writer& w) { w.key("x", type).put<uint64_t>(0); }), HasSubstr("invalid type"));
        EXPECT_THAT(refused([&](Writer& w) { w.key("x", kArr).put<uint32_t>(type).put<uint64_t>(0); }),
                    HasSubstr("invalid type"));
    }
    // Value sizes, among them the string of 2^63 bytes (Ollama's TestReadStringRejectsOversizedLength).
    for (const uint64_t size : {~0ull, 1ull << 63, (1ull << 63) - 1, 1ull << 40}) {
        EXPECT_NE(refused([&](Writer& w) { w.key("x", kStr).put<uint64_t>(size).raw("abc"); }), "") << size;
        for (const uint32_t type : {kU8, kU16, kU32, kF32, kU64, kStr}) {
            EXPECT_NE(refused([&](Writer& w) { w.key("x", kArr).put<uint32_t>(type).put<uint64_t>(size); }), "") << size;
        }
    }
    EXPECT_THAT(refused([](Writer& w) { w.u32("general.name", 1); }), HasSubstr("appears twice"));
    for (const uint32_t alignment : {0u, 3u, 33u, 1u << 31, 0xFFFFFFFFu}) {
        EXPECT_THAT(refused([&](Writer& w) { w.u32("general.alignment", alignment); }), HasSubstr("alignment"));
    }
    EXPECT_THAT(refused([](Writer& w) { w.key("general.alignment", kU64).put<uint64_t>(32); }), HasSubstr("alignment"));
    EXPECT_THAT(refused([](Writer& w) {
                    w.key("general.alignment", kArr).put<uint32_t>(kU32).put<uint64_t>(1).put<uint32_t>(32);
                }),
                HasSubstr("alignment"));
}

TEST(GgufReader, RefusesBadTensors) {
    const auto refused = [](int64_t count, std::function<void(Writer&)> tensors, uint64_t data_bytes = 4096) {
        Model model;
        model.tensor_count = count;
        model.tensors = std::move(tensors);
        model.data_bytes = data_bytes;
        return refusal(model.bytes());
    };
    EXPECT_EQ(refused(1, [](Writer& w) { w.tensor("a", {32}, 0, 0); }), "");
    // BAD_NAME_SIZE
    for (const uint64_t size : {64ull, 1ull << 20, 1ull << 63, ~0ull}) {
        EXPECT_NE(refused(1, [&](Writer& w) { w.put<uint64_t>(size).raw(std::string(100, 'n')); }), "");
    }
    // BAD_N_DIMS, BAD_SHAPE, NE_TOO_BIG, NBYTES_TOO_BIG, NBYTES_PAD_WRAP
    EXPECT_THAT(refused(1, [](Writer& w) { w.tensor("a", {1, 1, 1, 1, 1}, 0, 0); }), HasSubstr("dimensions"));
    EXPECT_THAT(refused(1, [](Writer& w) { w.text("a").put<uint32_t>(0xFFFFFFFF); }), HasSubstr("dimensions"));
    const int64_t kBig = int64_t{1} << 62;
    for (const std::vector<int64_t>& shape :
         std::vector<std::vector<int64_t>>{{-1}, {-32, 2}, {32, -1}, {INT64_MIN}, {INT64_MIN, 2}, {kBig, 4}, {kBig, 2, 2},
                                           {1 << 30, 1 << 30, 1 << 30}, {kBig, kBig, kBig, kBig}, {4294967296, 4294967296},
                                           {INT64_MAX}, {INT64_MAX - 31}, {kBig}, {INT64_MAX, 0, 2}, {1 << 20, 1 << 20}}) {
        for (const uint32_t type : {0u, 2u, 12u, 28u}) {
            EXPECT_NE(refused(1, [&](Writer& w) { w.tensor("a", shape, type, 0); }), "") << shape[0] << " " << type;
        }
    }
    EXPECT_THAT(refused(1, [](Writer& w) { w.tensor("a", {33, 2}, 2, 0); }), HasSubstr("no multiple"));
    EXPECT_EQ(refused(2, [](Writer& w) { w.tensor("a", {0, 4}, 0, 0).tensor("b", {4}, 0, 0); }), "");  // ZERO_DIM
    // BAD_TYPE, removed types among them
    for (const uint32_t type : {4u, 5u, 31u, 33u, 36u, 38u, 43u, 1000u, 0xFFFFFFFFu}) {
        EXPECT_THAT(refused(1, [&](Writer& w) { w.tensor("a", {32}, type, 0); }), HasSubstr("unknown type")) << type;
    }
    // BAD_OFFSET (Ollama's TestTensorReaderRejectsInvalidOffset), overlap, INCONSISTENT_ALIGN, DUPLICATE_NAME
    for (const uint64_t offset : {1ull, 32ull, 1ull << 40, ~0ull, 1ull << 63}) {
        EXPECT_THAT(refused(1, [&](Writer& w) { w.tensor("a", {32}, 0, offset); }), HasSubstr("expected")) << offset;
    }
    EXPECT_THAT(refused(2, [](Writer& w) { w.tensor("a", {32}, 0, 0).tensor("b", {32}, 0, 0); }), HasSubstr("expected"));
    EXPECT_THAT(refused(2, [](Writer& w) { w.tensor("a", {33}, 0, 0).tensor("b", {32}, 0, 132); }), HasSubstr("expected"));
    EXPECT_THAT(refused(2, [](Writer& w) { w.tensor("a", {32}, 0, 0).tensor("a", {32}, 0, 128); }), HasSubstr("twice"));
    // NOT_ENOUGH_DATA
    EXPECT_THAT(refused(1, [](Writer& w) { w.tensor("a", {1024}, 0, 0); }, 4095), HasSubstr("cut off"));
    EXPECT_EQ(refused(1, [](Writer& w) { w.tensor("a", {1024}, 0, 0); }, 4096), "");
    // Many tensors whose sizes add up beyond what 64 bits count.
    EXPECT_NE(refused(8,
                      [](Writer& w) {
                          const uint64_t bytes = uint64_t{1} << 61;
                          for (uint64_t i = 0; i < 8; ++i) w.tensor(std::to_string(i), {int64_t{1} << 61}, 24, i * bytes);
                      }),
              "");
}

// Row 42: numbers that would make a reader or an evaluation divide by zero, loop or allocate.
TEST(GgufReader, RefusesAbsurdHyperparameters) {
    struct Case { const char* key; uint32_t value; };
    for (const Case& c : {Case{"block_count", 0}, {"block_count", 1'000'000'000}, {"attention.head_count", 0},
                          {"attention.head_count", 0xFFFFFFFF}, {"attention.head_count_kv", 0}, {"embedding_length", 0},
                          {"embedding_length", 0xFFFFFFFF}, {"context_length", 0}, {"context_length", 0xFFFFFFFF},
                          {"attention.key_length", 0}, {"attention.key_length", 1u << 31}, {"vocab_size", 100'000'000}}) {
        Model model;
        model.only(2, [&](Writer& w) { w.string("general.architecture", "x").u32(std::string("x.") + c.key, c.value); });
        EXPECT_THAT(refusal(model.bytes()), HasSubstr(c.key)) << c.value;
    }
    Model negative;
    negative.only(2, [](Writer& w) { w.string("general.architecture", "x").key("x.block_count", kI32).put<int32_t>(-1); });
    EXPECT_THAT(refusal(negative.bytes()), HasSubstr("block_count"));
    Model text;
    text.only(2, [](Writer& w) { w.string("general.architecture", "x").string("x.block_count", "30"); });
    EXPECT_THAT(refusal(text.bytes()), HasSubstr("no number"));
    Model heads;
    heads.only(4, [](Writer& w) {
        w.string("general.architecture", "x").u32("x.block_count", 1);
        w.u32("x.attention.head_count", 4).u32("x.attention.head_count_kv", 8);
    });
    EXPECT_THAT(refusal(heads.bytes()), HasSubstr("more key-value heads"));
    Model wide;
    wide.only(3, [](Writer& w) {
        w.string("general.architecture", "x").u32("x.embedding_length", 2).u32("x.attention.head_count", 4);
    });
    EXPECT_THAT(refusal(wide.bytes()), HasSubstr("do not fit"));
}

TEST(GgufReader, TakesAStateSpaceModelWithoutHeads) {
    Model model;
    model.only(4, [](Writer& w) {
        w.string("general.architecture", "mamba").u32("mamba.block_count", 24);
        w.u32("mamba.attention.head_count", 0).u32("mamba.ssm.state_size", 16);
    });
    const auto meta = read(model.bytes());
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->heads, 0u);
    EXPECT_EQ(meta->layers, 24u);
}

TEST(GgufReader, TakesHeadsGivenPerLayer) {
    Model model;
    model.only(4, [](Writer& w) {
        w.string("general.architecture", "x").u32("x.block_count", 3).u32("x.attention.head_count", 8);
        w.key("x.attention.head_count_kv", kArr).put<uint32_t>(kI32).put<uint64_t>(3);
        w.put<int32_t>(2).put<int32_t>(4).put<int32_t>(0);
    });
    const auto meta = read(model.bytes());
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->heads_kv, 4u);
}

TEST(GgufReader, RefusesSplitFilesAndMissingOrOddArchitectures) {
    EXPECT_THAT(refusal(Model().with([](Writer& w) { w.key("split.count", kU16).put<uint16_t>(1000); }).bytes()),
                HasSubstr("one part of 1000"));
    EXPECT_EQ(refusal(Model().with([](Writer& w) { w.key("split.count", kU16).put<uint16_t>(1); }).bytes()), "");
    EXPECT_THAT(refusal(Model().only(0, [](Writer&) {}).bytes()), HasSubstr("is missing"));
    EXPECT_THAT(refusal(Model().only(1, [](Writer& w) { w.u32("general.architecture", 5); }).bytes()), HasSubstr("is missing"));
    for (const std::string& name : {std::string(), std::string("a b"), std::string("../x"), std::string(300, 'a'),
                                    std::string("a\0b", 3), std::string("l\xffm")}) {
        EXPECT_THAT(refusal(Model().only(1, [&](Writer& w) { w.string("general.architecture", name); }).bytes()),
                    HasSubstr("architecture"));
    }
}

TEST(GgufReader, CleansAndCutsTheNamesItPassesOn) {
    Model model;
    model.only(2, [](Writer& w) {
        w.string("general.architecture", "x");
        w.string("general.name", std::string("a\n\x1b[31m\xc3\x28\xed\xa0\x80\xf0\x9f\x98\x80") + std::string(10'000, 'z'));
    });
    const auto meta = read(model.bytes());
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_THAT(meta->name, testing::StartsWith("a??[31m?(???\xf0\x9f\x98\x80zzz"));
    EXPECT_LE(meta->name.size(), 256u);
    // A hostile key in an error text is cleaned as well (refusal() looks for control characters).
    EXPECT_NE(refusal(Model().with([](Writer& w) { w.key("\x1b[2J\r\nx", 77).put<uint64_t>(0); }).bytes()), "");
}

TEST(GgufReader, NamesTheMixtureOnlyWhereItFits) {
    const auto quantization = [](uint32_t type, uint32_t file_type) {
        Model model;
        model.only(2, [&](Writer& w) { w.string("general.architecture", "x").u32("general.file_type", file_type); });
        model.tensor_count = 1;
        model.tensors = [&](Writer& w) { w.tensor("a", {256}, type, 0); };
        model.data_bytes = 1024;
        const auto meta = read(model.bytes());
        return meta.ok() ? meta->quantization : meta.error().message;
    };
    EXPECT_EQ(quantization(12, 15), "Q4_K_M");
    EXPECT_EQ(quantization(12, 14), "Q4_K_S");
    EXPECT_EQ(quantization(12, 17), "Q4_K");
    EXPECT_EQ(quantization(8, 7), "Q8_0");
    EXPECT_EQ(quantization(1, 1), "F16");
    EXPECT_EQ(quantization(30, 0xFFFFFFFF), "BF16");
}

TEST(GgufReader, RefusesEveryTruncation) {
    const std::string whole = Model().bytes();
    ASSERT_EQ(refusal(whole), "");
    for (size_t length = 0; length < whole.size(); ++length) EXPECT_NE(refusal(whole.substr(0, length)), "") << length;
}

TEST(GgufReader, SurvivesEveryFlippedBit) {
    const std::string whole = Model().bytes();
    for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
        std::string flipped = whole;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        const auto meta = read(flipped);
        if (meta.ok()) {
            EXPECT_LE(meta->parameter_count, whole.size() * 8);
        }
    }
    // And with many wrong bytes at once; seeded, so that a failure can be had again.
    std::mt19937_64 random(41);
    for (int round = 0; round < 20'000; ++round) {
        std::string wrong = whole;
        for (int n = 0; n < 4; ++n) wrong[random() % wrong.size()] = static_cast<char>(random() % 3 ? random() : 0xFF);
        (void)read(wrong);
    }
}

// Files, sparse ones among them.
class GgufFile : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "gguf_XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string write(const std::string& name, const std::string& bytes, uint64_t size = 0) {
        const std::string path = folder_ / name;
        std::ofstream(path, std::ios::binary) << bytes;
        if (size > 0) std::filesystem::resize_file(path, size);
        return path;
    }
    static std::string problem(const std::string& path) {
        const auto result = read_gguf_file(path);
        return result.ok() ? "" : result.error().message;
    }
    std::filesystem::path folder_;
};

TEST_F(GgufFile, ReadsAFile) { EXPECT_EQ(problem(write("ok.gguf", Model().bytes())), ""); }

TEST_F(GgufFile, RefusesWhatIsNoRegularFile) {
    const std::string fifo = folder_ / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const std::string link = folder_ / "link";
    write("real.gguf", Model().bytes());
    std::filesystem::create_symlink(folder_ / "." / "real.gguf", link);
    std::filesystem::create_symlink(folder_ / "loop", folder_ / "loop");
    for (const std::string& path : {fifo, link, std::string(folder_ / "loop"), folder_.string(), std::string("/dev/zero"),
                                    std::string("/dev/null"), std::string("/proc/self/environ"), std::string("/proc/self/mem"),
                                    std::string("/sys/kernel/mm/transparent_hugepage/enabled"), std::string(),
                                    std::string("a\0b", 3)}) {
        if (path.starts_with("/sys") && !std::filesystem::exists(path)) continue;
        const auto result = read_gguf_file(path);
        ASSERT_FALSE(result.ok()) << path;
        EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument) << path << ": " << result.error().message;
    }
    EXPECT_EQ(read_gguf_file(folder_ / "none").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(read_gguf_file(folder_ / "real.gguf" / "below").error().code, ErrorCode::kNotFound);
    if (::geteuid() != 0) {
        const std::string closed = write("closed.gguf", Model().bytes());
        ASSERT_EQ(::chmod(closed.c_str(), 0), 0);
        EXPECT_EQ(read_gguf_file(closed).error().code, ErrorCode::kPermissionDenied);
    }
}

TEST_F(GgufFile, RefusesEveryCutAt4KiB) {
    Model model;
    model.tensor_count = 1;
    model.tensors = [](Writer& w) { w.tensor("a", {256 * 1024}, 0, 0); };
    model.data_bytes = 1 << 20;
    // A vocabulary of some pages, so that cuts fall into the header as well.
    model.with([](Writer& w) {
        w.key("tokenizer.ggml.merges", kArr).put<uint32_t>(kStr).put<uint64_t>(8192);
        for (int i = 0; i < 8192; ++i) w.text("merge");
    });
    const std::string whole = model.bytes();
    const std::string path = write("cut.gguf", whole);
    ASSERT_EQ(problem(path), "");
    for (uint64_t size = whole.size() / 4096 * 4096;; size -= 4096) {
        std::filesystem::resize_file(path, size);
        EXPECT_NE(problem(path), "") << size;
        if (size == 0) break;
    }
}

// What the reader may cost on the worst file that its limits let through.
TEST_F(GgufFile, BoundsTimeAndMemoryOnSparseBombs) {
    constexpr uint64_t kTerabyte = 1ull << 40;
    const auto header = [](std::function<void(Writer&)> pair) {
        Writer w;
        w.raw("GGUF").put<uint32_t>(3).put<int64_t>(1).put<int64_t>(1);
        pair(w);
        return w.bytes;
    };
    std::vector<std::pair<std::string, std::string>> bombs;
    bombs.emplace_back("zeros", std::string("GGUF\3\0\0\0", 8));
    bombs.emplace_back("string of 2^39", header([](Writer& w) { w.key("x", kStr).put<uint64_t>(1ull << 39); }));
    bombs.emplace_back("bytes of 2^39",
                       header([](Writer& w) { w.key("x", kArr).put<uint32_t>(kU8).put<uint64_t>(1ull << 39); }));
    bombs.emplace_back("vocabulary of 10^8",
                       header([](Writer& w) { w.key("x", kArr).put<uint32_t>(kStr).put<uint64_t>(100'000'000); }));
    bombs.emplace_back("vocabulary as large as may be",
                       header([](Writer& w) { w.key("x", kArr).put<uint32_t>(kStr).put<uint64_t>(16ull << 20); }));
    Writer counts;
    counts.raw("GGUF").put<uint32_t>(3).put<int64_t>(65536).put<int64_t>(16384);
    bombs.emplace_back("counts as large as may be", counts.bytes);
    bombs.emplace_back("one array of arrays",
                       header([](Writer& w) { w.key("x", kArr).put<uint32_t>(kArr).put<uint64_t>(1ull << 39); }));

    rusage before{};
    ::getrusage(RUSAGE_SELF, &before);
    for (const auto& [name, bytes] : bombs) {
        const std::string path = write("bomb.gguf", bytes, kTerabyte);
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_NE(problem(path), "") << name;
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10)) << name;
    }
    rusage after{};
    ::getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024) << "KiB more resident";
}

TEST_F(GgufFile, NoticesAFileThatShrinksWhileRead) {
    ByteSource source;
    source.size = 1 << 20;
    source.read = [](uint64_t, char*, size_t) { return false; };
    const auto result = read_gguf(source);
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message, HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace gantry::models
