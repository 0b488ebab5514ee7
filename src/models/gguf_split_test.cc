#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "models/folder_for_test.h"
#include "models/gguf_for_test.h"
#include "models/model_reader.h"

namespace gantry::models {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A model of two layers in three parts; the first has the keys and, as llama-gguf-split may write it, no tensors.
class GgufSplit : public ModelFolder {
protected:
    static void split_keys(Writer& w, uint16_t number, uint16_t count, int32_t tensors) {
        w.key("split.no", kU16).put<uint16_t>(number).key("split.count", kU16).put<uint16_t>(count);
        w.key("split.tensors.count", kI32).put<int32_t>(tensors);
    }
    static std::string first(uint16_t count = 3, int32_t tensors = 4) {
        Model model;
        model.with([=](Writer& w) { split_keys(w, 0, count, tensors); }, 3);
        model.tensor_count = 0;
        model.tensors = [](Writer&) {};
        model.data_bytes = 0;
        return model.bytes();
    }
    static std::string part(uint16_t number, const std::vector<std::string>& names, uint16_t count = 3) {
        Model model;
        model.only(3, [=](Writer& w) { split_keys(w, number, count, 4); });
        model.tensor_count = static_cast<int64_t>(names.size());
        model.tensors = [=](Writer& w) {
            for (size_t i = 0; i < names.size(); ++i) w.tensor(names[i], {8}, 0, i * 32);
        };
        model.data_bytes = names.size() * 32;
        return model.bytes();
    }
    std::string problem() const {
        const auto meta = read_gguf_file(folder_ / "m-00001-of-00003.gguf");
        return meta.ok() ? "" : meta.error().message;
    }
    void SetUp() override {
        ModelFolder::SetUp();
        write("m-00001-of-00003.gguf", first());
        write("m-00002-of-00003.gguf", part(1, {"token_embd.weight", "blk.0.a"}));
        write("m-00003-of-00003.gguf", part(2, {"blk.1.a", "output.weight"}));
    }
};

TEST_F(GgufSplit, ReadsAllPartsByTheFirst) {
    const auto meta = read_gguf_file(folder_ / "m-00001-of-00003.gguf");
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->architecture, "llama");
    EXPECT_EQ(meta->parameter_count, 32u);
    EXPECT_EQ(meta->weights.embedding, 32u);
    EXPECT_EQ(meta->weights.output, 32u);
    EXPECT_THAT(meta->weights.layers, ElementsAre(32, 32));
    uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) bytes += entry.file_size();
    EXPECT_EQ(meta->file_bytes, bytes);
}

TEST_F(GgufSplit, SaysWhichPartIsMissing) {
    std::filesystem::remove(folder_ / "m-00003-of-00003.gguf");
    EXPECT_THAT(problem(), HasSubstr("part 3 of 3 is missing: m-00003-of-00003.gguf"));
    const auto second = read_gguf_file(folder_ / "m-00002-of-00003.gguf");
    ASSERT_FALSE(second.ok());
    EXPECT_THAT(second.error().message, HasSubstr("part 2 of 3 of a split model; give the path of the first"));
}

TEST_F(GgufSplit, RefusesPartsThatDoNotBelongTogether) {
    write("m-00002-of-00003.gguf", part(2, {"token_embd.weight", "blk.0.a"}));
    EXPECT_THAT(problem(), HasSubstr("another place"));
    write("m-00002-of-00003.gguf", part(1, {"token_embd.weight", "blk.0.a"}, 4));
    EXPECT_THAT(problem(), HasSubstr("another model"));
    write("m-00002-of-00003.gguf", part(1, {"blk.1.a", "blk.0.a"}));
    EXPECT_THAT(problem(), HasSubstr("appears twice"));
    write("m-00002-of-00003.gguf", part(1, {"blk.0.a"}));
    EXPECT_THAT(problem(), HasSubstr("3 tensors, and 4 belong"));
    write("m-00002-of-00003.gguf", "GGUF");
    EXPECT_THAT(problem(), HasSubstr("part 2 of 3"));
    std::filesystem::remove(folder_ / "m-00002-of-00003.gguf");
    ASSERT_EQ(::mkfifo((folder_ / "m-00002-of-00003.gguf").c_str(), 0600), 0);
    EXPECT_THAT(problem(), HasSubstr("m-00002-of-00003.gguf: it is no regular file"));
}

TEST_F(GgufSplit, NeedsTheNamesThatPartsHave) {
    std::filesystem::rename(folder_ / "m-00001-of-00003.gguf", folder_ / "renamed.gguf");
    const auto meta = read_gguf_file(folder_ / "renamed.gguf");
    ASSERT_FALSE(meta.ok());
    EXPECT_THAT(meta.error().message, HasSubstr("must end in -00001-of-00003.gguf"));
    const auto many = read_gguf_file(write("x-00001-of-60000.gguf", first(60'000)));
    ASSERT_FALSE(many.ok());
    EXPECT_THAT(many.error().message, HasSubstr("60000"));
}

TEST_F(GgufSplit, ReadsNoMoreOfAllPartsThanTheLimit) {
    ReadLimits limits{.bytes_max = 4};   // by which it is seen that the first is no other kind of file
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) limits.bytes_max += entry.file_size();
    EXPECT_TRUE(read_model(folder_ / "m-00001-of-00003.gguf", limits).ok()) << "the parts are small, and read whole";
    --limits.bytes_max;
    const auto meta = read_model(folder_ / "m-00001-of-00003.gguf", limits);
    ASSERT_FALSE(meta.ok());
    EXPECT_THAT(meta.error().message, HasSubstr("say more of themselves"));
}

}  // namespace
}  // namespace gantry::models
