#include "models/gguf_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace gantry::models {
namespace {

using testing::HasSubstr;

class GgufKeys : public testing::Test {
protected:
    template <class T>
    void put(T value) {
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void text(const std::string& value) {
        put<uint64_t>(value.size());
        bytes_ += value;
    }
    void head(uint64_t keys) {
        bytes_ = "GGUF";
        put<uint32_t>(3);
        put<uint64_t>(0);
        put<uint64_t>(keys);
    }
    Result<std::vector<GgufKey>> read() {
        std::ofstream(path_, std::ios::binary) << bytes_;
        auto keys = read_gguf_keys(path_);
        std::filesystem::remove(path_);
        return keys;
    }
    std::string bytes_;
    const std::string path_ = testing::TempDir() + "keys-" + std::to_string(::getpid()) + ".gguf";
};

TEST_F(GgufKeys, AreReadInOrder) {
    head(5);
    text("general.architecture"), put<uint32_t>(8), text("llama");
    text("llama.block_count"), put<uint32_t>(4), put<uint32_t>(30);
    text("llama.rope.freq_base"), put<uint32_t>(6), put<float>(10000.5F);
    text("tokenizer.ggml.add_bos_token"), put<uint32_t>(7), put<uint8_t>(1);
    text("tokenizer.ggml.tokens"), put<uint32_t>(9), put<uint32_t>(8), put<uint64_t>(2), text("a"), text("bc");
    const auto keys = read();
    ASSERT_TRUE(keys.ok()) << keys.error().message;
    ASSERT_EQ(keys->size(), 5u);
    EXPECT_EQ((*keys)[0].value, "llama");
    EXPECT_EQ((*keys)[1].type + " " + (*keys)[1].value, "u32 30");
    EXPECT_EQ((*keys)[2].value, "10000.5");
    EXPECT_EQ((*keys)[3].value, "true");
    EXPECT_EQ((*keys)[4].type, "2 x string");
}

TEST_F(GgufKeys, AreBoundedByTheFile) {
    head(1);
    text("k"), put<uint32_t>(9), put<uint32_t>(4), put<uint64_t>(1ull << 60);
    EXPECT_THAT(read().error().message, HasSubstr("longer than the file"));
    head(1);
    text("k"), put<uint32_t>(9), put<uint32_t>(8), put<uint64_t>(1ull << 60);
    EXPECT_THAT(read().error().message, HasSubstr("longer than the file"));
    head(1);
    text("k"), put<uint32_t>(8), put<uint64_t>(1ull << 40);
    EXPECT_FALSE(read().ok());
    head(1);
    text("k"), put<uint32_t>(77), put<uint32_t>(0);
    EXPECT_THAT(read().error().message, HasSubstr("invalid type"));
    head(1ull << 40);
    EXPECT_THAT(read().error().message, HasSubstr("more than there can be"));
    bytes_ = "PK\x03\x04 and more of an archive";
    EXPECT_THAT(read().error().message, HasSubstr("no GGUF file"));
}

}  // namespace
}  // namespace gantry::models
