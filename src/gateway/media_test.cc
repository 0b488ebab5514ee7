// Pictures and sounds in messages: who is given them, and what is said where nobody takes them.

#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

using testing::HasSubstr;

// One pixel.
const std::string kPicture =
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

std::string body_of(const std::string& model, const std::string& part) {
    return R"({"model":")" + model + R"(","messages":[{"role":"user","content":[{"type":"text","text":"what is this?"},)" + part + "]}]}";
}
std::string picture(const std::string& url) { return R"({"type":"image_url","image_url":{"url":")" + url + "\"}}"; }

class MediaTest : public GatewayRig {
protected:
    void SetUp() override {
        GatewayRig::SetUp();
        sees_ = &engine(answers(200, kAnswer));
        blind_ = &engine(answers(200, kAnswer));
        outside_ = &engine(answers(200, kAnswer));
        model("sees", {target_of("ins_sees", sees_->endpoint())}, BackendKind::kLlamaServer);
        model("blind", {target_of("ins_blind", blind_->endpoint())}).text_only = true;
        model("out/big", {target_of("prv_1", outside_->endpoint())}).outside = Outside{"out", "/out", "org/big"};
    }
    http::SimpleResponse ask(const std::string& model, const std::string& part) {
        return send(call("POST", "/v1/chat/completions", body_of(model, part)));
    }
    std::string param(const http::SimpleResponse& response) {
        return std::string(parse_json(response.body)->at("error").at("param").as_string());
    }
    ScriptedEngine* sees_ = nullptr;
    ScriptedEngine* blind_ = nullptr;
    ScriptedEngine* outside_ = nullptr;
};

TEST_F(MediaTest, AModelThatSeesGetsThePartsAsTheyAre) {
    start();
    ASSERT_EQ(ask("sees", picture(kPicture)).status, 200);
    const json::value seen = parse_json(sees_->seen()[0].body).value();
    EXPECT_EQ(seen.at("messages").at(0).at("content").at(1).at("image_url").at("url").as_string(), kPicture);
}

TEST_F(MediaTest, AModelOfTextSaysSoAndWhere) {
    start();
    for (const std::string& part : {picture(kPicture), std::string(R"({"type":"input_audio","input_audio":{"data":"x","format":"wav"}})")}) {
        const auto refused = ask("blind", part);
        EXPECT_EQ(error_code(refused, 400), "unsupported_content");
        EXPECT_EQ(param(refused), "messages[0].content[1]");
    }
    EXPECT_TRUE(blind_->seen().empty());
}

TEST_F(MediaTest, NoEngineOfOursFetches) {
    start();
    const auto refused = ask("sees", picture("http://127.0.0.1/a.png"));
    EXPECT_EQ(error_code(refused, 400), "url_not_allowed");
    EXPECT_EQ(param(refused), "messages[0].content[1].image_url.url");
    EXPECT_TRUE(sees_->seen().empty());
    EXPECT_EQ(ask("out/big", picture("https://example.com/a.png")).status, 200) << "a provider fetches in its own network";
    EXPECT_EQ(outside_->seen().size(), 1u);
}

TEST_F(MediaTest, ARouteAsksThoseThatTakeIt) {
    Route r;
    r.name = "public";
    r.targets = {{"blind", 1}};
    r.fallback = "sees";
    routes_.routes[r.name] = r;
    r.name = "far";
    r.targets = {{"sees", 1}};
    r.fallback = "out/big";
    routes_.routes[r.name] = r;
    start();
    EXPECT_EQ(ask("public", picture(kPicture)).status, 200);
    EXPECT_EQ(sees_->seen().size(), 1u);
    EXPECT_TRUE(blind_->seen().empty());
    EXPECT_EQ(ask("far", picture("https://example.com/a.png")).status, 200);
    EXPECT_EQ(outside_->seen().size(), 1u);
    EXPECT_EQ(sees_->seen().size(), 1u);
}

}  // namespace
}  // namespace gantry::gateway
