// What is saved comes back; what is damaged, hostile or in the way changes nothing.
#include "sources/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/digest.h"
#include "base/platform/files.h"
#include "sources/bundle_head.h"
#include "sources/tar.h"

namespace gantry::sources {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string hash(const std::string& bytes, const EVP_MD* kind = EVP_sha256()) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(bytes.data(), bytes.size(), digest, &size, kind, nullptr);
    return to_hex(digest, size);
}
std::string git_hash(const std::string& bytes) { return hash("blob " + std::to_string(bytes.size()) + std::string(1, '\0') + bytes, EVP_sha1()); }

std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}
void write(const fs::path& path, const std::string& bytes) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
}

class Bundle : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "bundle_XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root_ = pattern;
        write(root_ / "gantry", "#!/bin/sh\n");
    }
    void TearDown() override { fs::remove_all(root_); }

    std::string path(const std::string& name) const { return root_ / name; }
    // A model in the folder "from", of these files.
    Manifest model(const std::string& source, const std::vector<std::pair<std::string, std::string>>& files, bool git = false) {
        const ModelCache cache(path("from/models"));
        EXPECT_TRUE(cache.make_folders().ok());
        Manifest manifest{.source = source, .commit = "c", .serve = files.front().first};
        for (const auto& [name, bytes] : files) {
            const Digest digest = git ? Digest{Digest::Kind::kGit, git_hash(bytes)} : Digest{Digest::Kind::kSha256, hash(bytes)};
            write(cache.blob_path(digest), bytes);
            manifest.files.push_back({{name, bytes.size(), digest}, name});
        }
        EXPECT_TRUE(cache.put(manifest).ok());
        return manifest;
    }
    Result<BundleContents> save(std::vector<std::string> sources = {}) {
        return save_bundle({path("b.tar"), path("from"), std::move(sources), path("gantry")}, {});
    }
    Result<BundleContents> load(bool replace = false, const std::string& program = {}) {
        return load_bundle({path("b.tar"), path("to"), program, replace}, {});
    }
    std::string refusal(bool replace = false) {
        const auto loaded = load(replace);
        EXPECT_TRUE(ModelCache(path("to/models")).list().empty());
        EXPECT_TRUE(!fs::exists(path("to/models/blobs")) || fs::is_empty(path("to/models/blobs"))) << "nothing is left of what was refused";
        EXPECT_FALSE(fs::exists(path("to/models/partial/bundle")));
        EXPECT_FALSE(fs::exists(path("to/catalogue.json")));
        return loaded ? "" : loaded.error().message;
    }

    struct Entry {
        std::string name, bytes;
        mode_t type = AE_IFREG;
        std::string link{};
    };
    // An archive by hand, in any format that libarchive writes.
    void write_archive(const std::vector<Entry>& entries, bool gzip = false) {
        archive* const a = archive_write_new();
        archive_write_set_format_pax_restricted(a);
        if (gzip) archive_write_add_filter_gzip(a);
        archive_write_open_filename(a, path("b.tar").c_str());
        for (const Entry& e : entries) {
            archive_entry* const entry = archive_entry_new();
            archive_entry_set_pathname(entry, e.name.c_str());
            archive_entry_set_filetype(entry, e.type);
            archive_entry_set_perm(entry, 0644);
            archive_entry_set_size(entry, e.type == AE_IFREG ? static_cast<la_int64_t>(e.bytes.size()) : 0);
            if (e.type == AE_IFLNK) archive_entry_set_symlink(entry, e.link.c_str());
            else if (!e.link.empty()) archive_entry_set_hardlink(entry, e.link.c_str());
            archive_write_header(a, entry);
            if (e.type == AE_IFREG && e.link.empty()) archive_write_data(a, e.bytes.data(), e.bytes.size());
            archive_entry_free(entry);
        }
        archive_write_close(a);
        archive_write_free(a);
    }
    // A good one of a model in one file, and its head.
    struct Good {
        std::string bytes = "the model's bytes";
        BundleHead head;
    };
    static Good good() {
        Good g;
        const Digest digest{Digest::Kind::kSha256, hash(g.bytes)};
        g.head.models = {Manifest{.source = "hf:o/m", .serve = "m.gguf", .files = {{{"m.gguf", g.bytes.size(), digest}, "m.gguf"}}}};
        g.head.files = {{"blobs/" + digest.hex, g.bytes.size(), digest.hex}};
        return g;
    }
    static Entry head_entry(const BundleHead& head) { return {"bundle.json", text_of(head)}; }

    fs::path root_;
};

