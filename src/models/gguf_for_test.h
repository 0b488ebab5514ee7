#pragma once
// Writes GGUF files by hand for tests, so that any field may lie, and reads them back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/gguf_reader.h"

namespace gantry::models {

enum : uint32_t { kU8 = 0, kI8 = 1, kU16 = 2, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kStr = 8, kArr = 9, kU64 = 10 };

struct Writer {
    std::string bytes;

    template <class T>
    Writer& put(T value) {
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }
    Writer& raw(std::string_view text) {
        bytes += text;
        return *this;
    }
    Writer& text(std::string_view value) { return put<uint64_t>(value.size()).raw(value); }
    Writer& key(std::string_view name, uint32_t type) { return text(name).put<uint32_t>(type); }
    Writer& u32(std::string_view name, uint32_t value) { return key(name, kU32).put<uint32_t>(value); }
    Writer& string(std::string_view name, std::string_view value) { return key(name, kStr).text(value); }
    Writer& tensor(std::string_view name, std::vector<int64_t> shape, uint32_t type, uint64_t offset) {
        text(name).put<uint32_t>(static_cast<uint32_t>(shape.size()));
        for (const int64_t n : shape) put<int64_t>(n);
        return put<uint32_t>(type).put<uint64_t>(offset);
    }
};

// A whole small file, each part of which a test may replace.
struct Model {
    std::string magic = "GGUF";
    uint32_t version = 3;
    int64_t tensor_count = 2;
    int64_t pair_count = 10;
    uint64_t alignment = 32;
    std::function<void(Writer&)> pairs = [](Writer& w) {
        w.string("general.architecture", "llama").string("general.name", "tiny").u32("general.file_type", 2);
        w.u32("llama.block_count", 2).u32("llama.context_length", 512).u32("llama.embedding_length", 64);
        w.u32("llama.attention.head_count", 4).u32("llama.attention.head_count_kv", 2);
        w.key("tokenizer.ggml.tokens", kArr).put<uint32_t>(kStr).put<uint64_t>(3).text("a").text("").text("ccc");
        w.string("tokenizer.chat_template", "{{ messages }}");
    };
    std::function<void(Writer&)> tensors = [](Writer& w) {
        w.tensor("token_embd.weight", {64, 3}, 2, 0);   // Q4_0: 64/32 blocks of 18 bytes, 3 rows: 108 bytes
        w.tensor("output_norm.weight", {64}, 0, 128);   // F32: 256 bytes
    };
    uint64_t data_bytes = 128 + 256;

    std::string bytes() const {
        Writer w;
        w.raw(magic).put(version).put(tensor_count).put(pair_count);
        pairs(w);
        tensors(w);
        w.bytes.resize((w.bytes.size() + alignment - 1) / alignment * alignment);
        w.bytes.append(data_bytes, '\x11');
        return w.bytes;
    }
    // The standard pairs and one more.
    Model& with(std::function<void(Writer&)> more, int64_t count = 1) {
        pairs = [before = pairs, more](Writer& w) { before(w), more(w); };
        pair_count += count;
        return *this;
    }
    // Only these pairs.
    Model& only(int64_t count, std::function<void(Writer&)> all) {
        pairs = std::move(all);
        pair_count = count;
        return *this;
    }
};

inline ByteSource source_of(const std::string& bytes) {
    return {bytes.size(), [&bytes](uint64_t offset, char* out, size_t length) {
                if (offset > bytes.size() || length > bytes.size() - offset) return false;
                std::memcpy(out, bytes.data() + offset, length);
                return true;
            }};
}
inline Result<ModelMeta> read(const std::string& bytes) { return read_gguf(source_of(bytes)); }

// "" where the file was taken.
inline std::string refusal(const std::string& bytes) {
    const auto result = read(bytes);
    if (result.ok()) return {};
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(result.error().reason, "invalid_model_file");
    EXPECT_THAT(result.error().message, testing::StartsWith("invalid model file: "));
    EXPECT_LT(result.error().message.size(), 1024u);
    for (const char c : result.error().message) EXPECT_GE(static_cast<unsigned char>(c), 0x20u);
    return result.error().message;
}

// A file of the models that `./dev models` puts into the cache.
inline std::string cached_model(const std::string& name) {
    const char* cache = std::getenv("GANTRY_MODEL_CACHE");
    const char* home = std::getenv("HOME");
    return (cache != nullptr ? cache : std::string(home != nullptr ? home : "") + "/.cache/gantry/models") + "/" + name;
}

}  // namespace gantry::models
