#include "sources/hub_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "sources/hub.h"

namespace gantry::sources {
namespace {

using ::testing::HasSubstr;

std::string hf_file(const std::string& path, const std::string& more = "") {
    return R"([{"type":"file","oid":")" + std::string(40, 'a') + R"(","size":5,"path":)" + json::serialize(json::value_from(path)) + more + "}]";
}

TEST(HubAnswers, hugging_face) {
    std::vector<HubFile> files;
    ASSERT_TRUE(read_hugging_face_tree(hf_file("config.json"), files).ok());
    ASSERT_TRUE(read_hugging_face_tree(hf_file("a/b.gguf", R"(,"lfs":{"oid":")" + std::string(64, 'c') + R"(","size":5,"pointerSize":1})"), files).ok());
    ASSERT_TRUE(read_hugging_face_tree(R"([{"type":"directory","oid":"x","size":0,"path":"../.."}])", files).ok());
    ASSERT_EQ(files.size(), 2u);
    EXPECT_EQ(files[0].digest, (Digest{Digest::Kind::kGit, std::string(40, 'a')}));
    EXPECT_EQ(files[1].digest, (Digest{Digest::Kind::kSha256, std::string(64, 'c')}));
    EXPECT_EQ(read_hugging_face_commit(R"({"sha":")" + std::string(40, '5') + "\"}").value(), std::string(40, '5'));
    EXPECT_FALSE(read_hugging_face_commit(R"({"sha":"../../x"})").ok());
}

// trust.md B3, row 38.
TEST(HubAnswers, hostile_names) {
    for (const std::string path : {"../../etc/cron.d/x", "/etc/passwd", "a/../../b", "a/./b", "a//b", "", ".", "..", "CON", "a\nb", "a\\b",
        "a/nul.txt", "x:y"}) {
        std::vector<HubFile> files;
        const Status read = read_hugging_face_tree(hf_file(path), files);
        ASSERT_FALSE(read.ok()) << path;
        EXPECT_EQ(read.error().reason, "unsafe_path") << path;
        EXPECT_TRUE(files.empty());
    }
    std::vector<HubFile> files;
    EXPECT_FALSE(read_hugging_face_tree(hf_file(std::string(4096, 'x')), files).ok());
    std::string many = "[";
    for (size_t i = 0; i <= kListedMax; ++i) many += (i == 0 ? "" : ",") + hf_file("f" + std::to_string(i)).substr(1,
        hf_file("f" + std::to_string(i)).size() - 2);
    EXPECT_EQ(read_hugging_face_tree(many + "]", files).error().reason, "too_many_files");
}

TEST(HubAnswers, what_is_none) {
    std::vector<HubFile> files;
    for (const char* body : {"", "<html>log in</html>", "{}", "null", "[1]", R"([{"type":"file","path":"x"}])", R"([{"type":"file","path":"x","size":-1,"oid":"a"}])",
                             R"([{"type":"file","path":"x","size":5,"oid":"zz"}])"}) {
        EXPECT_EQ(read_hugging_face_tree(body, files).error().code, ErrorCode::kUnavailable) << body;
        EXPECT_EQ(read_modelscope_files(body, files).error().code, ErrorCode::kUnavailable) << body;
    }
    EXPECT_TRUE(files.empty());
}

TEST(HubAnswers, modelscope) {
    std::vector<HubFile> files;
    const std::string sha(64, 'd');
    ASSERT_TRUE(read_modelscope_files(R"({"Code":200,"Data":{"Files":[{"Type":"tree","Path":"sub"},{"Type":"blob","Path":"sub/x.gguf","Size":7,"Sha256":")" + sha + R"("}]}})", files).ok());
    ASSERT_EQ(files.size(), 1u);
    EXPECT_EQ(files[0].path, "sub/x.gguf");
    EXPECT_EQ(files[0].bytes, 7u);
    EXPECT_EQ(files[0].digest.hex, sha);
    const auto found = read_modelscope_search(R"({"success":true,"data":{"models":[{"id":"a/b","downloads":3},{"id":"../x"},{"id":7}]}})");
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->size(), 1u);
    EXPECT_EQ((*found)[0].source, "modelscope:a/b");
}

TEST(HubAnswers, the_next_page) {
    EXPECT_EQ(next_page(R"(<https://h/x?cursor=2>; rel="next")"), "https://h/x?cursor=2");
    EXPECT_EQ(next_page(R"(<https://h/1>; rel="first", <https://h/2>; rel="next")"), "https://h/2");
    EXPECT_EQ(next_page(R"(<https://h/1>; rel="first")"), "");
    EXPECT_EQ(next_page(""), "");
    EXPECT_EQ(next_page("<x"), "");
}

// Each status has words of its own, and what to do next.
TEST(HubAnswers, what_a_hub_refuses) {
    Settings settings;
    const Source source = parse_source("hf:Org/name@v2/x.gguf").value();
    const auto says = [&](SourceKind kind, int status, const std::string& code = "", const std::string& body = "") {
        const Fetcher fetcher(settings);
        Answer answer;
        answer.head.status = status;
        if (!code.empty()) answer.head.fields["x-error-code"] = code;
        if (status == 429) answer.head.fields["retry-after"] = "17";
        answer.body = body;
        return make_hub(kind, fetcher)->explain(source, answer);
    };
    constexpr auto kHf = SourceKind::kHuggingFace, kMs = SourceKind::kModelScope;
    EXPECT_THAT(says(kHf, 401, "GatedRepo").message,
                HasSubstr("ask for access at https://huggingface.co/Org/name, then start this process with HF_TOKEN"));
    EXPECT_THAT(says(kHf, 401, "RepoNotFound").message, HasSubstr("check the name, or set HF_TOKEN if it is private"));
    EXPECT_EQ(says(kHf, 404, "RevisionNotFound").reason, "revision_not_found");
    EXPECT_THAT(says(kHf, 404, "RevisionNotFound").message, HasSubstr("no revision \"v2\""));
    EXPECT_EQ(says(kHf, 404, "EntryNotFound").reason, "file_not_found");
    EXPECT_THAT(says(kHf, 429).message, HasSubstr("asks to wait 17 s"));
    EXPECT_EQ(says(kHf, 429).code, ErrorCode::kRateLimited);
    EXPECT_EQ(says(kHf, 503).code, ErrorCode::kUnavailable);
    EXPECT_EQ(says(kMs, 404, "", R"({"Message":"not there"})").code, ErrorCode::kNotFound);
    EXPECT_THAT(says(kMs, 404, "", R"({"Message":"not there"})").message, HasSubstr("(not there): check the name and revision, or set MODELSCOPE_API_TOKEN"));
    EXPECT_EQ(says(kMs, 500).code, ErrorCode::kUnavailable);
    settings.hugging_face_token = "hf_x";
    EXPECT_THAT(says(kHf, 403, "GatedRepo").message, HasSubstr("the account of HF_TOKEN has no access: ask for it at"));
    EXPECT_THAT(says(kHf, 401).message, HasSubstr("check the name and the token"));
}

}  // namespace
}  // namespace gantry::sources