TEST_F(Bundle, WhatIsSavedComesBack) {
    const std::string big(3'000'000, 'x');
    model("hf:o/a:Q4_0", {{"a.gguf", big}, {"mmproj.gguf", "tower"}});
    model("hf:o/b", {{"config.json", "{}"}, {"1_Pooling/config.json", "{ }"}, {"same.gguf", big}}, true);
    write(path("from/catalogue.json"), R"({"version":1,"models":[]})");
    const auto saved = save();
    ASSERT_TRUE(saved) << saved.error().message;
    EXPECT_THAT(saved->models, testing::ElementsAre("hf:o/a:Q4_0", "hf:o/b"));
    EXPECT_FALSE(fs::exists(path("b.tar.partial")));
    const auto loaded = load(false, path("to-program"));
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->models, saved->models);
    EXPECT_EQ(loaded->bytes, saved->bytes);
    EXPECT_TRUE(loaded->catalogue);
    const ModelCache cache(path("to/models"));
    for (const char* source : {"hf:o/a:Q4_0", "hf:o/b"}) {
        const auto found = cache.find(source);
        ASSERT_TRUE(found) << source;
        EXPECT_TRUE(cache.verify(ModelCache::id_of(source)).ok());
    }
    EXPECT_EQ(read(cache.path_of(*cache.find("hf:o/a:Q4_0"))), big);
    EXPECT_EQ(read(path("to/catalogue.json")), R"({"version":1,"models":[]})");
    EXPECT_EQ(read(path("to-program")), "#!/bin/sh\n");
    EXPECT_NE(fs::status(path("to-program")).permissions() & fs::perms::owner_exec, fs::perms::none);
    EXPECT_FALSE(fs::exists(path("to/models/partial/bundle")));
    EXPECT_TRUE(load()) << "a second time there is nothing to do";
}

TEST_F(Bundle, SomeModelsAndWhatIsHereAlready) {
    model("hf:o/a", {{"a.gguf", "aaa"}});
    model("hf:o/b", {{"b.gguf", "bbb"}});
    EXPECT_THAT(save({"hf:o/none"}).error().message, HasSubstr("gantry pull hf:o/none"));
    ASSERT_TRUE(save({"hf:o/b"}));
    ASSERT_TRUE(load());
    EXPECT_FALSE(ModelCache(path("to/models")).find("hf:o/a"));
    EXPECT_TRUE(ModelCache(path("to/models")).find("hf:o/b"));
    EXPECT_EQ(save().error().code, ErrorCode::kConflict) << "the file is there already";
    fs::remove(path("b.tar"));
    ASSERT_TRUE(save());
    ASSERT_TRUE(load());
    EXPECT_TRUE(ModelCache(path("to/models")).find("hf:o/a"));
}

TEST_F(Bundle, ADamagedModelIsNotSaved) {
    const Manifest manifest = model("hf:o/a", {{"a.gguf", "aaa"}});
    write(path("from/models/blobs/" + manifest.files[0].file.digest.hex), "aab");
    const auto saved = save();
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().reason, "digest_mismatch");
    EXPECT_FALSE(fs::exists(path("b.tar")));
    EXPECT_FALSE(fs::exists(path("b.tar.partial")));
    EXPECT_EQ(save_bundle({path("b.tar"), path("nobody"), {}, path("gantry")}, {}).error().code, ErrorCode::kNotFound);
}

TEST_F(Bundle, AnyDamageIsFound) {
    model("hf:o/a", {{"a.gguf", std::string(2000, 'a')}});
    ASSERT_TRUE(save());
    const std::string whole = read(path("b.tar"));
    for (const size_t cut : {size_t{0}, size_t{100}, size_t{512}, size_t{1500}, whole.size() / 2, whole.size() - 2048}) {
        write(path("b.tar"), whole.substr(0, cut));
        EXPECT_NE(refusal(), "") << cut;
    }
    for (size_t at = 0; at < whole.size(); at += 97) {   // of what fills up it does not matter
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ 1);
        write(path("b.tar"), flipped);
        const auto loaded = load();
        const ModelCache cache(path("to/models"));
        if (loaded) EXPECT_TRUE(cache.verify(ModelCache::id_of("hf:o/a")).ok()) << at;
        else EXPECT_TRUE(cache.list().empty()) << at;
        fs::remove_all(path("to"));
    }
}

TEST_F(Bundle, HostileArchivesAreRefused) {
    const Good g = good();
    const Entry blob{g.head.files[0].path, g.bytes};
    const auto refused = [&](const std::vector<Entry>& entries, const std::string& why) {
        write_archive(entries);
        EXPECT_THAT(refusal(), HasSubstr(why));
    };
    write_archive({head_entry(g.head), blob});
    ASSERT_TRUE(load());
    fs::remove_all(path("to"));

    refused({blob, head_entry(g.head)}, "does not begin with bundle.json");
    refused({head_entry(g.head)}, "does not come next");
    refused({head_entry(g.head), blob, blob}, "more in it");
    refused({head_entry(g.head), {"../../outside", g.bytes}}, "does not come next");
    refused({head_entry(g.head), {"/etc/cron.d/x", g.bytes}}, "does not come next");
    refused({head_entry(g.head), {blob.name, "", AE_IFLNK, "/etc/passwd"}}, "no plain file");
    refused({head_entry(g.head), {blob.name, "", AE_IFREG, "bundle.json"}}, "no plain file");
    refused({head_entry(g.head), {blob.name, "", AE_IFDIR}}, "no plain file");
    refused({head_entry(g.head), {blob.name, "", AE_IFCHR}}, "no plain file");
    refused({head_entry(g.head), {blob.name, "", AE_IFIFO}}, "no plain file");
    refused({{"bundle.json", "", AE_IFLNK, "/etc/passwd"}}, "no plain file");
    refused({head_entry(g.head), {blob.name, "THE MODEL'S BYTES"}}, "not what its SHA-256 says");
    refused({head_entry(g.head), {blob.name, "shorter"}}, "another size");
    refused({{"bundle.json", "{}"}}, "its form is 0");
    refused({{"bundle.json", "no JSON"}}, "cannot be read");
    write_archive({head_entry(g.head), blob}, true);
    EXPECT_NE(refusal(), "") << "compressed: what would it unpack to?";
    EXPECT_FALSE(fs::exists(root_.parent_path() / "outside"));
}

