#include "models/whisper_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "models/model_reader.h"

namespace gantry::models {
namespace {

using testing::HasSubstr;

std::string number(int32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

// A file with one layer of each, two words and one tensor of 8 x 2 halves.
std::string file(int at = -1, int32_t value = 0) {
    const int32_t head[] = {5, 1500, 64, 2, 1, 448, 64, 2, 1, 80, 1, 80, 201};
    std::string out = number(0x67676d6c);
    for (int i = 0; i < 13; ++i) out += number(i == at ? value : head[i]);
    out += std::string(80 * 201 * 4, '\0') + number(2) + number(1) + "a" + number(0);
    return out + number(2) + number(1) + number(1) + number(8) + number(2) + "t" + std::string(8 * 2 * 2, '\0');
}

Result<ModelMeta> read(const std::string& bytes) {
    ByteSource source;
    source.size = bytes.size();
    source.read = [&bytes](uint64_t offset, char* out, size_t length) {
        if (offset > bytes.size() || length > bytes.size() - offset) return false;
        bytes.copy(out, length, offset);
        return true;
    };
    return is_whisper(source) ? read_whisper(source) : Result<ModelMeta>(invalid_model("another file"));
}
std::string why(const std::string& bytes) {
    const auto meta = read(bytes);
    return meta ? "read" : meta.error().message;
}

TEST(WhisperReaderTest, ReadsTheHead) {
    const auto meta = read(file());
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->format, "ggml");
    EXPECT_EQ(meta->architecture, "whisper");
    EXPECT_EQ(meta->modality, "transcription");
    EXPECT_EQ(meta->quantization, "F16");
    EXPECT_EQ(meta->parameter_count, 16u);
    EXPECT_EQ(meta->weights.total(), 32u);
    EXPECT_EQ(meta->layers, 1u);
}

TEST(WhisperReaderTest, EveryCutAndEveryNumberIsSurvived) {
    const std::string whole = file();
    const size_t tensor = whole.size() - 53;
    for (size_t size = 0; size < whole.size(); size += size < 80 || size > tensor - 40 ? 1 : 997) {
        EXPECT_THAT(why(whole.substr(0, size)), HasSubstr("invalid model file")) << size;
    }
    for (int at = 0; at < 13; ++at) {
        for (const int32_t value : {0, -1, 1 << 30, INT32_MIN, INT32_MAX}) {
            const char* const expected = at == 10 ? "read" : "invalid model file";   // a type is not believed anyway
            EXPECT_THAT(why(file(at, value)), HasSubstr(expected)) << at << " " << value;
        }
    }
    for (size_t at = tensor; at < tensor + 20; at += 4) {
        for (const int32_t value : {0, -1, 1 << 30, INT32_MAX}) {
            std::string changed = whole;
            changed.replace(at, 4, number(value));
            EXPECT_THAT(why(changed), HasSubstr("invalid model file")) << at << " " << value;
        }
    }
    EXPECT_THAT(why(whole + "x"), HasSubstr("tensor's head"));
    EXPECT_THAT(why("GGUF"), HasSubstr("another file"));
}

TEST(WhisperReaderTest, ReadsARealModel) {
    const char* cache = std::getenv("GANTRY_MODEL_CACHE");
    const std::string folder = cache != nullptr ? std::string(cache) : std::string(std::getenv("HOME")) + "/.cache/gantry/models";
    const std::string path = folder + "/stt/ggml-tiny.en.bin";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path << ": ./dev models whisper-tiny-en";
    const auto meta = read_model(path);
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->file_bytes, 77'704'715u);
    EXPECT_EQ(meta->layers, 4u);
    EXPECT_EQ(meta->embedding_length, 384u);
    EXPECT_EQ(meta->vocabulary, 51'864u);
    EXPECT_NEAR(static_cast<double>(meta->parameter_count), 37.8e6, 1e6);
}

}  // namespace
}  // namespace gantry::models
