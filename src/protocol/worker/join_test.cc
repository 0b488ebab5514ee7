#include "protocol/worker/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::protocol {
namespace {

using testing::HasSubstr;

const JoinToken kToken{std::string(12, 'a'), std::string(32, 'b'), std::string(64, 'c')};

JoinRequest good() {
    return {kToken.id, kToken.secret, "box-1", "-----BEGIN CERTIFICATE REQUEST-----\nAA\n", "0123abcd", {{"room", "lab"}}};
}

TEST(join_token, its_text_is_read_again) {
    const auto read = parse_join_token(" " + kToken.text() + "\n");
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->id, kToken.id);
    EXPECT_EQ(read->secret, kToken.secret);
    EXPECT_EQ(read->authority, kToken.authority);
}

TEST(join_token, what_is_none_is_refused) {
    const std::string text = kToken.text();
    std::string upper = text, shifted = text;
    upper[10] = 'A';
    shifted[16] = 'x';
    for (const std::string& none : {std::string(), std::string("gtk_x"), text.substr(1), text + "0", text.substr(0, 60), upper, shifted}) {
        const auto read = parse_join_token(none);
        ASSERT_FALSE(read.ok()) << none;
        EXPECT_THAT(read.error().message, HasSubstr("gantry workers token create"));
        EXPECT_THAT(read.error().message, testing::Not(HasSubstr("bbbb"))) << "no secret in a message";
    }
}

TEST(join, requests_and_answers_come_back) {
    const auto read = decode_join_request(encode(good()));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->token_id, kToken.id);
    EXPECT_EQ(read->token_secret, kToken.secret);
    EXPECT_EQ(read->name, "box-1");
    EXPECT_EQ(read->machine_id, "0123abcd");
    EXPECT_EQ(read->certificate_request, good().certificate_request);
    EXPECT_EQ(read->labels.at("room"), "lab");
    const auto answer = decode_join_answer(encode(JoinAnswer{"wrk_1", "cert\n", "ca\n"}));
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->worker_id, "wrk_1");
    EXPECT_EQ(answer->authority, "ca\n");
    EXPECT_EQ(decode_renew_request(encode(RenewRequest{"csr"}))->certificate_request, "csr");
}

TEST(join, what_breaks_a_bound_is_refused_by_name) {
    const auto refused = [](const char* field, auto spoil) {
        JoinRequest request = good();
        spoil(request);
        const auto read = decode_join_request(encode(request));
        ASSERT_FALSE(read.ok()) << field;
        EXPECT_THAT(read.error().param, HasSubstr(field));
    };
    refused("token_id", [](JoinRequest& r) { r.token_id = "short"; });
    refused("token_secret", [](JoinRequest& r) { r.token_secret[3] = '\''; });
    refused("name", [](JoinRequest& r) { r.name = "a b"; });
    refused("name", [](JoinRequest& r) { r.name = std::string(129, 'a'); });
    refused("machine_id", [](JoinRequest& r) { r.machine_id = ""; });
    refused("certificate_request", [](JoinRequest& r) { r.certificate_request = std::string(20'000, 'A'); });
    refused("labels", [](JoinRequest& r) { r.labels = {{"a", "b\n"}}; });
    refused("labels", [](JoinRequest& r) {
        for (int i = 0; i < 65; ++i) r.labels[std::to_string(i)] = "x";
    });
    EXPECT_FALSE(decode_join_request("[]").ok());
    EXPECT_FALSE(decode_join_request(std::string(kJoinBytesMax + 1, ' ')).ok());
}

}  // namespace
}  // namespace gantry::protocol