TEST_F(Bundle, HostileHeadsAreRefused) {
    const auto refused = [&](const std::function<void(BundleHead&)>& change, const std::string& why) {
        Good g = good();
        change(g.head);
        const auto parsed = parse_bundle_head(text_of(g.head));
        EXPECT_THAT(parsed ? "taken" : parsed.error().message, HasSubstr(why));
        write_archive({head_entry(g.head), {g.head.files.empty() ? "x" : g.head.files[0].path, g.bytes}});
        EXPECT_NE(refusal(), "");
    };
    for (const char* name : {"../x", "/x", "blobs/../../x", "blobs/x", "models/x", "", "blobs/", "gantry/x", "bundle.json"}) {
        refused([&](BundleHead& h) { h.files[0].path = name; }, "no file of a bundle");
    }
    refused([](BundleHead& h) { h.files[0].sha256 = std::string(64, 'a'); }, "no file of a bundle");
    refused([](BundleHead& h) { h.files[0].sha256 = "x"; }, "no SHA-256");
    refused([](BundleHead& h) { h.files[0].bytes = UINT64_MAX; }, "larger than any file");
    refused([](BundleHead& h) { h.files.push_back(h.files[0]); }, "in it twice");
    refused([](BundleHead& h) {
        for (int i = 0; i < 65; ++i) h.files.push_back({"blobs/" + hash(std::to_string(i)), 1ull << 44, hash(std::to_string(i))});
    }, "pebibyte");
    refused([](BundleHead& h) { h.models.push_back(h.models[0]); }, "in it twice");
    refused([](BundleHead& h) { h.files.clear(); }, "not all files");
    refused([](BundleHead& h) { h.models[0].files[0].file.bytes = 3; }, "not all files");
    refused([](BundleHead& h) { h.models[0].files.clear(); }, "not all files");
    refused([](BundleHead& h) { h.models[0].serve = "other.gguf"; }, "is to be served");
    refused([](BundleHead& h) { h.models[0].serve = "../../../etc/passwd"; }, "cannot be read");
    refused([](BundleHead& h) { h.models[0].files[0].local = "../m.gguf"; }, "cannot be read");
    refused([](BundleHead& h) { h.models[0].source = "file:/etc"; }, "no source of a hub");
    refused([](BundleHead& h) { h.models[0].files.push_back(h.models[0].files[0]); }, "one name");
    refused([](BundleHead& h) {
        h.models[0].files.push_back(h.models[0].files[0]);
        h.models[0].files[1].local = "m.gguf/inside";
    }, "one name");
}

TEST_F(Bundle, ASizeThatLiesTakesNoRoom) {
    Good g = good();
    g.head.files.push_back({"gantry", 1ull << 43, hash("")});
    write_archive({head_entry(g.head), {g.head.files[0].path, g.bytes}});
    EXPECT_THAT(refusal(), HasSubstr("shorter than what it says"));
}

TEST_F(Bundle, AnotherCatalogueIsNotReplacedUnasked) {
    model("hf:o/a", {{"a.gguf", "aaa"}});
    write(path("from/catalogue.json"), R"({"version":1,"models":[]})");
    ASSERT_TRUE(save());
    write(path("to/catalogue.json"), R"({"version":1,"alone":true,"models":[]})");
    EXPECT_EQ(load().error().code, ErrorCode::kConflict);
    EXPECT_TRUE(ModelCache(path("to/models")).list().empty()) << "all or nothing";
    ASSERT_TRUE(load(true));
    EXPECT_EQ(read(path("to/catalogue.json")), R"({"version":1,"models":[]})");
    write(path("from/catalogue.json"), "no JSON");
    fs::remove(path("b.tar"));
    fs::remove_all(path("to"));
    ASSERT_TRUE(save());
    EXPECT_THAT(refusal(), HasSubstr("no JSON"));
}

TEST_F(Bundle, ItsProgressEndsAtTheEnd) {
    model("hf:o/a", {{"a.gguf", std::string(40'000'000, 'a')}});
    std::vector<std::pair<uint64_t, uint64_t>> told;
    ASSERT_TRUE(save_bundle({path("b.tar"), path("from"), {}, path("gantry")}, [&](uint64_t done, uint64_t all) { told.emplace_back(done, all); }));
    ASSERT_GE(told.size(), 3u);
    EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
    EXPECT_EQ(told.back().first, told.back().second);
}

}  // namespace
}  // namespace gantry::sources
