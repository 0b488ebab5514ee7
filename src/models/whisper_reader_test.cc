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

// Of a file that is read by ranges: what its shape says, if the file is as large as that.
TEST(WhisperReaderTest, TheHeadAloneIsEnoughForAnEstimate) {
    const std::string whole = file();
    const auto head = [](const std::string& bytes, uint64_t size) {
        ByteSource source;
        source.size = size;
        source.read = [&bytes](uint64_t offset, char* out, size_t length) {
            std::string behind = offset < bytes.size() ? bytes.substr(offset, length) : std::string();
            behind.resize(length);
            behind.copy(out, length);
            return true;
        };
        return read_whisper_head(source);
    };
    const auto meta = head(whole, 10 << 20);
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->quantization, "F16");
    EXPECT_EQ(meta->layers, 1u);
    EXPECT_EQ(meta->file_bytes, 10u << 20);
    EXPECT_GT(meta->parameter_count, 28u * 64 * 64) << "a layer of each";
    EXPECT_THAT(head(whole, whole.size()).error().message, HasSubstr("smaller than the weights"));
    for (int at = 0; at < 13; ++at) {
        for (const int32_t value : {0, -1, 1 << 30, INT32_MIN, INT32_MAX}) {
            const auto odd = head(file(at, value), 10 << 20);
            EXPECT_EQ(odd.ok(), at == 10) << at << " " << value;   // a type is not believed anyway
        }
    }
    EXPECT_EQ(head(file(10, 2009), 10 << 20)->quantization, "Q5_1") << "with how it was quantized";
}

TEST(WhisperReaderTest, ANameIsNoMagic) {
    EXPECT_TRUE(is_whisper_name("a/b/ggml-base.en-q5_1.bin"));
    for (const char* name : {"ggml-base.gguf", "pytorch_model.bin", "ggml-x/model.bin", "ggml-.BIN"}) EXPECT_FALSE(is_whisper_name(name)) << name;
    const std::string whole = file(), pickled = "PK\x03\x04 archive/data.pkl";
    const auto source = [](const std::string& bytes) {
        return ByteSource{bytes.size(), [&bytes](uint64_t offset, char* out, size_t length) { return bytes.copy(out, length, offset) == length; }};
    };
    EXPECT_TRUE(check_whisper("ggml-a.bin", source(whole)).ok());
    for (const std::string& bytes : {pickled, std::string(), std::string("lmg"), std::string("ggml")}) {
        const Status refused = check_whisper("ggml-\x01.bin", source(bytes));
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().reason, "unsafe_file");
        EXPECT_THAT(refused.error().message, testing::AllOf(HasSubstr("does not begin as whisper.cpp's"), testing::Not(HasSubstr("\x01"))));
    }
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
    EXPECT_EQ(meta->parameter_count, 37'760'256u);
    const auto source = open_model_file(path);
    const auto head = read_whisper_head(*source);
    ASSERT_TRUE(head.ok()) << head.error().message;
    EXPECT_EQ(head->parameter_count, meta->parameter_count) << "the shape says as much as the tensors";
    EXPECT_EQ(head->bytes_of_type, meta->bytes_of_type);
    EXPECT_EQ(head->quantization, meta->quantization);
}

}  // namespace
}  // namespace gantry::models
