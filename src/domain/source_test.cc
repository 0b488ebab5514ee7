#include "domain/source.h"

#include <gtest/gtest.h>

namespace gantry {
namespace {

TEST(source, what_people_write) {
    struct Case {
        const char* text;
        Source source;
    };
    const std::string repo = "Qwen/Qwen2.5-0.5B-Instruct-GGUF";
    for (const Case& c : std::initializer_list<Case>{
             {"file:/a/b c.gguf", {.path = "/a/b c.gguf"}},
             {"hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF", {.kind = SourceKind::kHuggingFace, .repository = repo}},
             {"hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF/q4_k_m.gguf", {.kind = SourceKind::kHuggingFace, .repository = repo, .file = "q4_k_m.gguf"}},
             {"hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF/a/b.gguf", {.kind = SourceKind::kHuggingFace, .repository = repo, .file = "a/b.gguf"}},
             {"hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M", {.kind = SourceKind::kHuggingFace, .repository = repo, .quantization = "Q4_K_M"}},
             {"modelscope:Qwen/Qwen2.5-0.5B-Instruct-GGUF@v1.0:q8_0",
              {.kind = SourceKind::kModelScope, .repository = repo, .revision = "v1.0", .quantization = "q8_0"}},
             {"modelscope:Qwen/Qwen2.5-0.5B-Instruct-GGUF@5cab4f6/x.gguf",
              {.kind = SourceKind::kModelScope, .repository = repo, .revision = "5cab4f6", .file = "x.gguf"}}}) {
        const auto source = parse_source(c.text);
        ASSERT_TRUE(source.ok()) << c.text << ": " << source.error().message;
        EXPECT_EQ(*source, c.source) << c.text;
        EXPECT_EQ(source->text(), c.text);
    }
}

TEST(source, what_is_none) {
    for (const char* bad : {"", "/a.gguf", "file:", "file:/", "file:a.gguf", "file:/a\nb", "http://a/b", "ftp:a/b", "hf:", "hf:Qwen",
        "hf:/Qwen", "hf:Qwen/",
                            "hf:../x", "hf:a/..", "hf:a/../b", "hf:a/b/../c", "hf:a/b/", "hf:a/b//c", "hf:a/b/c/", "hf:a/b/c\\d",
                                "hf:a/b/c\n", "hf:a/b@",
                            "hf:a/b@/x", "hf:a/b:", "hf:a/b:../x", "hf:a/b:Q4/x", "hf:a/b@..", "hf:a b/c", "hf:a/b%2e", "hf:-a/b",
                                "hf:.a/b", "modelscope:a",
                            "modelscope:a/b/CON", "modelscope:a/b/con.gguf", "modelscope:a/b/x.", "hf:a/b/c:d"}) {
        const auto source = parse_source(bad);
        ASSERT_FALSE(source.ok()) << bad;
        EXPECT_EQ(source.error().param, "source") << bad;
    }
    EXPECT_FALSE(parse_source("hf:a/b/" + std::string(300, 'x')).ok());
    EXPECT_FALSE(parse_source(std::string("hf:a/b/c\0d", 10)).ok());
}

}  // namespace
}  // namespace gantry
