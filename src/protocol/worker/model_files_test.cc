#include "protocol/worker/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::protocol {
namespace {

using testing::HasSubstr;

TEST(model_files, are_read_as_they_were_written) {
    ModelFileSet set{.id = "0123", .source = "hf:Org/name:Q4_K_M", .commit = "c0ffee", .state = ModelFilesState::kPaused, .reason = "paused at 1 kB"};
    set.files = {"a.gguf", "b.gguf"};
    set.bytes = 1ull << 40;
    set.bytes_done = 7;
    set.bytes_per_second = 3;
    set.fetched_at = from_unix_ms(1'790'000'000'000);
    const auto read = decode_model_files(encode(std::vector{set}));
    ASSERT_TRUE(read.ok()) << read.error().message;
    ASSERT_EQ(read->size(), 1u);
    const ModelFileSet& back = read->front();
    EXPECT_EQ(back.id + back.source + back.commit + back.reason, set.id + set.source + set.commit + set.reason);
    EXPECT_EQ(back.state, set.state);
    EXPECT_EQ(back.files, set.files);
    EXPECT_EQ(back.bytes, set.bytes);
    EXPECT_EQ(back.bytes_done, 7u);
    EXPECT_EQ(back.bytes_per_second, 3u);
    EXPECT_EQ(to_unix_ms(back.fetched_at), 1'790'000'000'000);
    EXPECT_TRUE(decode_done(kDone).ok());
}

TEST(model_files, refusals_keep_what_they_say) {
    const std::string refusal = encode_refusal(Error{ErrorCode::kConflict, "an instance uses these files", {}, "in_use"});
    const Status done = decode_done(refusal);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, ErrorCode::kConflict);
    EXPECT_EQ(done.error().message, "an instance uses these files");
    EXPECT_EQ(done.error().reason, "in_use");
    EXPECT_EQ(decode_model_files(refusal).error().code, ErrorCode::kConflict);
}

// A worker may be anybody who got hold of a certificate.
TEST(model_files, what_is_odd_is_no_answer) {
    for (const char* body : {"", "[]", "7", "{\"items\":7}", "{\"items\":[{\"state\":\"flying\"}]}", "{\"refused\":{\"code\":99,\"message\":\"x\"}}",
                             "{\"refused\":7}", "{\"items\":[{\"bytes\":-1}]}"}) {
        const auto read = decode_model_files(body);
        ASSERT_FALSE(read.ok()) << body;
        EXPECT_THAT(read.error().message, HasSubstr("does not answer as one of this version")) << body;
    }
    const auto cleaned = decode_model_files("{\"items\":[{\"source\":\"a\\u001b[31m\",\"reason\":\"" + std::string(10'000, 'x') + "\"}]}");
    ASSERT_TRUE(cleaned.ok());
    EXPECT_EQ(cleaned->front().source.find('\x1b'), std::string::npos);
    EXPECT_LT(cleaned->front().reason.size(), 5'000u);
}

}  // namespace
}  // namespace gantry::protocol
