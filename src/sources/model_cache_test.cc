#include "sources/model_cache.h"

#include <gmock/gmock.h>

#include <fstream>

#include "models/model_file.h"
#include "sources/store_for_test.h"

namespace gantry::sources {
namespace {

using ::testing::HasSubstr;

class Cache : public SourcesTest {
protected:
    void SetUp() override {
        SourcesTest::SetUp();
        ASSERT_TRUE(cache().make_folders().ok());
    }
    ModelCache cache() const { return ModelCache(folder_); }
    // As a finished download leaves it.
    ChosenFile file(const std::string& local, const std::string& bytes) {
        ChosenFile made{{local, bytes.size(), {Digest::Kind::kSha256, digest_of(bytes)}}, local};
        std::ofstream(cache().partial_path(made.file.digest)) << bytes;
        EXPECT_TRUE(cache().keep(made.file).ok());
        return made;
    }
    static Manifest manifest(const std::string& source, std::vector<ChosenFile> files, const std::string& serve = "") {
        return {source, std::string(40, '5'), serve, std::move(files), from_unix_ms(1'700'000'000'000)};
    }
};

TEST_F(Cache, keeps_models_by_content) {
    const Manifest first = manifest("hf:a/b:Q4", {file("x.gguf", "weights")}, "x.gguf");
    ASSERT_TRUE(cache().put(first).ok());
    const auto found = cache().find("hf:a/b:Q4");
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->commit, std::string(40, '5'));
    EXPECT_EQ(found->bytes(), 7u);
    // Our own readers take it, links and all.
    const auto opened = models::open_model_file(cache().path_of(*found));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    EXPECT_EQ(opened->size, 7u);
    EXPECT_FALSE(cache().find("hf:a/b").has_value());
    // Another model with the same file, and a file of its own in a folder.
    const Manifest second = manifest("modelscope:a/b", {file("x.gguf", "weights"), file("1_Pooling/config.json", "{}")});
    ASSERT_TRUE(cache().put(second).ok());
    EXPECT_EQ(text(cache().path_of(second) + "/1_Pooling/config.json"), "{}");
    EXPECT_EQ(cache().list().size(), 2u);
    EXPECT_EQ(cache().remove(ModelCache::id_of("hf:a/b:Q4")).value(), 0u) << "the other one has it, too";
    EXPECT_FALSE(cache().find("hf:a/b:Q4").has_value());
    EXPECT_EQ(cache().remove(ModelCache::id_of("modelscope:a/b")).value(), 9u);
    EXPECT_TRUE(cache().list().empty());
    EXPECT_EQ(cache().remove(ModelCache::id_of("modelscope:a/b")).error().reason, "model_files_not_found");
    EXPECT_TRUE(std::filesystem::is_empty(folder_ / "blobs"));
}

TEST_F(Cache, what_is_not_whole_is_not_there) {
    const Manifest model = manifest("hf:a/b", {file("x.gguf", "weights")}, "x.gguf");
    ASSERT_TRUE(cache().put(model).ok());
    std::filesystem::resize_file(cache().blob_path(model.files[0].file.digest), 3);
    EXPECT_FALSE(cache().find("hf:a/b").has_value());
    std::ofstream(folder_ / "manifests" / (ModelCache::id_of("hf:c/d") + ".json")) << R"({"source":"hf:a/b","files":[]})";
    EXPECT_FALSE(cache().find("hf:c/d").has_value()) << "a manifest of another source";
    std::ofstream(folder_ / "manifests" / (ModelCache::id_of("hf:e/f") + ".json"))
        << R"({"source":"hf:e/f","serve":"../../../x","files":[{"local":"../x","digest":")" + std::string(64, 'a') + R"(","bytes":1}]})";
    EXPECT_FALSE(cache().find("hf:e/f").has_value()) << "a manifest that leads out";
}

TEST_F(Cache, verified_again) {
    const Manifest model = manifest("hf:a/b", {file("x.gguf", "weights"), file("y.json", "{}")}, "x.gguf");
    ASSERT_TRUE(cache().put(model).ok());
    const std::string id = ModelCache::id_of("hf:a/b");
    EXPECT_TRUE(cache().verify(id).ok());
    std::ofstream(cache().blob_path(model.files[0].file.digest)) << "wEights";
    const Status damaged = cache().verify(id);
    ASSERT_FALSE(damaged.ok());
    EXPECT_THAT(damaged.error().message, HasSubstr("x.gguf is damaged"));
    EXPECT_FALSE(cache().find("hf:a/b").has_value());
    EXPECT_EQ(cache().verify("none").error().code, ErrorCode::kNotFound);
}

TEST_F(Cache, room) {
    EXPECT_TRUE(cache().check_room({}).ok());
    ChosenFile huge{{"x", kFileBytesMax, {Digest::Kind::kSha256, std::string(64, 'a')}}, "x"};
    const Status none = cache().check_room({huge});
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().code, ErrorCode::kStorageFull);
    EXPECT_THAT(none.error().message, HasSubstr("gantry ls --files"));
}

}  // namespace
}  // namespace gantry::sources
