// Answers whose client is slow, leaves, or sets a deadline, over real sockets; and the fields that
// say how a request is served.

#include "engine_server/answer.h"

#include "engine_server/frontend_test_support.h"
#include "http/http_test_support.h"

namespace gantry::engine_server {
namespace {

constexpr uint32_t kLongContext = 8192;
constexpr uint32_t kLongAnswer = 4000;  // far more in chunks of one token than a socket holds
constexpr const char* kChat = "/v1/chat/completions";

class AnswerTest : public FrontendRig {
protected:
    // A client that asks for a stream and reads nothing until told to.
    std::unique_ptr<http::RawClient> ask_without_reading(const std::string& body) {
        constexpr int kReceiveBuffer = 4096;
        const auto port = static_cast<uint16_t>(std::stoi(endpoint_.substr(endpoint_.rfind(':') + 1)));
        auto client = std::make_unique<http::RawClient>(port, kReceiveBuffer);
        EXPECT_TRUE(client->send(std::string("POST ") + kChat +
                                 " HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: " +
                                 std::to_string(body.size()) + "\r\n\r\n" + body));
        return client;
    }
    // Lets a forward pass whenever asked, until the condition holds.
    bool eventually_step_by_step(const std::function<bool()>& holds) {
        return eventually([&] {
            gate_.permit(1);
            return holds();
        });
    }
    bool idle() const { return engine_->stats().running + engine_->stats().waiting == 0; }
};

struct Stream {
    std::string text;
    size_t chunks = 0;
    size_t longest_chunk = 0;
    bool done = false;
    std::string error;
};

// The events in the bytes of a chunked body.
Stream read_events(const std::string& answer) {
    Stream stream;
    std::string body;
    for (size_t at = answer.find("\r\n\r\n") + 4; at < answer.size();) {
        const size_t line = answer.find("\r\n", at);
        const size_t size = std::stoul(answer.substr(at, line - at), nullptr, 16);
        body += answer.substr(line + 2, size);
        at = line + 2 + size + 2;
    }
    http::SseReader reader;
    const Result<std::vector<http::SseEvent>> events = reader.feed(body);
    for (const http::SseEvent& event : *events) {
        if (event.data == "[DONE]") {
            stream.done = true;
            continue;
        }
        const json::object chunk = parse_json(event.data)->as_object();
        if (chunk.contains("error")) {
            stream.error = std::string(error_in(chunk).at("code").as_string());
            continue;
        }
        const json::array& choices = chunk.at("choices").as_array();
        const json::object* delta =
            choices.empty() ? nullptr : choices[0].at("delta").if_object();
        if (delta != nullptr && delta->contains("content")) {
            const std::string text(delta->at("content").as_string());
            stream.text += text;
            stream.chunks += text.empty() ? 0 : 1;
            stream.longest_chunk = std::max(stream.longest_chunk, text.size());
        }
    }
    return stream;
}

std::string long_answer(uint32_t tokens, const std::string& more = "") {
    return chat_body("hello", R"(,"seed":3,"ignore_eos":true,"max_tokens":)" +
                                  std::to_string(tokens) + more);
}

TEST_F(AnswerTest, ASlowReaderHoldsUpNobodyAndGetsItAllTheSame) {
    start();
    load(kLongContext);
    const std::string whole = content_of(post(kChat, long_answer(kLongAnswer), 200));
    std::vector<std::unique_ptr<http::RawClient>> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(ask_without_reading(long_answer(kLongAnswer, R"(,"stream":true)")));
    }
    EXPECT_EQ(content_of(post(kChat, chat_body("other", R"(,"max_tokens":9)"), 200)).size(), 9U);
    // None of the three reads, and yet the engine gets to the end of all of them.
    EXPECT_TRUE(eventually([&] {
        return idle() && engine_->stats().generated_tokens_total >= 4 * kLongAnswer;
    }));
    for (const auto& client : clients) {
        const Stream stream = read_events(client->read_to_end());
        EXPECT_TRUE(stream.done);
        EXPECT_EQ(stream.text, whole);
        EXPECT_LT(stream.chunks, kLongAnswer) << "what gathered came together";
        EXPECT_GT(stream.longest_chunk, 100U);
    }
}

TEST_F(AnswerTest, AStopStringEndsTheSequenceThoughNobodyReads) {
    start();
    load(kLongContext);
    const std::string whole = content_of(post(kChat, long_answer(kLongAnswer), 200));
    const std::string stop = whole.substr(2500, 12);
    const size_t stops_at = whole.find(stop);
    ASSERT_GT(stops_at, 2000U) << "past what the socket takes";
    const uint64_t before = engine_->stats().generated_tokens_total;
    const auto generated = [&] { return engine_->stats().generated_tokens_total - before; };
    gate_.permit(0);
    const auto client =
        ask_without_reading(long_answer(kLongAnswer, R"(,"stream":true,"stop":")" + stop + "\""));
    ASSERT_TRUE(eventually([&] {
        gate_.permit(100);
        return generated() >= stops_at;
    }));
    EXPECT_TRUE(eventually_step_by_step([&] { return idle(); }));
    EXPECT_LT(generated(), kLongAnswer) << "the rest is not computed";
    gate_.open();
    const Stream stream = read_events(client->read_to_end());
    EXPECT_EQ(stream.text, whole.substr(0, stops_at));
    EXPECT_TRUE(stream.done);
}

TEST_F(AnswerTest, AReaderTooFarBehindLosesTheAnswer) {
    AnswerLimits limits;
    limits.stream_backlog = 64 << 10;
    start({"", "letters", "", limits});
    load(kLongContext);
    gate_.permit(0);
    const auto client = ask_without_reading(
        long_answer(kLongContext, R"(,"stream":true,"logprobs":true,"top_logprobs":20)"));
    EXPECT_TRUE(eventually([&] {
        gate_.permit(10);
        return engine_->stats().generated_tokens_total > 0 && idle();
    }));
    EXPECT_LT(engine_->stats().generated_tokens_total, kLongContext - 10)
        << "the rest is not computed";
    const Stream stream = read_events(client->read_to_end());
    EXPECT_FALSE(stream.done);
    EXPECT_EQ(stream.error, "slow_reader");
    EXPECT_LT(stream.text.size(), engine_->stats().generated_tokens_total);
}

TEST_F(AnswerTest, AnAnswerInOnePieceIsBounded) {
    AnswerLimits limits;
    limits.whole_answer = 64 << 10;
    start({"", "letters", "", limits});
    load(kLongContext);
    const std::string body = long_answer(500, R"(,"logprobs":true,"top_logprobs":20)");
    EXPECT_EQ(error_in(post(kChat, body, 413)).at("code"), "answer_too_large");
    EXPECT_TRUE(eventually([this] { return idle(); }));
    EXPECT_EQ(content_of(post(kChat, long_answer(500), 200)).size(), 500U);
}

TEST_F(AnswerTest, AClientThatLeavesWithoutReadingFreesItsSequence) {
    start();
    load(kLongContext);
    gate_.permit(0);
    auto client = ask_without_reading(long_answer(kLongContext, R"(,"stream":true)"));
    // The writer stands still by then.
    ASSERT_TRUE(eventually([&] {
        gate_.permit(100);
        return engine_->stats().generated_tokens_total >= kLongAnswer;
    }));
    client->close();
    EXPECT_TRUE(eventually_step_by_step([&] { return idle(); }));
    EXPECT_LT(engine_->stats().generated_tokens_total, kLongContext - 10);
}

TEST_F(AnswerTest, ADeadlineEndsAnAnswerInOnePiece) {
    start();
    load();
    gate_.permit(0);
    const http::SimpleResponse late =
        call("POST", kChat, chat_body("hello", R"(,"deadline_ms":30)"));
    EXPECT_EQ(late.status, 504);
    EXPECT_EQ(late.headers.get("x-should-retry"), "false");
    const json::object error = error_in(parse_json(late.body)->as_object());
    EXPECT_EQ(error.at("code"), "deadline_exceeded");
    EXPECT_EQ(error.at("param"), "deadline_ms");
    EXPECT_TRUE(eventually_step_by_step([&] { return idle(); }));
    EXPECT_LT(engine_->stats().generated_tokens_total, kContext / 2) << "no answer to its end";
    gate_.open();
    post(kChat, chat_body("hello", R"(,"deadline_ms":60000,"max_tokens":3)"), 200);
}

TEST_F(AnswerTest, ADeadlineEndsAStreamWithAnError) {
    start();
    load();
    gate_.permit(1);
    const std::vector<std::string> events =
        stream(kChat, chat_body("hello", R"(,"stream":true,"deadline_ms":1500)"));
    ASSERT_GE(events.size(), 2U);
    const json::object last = parse_json(events.back())->as_object();
    ASSERT_TRUE(last.contains("error")) << events.back();
    EXPECT_EQ(error_in(last).at("code"), "deadline_exceeded");
    EXPECT_EQ(std::count(events.begin(), events.end(), "[DONE]"), 0);
    EXPECT_TRUE(eventually_step_by_step([&] { return idle(); }));
}

TEST_F(AnswerTest, WhoWaitsPastTheDeadlineIsNotComputed) {
    start({"", "letters", ""}, {.queue_limit = 16});
    load();
    gate_.permit(0);
    std::thread first([this] { post(kChat, chat_body("hello", R"(,"max_tokens":2)"), 200); });
    ASSERT_TRUE(gate_.wait_arrived(1));
    EXPECT_EQ(error_in(post(kChat, chat_body("other", R"(,"deadline_ms":20)"), 504)).at("code"),
              "deadline_exceeded");
    gate_.open();
    first.join();
    EXPECT_TRUE(eventually([this] { return idle(); }));
    EXPECT_EQ(engine_->stats().generated_tokens_total, 2U);
}

// Lets large texts wait inside the tokenizer.
class LargePromptTest : public AnswerTest {
protected:
    void SetUp() override {
        on_tokenize_ = [this](std::string_view text) {
            if (text.size() > kLargeBodyBytes) {
                ++large_;
                opened_.wait();
            }
        };
        start();
        load(kLongContext);
    }
    void TearDown() override {
        open_.set_value();
        FrontendRig::TearDown();
    }
    std::atomic<int> large_{0};
    std::promise<void> open_;
    std::shared_future<void> opened_ = open_.get_future().share();
    const std::string large_body_ = chat_body(std::string(kLargeBodyBytes + 1, 'a'));
};

TEST_F(LargePromptTest, LargePromptsWaitForEachOtherAndHoldUpNobodyElse) {
    std::vector<std::unique_ptr<http::RawClient>> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(ask_without_reading(large_body_));
    }
    ASSERT_TRUE(eventually([this] { return large_ == 1; }));
    EXPECT_EQ(content_of(post(kChat, chat_body("hello", R"(,"max_tokens":9)"), 200)).size(), 9U);
    EXPECT_EQ(large_, 1);
}

TEST_F(LargePromptTest, WhoLeavesWhileWaitingIsNotWorkedFor) {
    const auto first = ask_without_reading(large_body_);
    ASSERT_TRUE(eventually([this] { return large_ == 1; }));
    auto second = ask_without_reading(large_body_);
    const auto third = ask_without_reading(large_body_);
    ASSERT_TRUE(eventually([this] {
        std::promise<size_t> exchanges;
        asio::post(io_, [&] { exchanges.set_value(frontend_->server().exchanges()); });
        return exchanges.get_future().get() == 3;
    }));
    second->close();
    call("GET", "/health");  // the io thread saw the end of the second before this
    open_.set_value();
    EXPECT_EQ(http::status_of(third->read_until("\r\n\r\n")), 400) << "larger than the context";
    EXPECT_EQ(large_, 2) << "the first and the third";
    open_ = {};
}

TEST_F(AnswerTest, TheServiceTierIsEchoedWhereAsked) {
    start();
    load();
    const std::pair<std::string, std::string> cases[] = {
        {R"(,"service_tier":"auto")", "default"},
        {R"(,"service_tier":"scale")", "default"},
        {R"(,"service_tier":"flex")", "flex"},
        {R"(,"service_tier":"priority")", "priority"},
        {R"(,"service_tier":"priority","priority":3)", "flex"},
        {R"(,"priority":3)", ""},
        {"", ""},
    };
    for (const auto& [fields, tier] : cases) {
        const json::object answer = post(kChat, chat_body("hi", fields + R"(,"max_tokens":1)"), 200);
        EXPECT_EQ(answer.contains("service_tier"), !tier.empty()) << fields;
        if (!tier.empty()) {
            EXPECT_EQ(answer.at("service_tier"), json::value(tier)) << fields;
        }
        const std::vector<std::string> events =
            stream(kChat, chat_body("hi", fields + R"(,"max_tokens":1,"stream":true)"));
        for (size_t i = 0; i + 1 < events.size(); ++i) {
            const json::object chunk = parse_json(events[i])->as_object();
            EXPECT_EQ(chunk.contains("service_tier"), !tier.empty()) << events[i];
            EXPECT_TRUE(tier.empty() || chunk.at("service_tier") == json::value(tier));
        }
    }
}

TEST(SequenceRequest, TakesWhatThePlanSays) {
    AnswerPlan plan;
    plan.generation.n = 2;
    plan.generation.max_tokens = 7;
    plan.generation.cache_salt = "tenant";
    plan.sampling.seed = 100;
    plan.prompts = {{1}, {2, 3}};
    const Deadline deadline = Deadline::after(std::chrono::hours(1));
    const engine::SequenceRequest request = sequence_request(plan, 3, deadline);
    EXPECT_EQ(request.prompt, (std::vector<engine::TokenId>{2, 3}));
    EXPECT_EQ(request.sampling.seed, 103U);
    EXPECT_EQ(request.max_tokens, 7U);
    EXPECT_EQ(request.cache_salt, "tenant");
    EXPECT_EQ(request.deadline.time(), deadline.time());
    using protocol::openai::ServiceTier;
    const std::pair<ServiceTier, engine::Priority> classes[] = {
        {ServiceTier::kDefault, engine::Priority::kNormal},
        {ServiceTier::kFlex, engine::Priority::kBatch},
        {ServiceTier::kPriority, engine::Priority::kHigh}};
    for (const auto& [tier, priority] : classes) {
        plan.generation.service_tier = tier;
        EXPECT_EQ(sequence_request(plan, 0, deadline).priority, priority);
    }
}

// Equal prompts that meet in the engine are computed once.
class CachedTokensTest : public AnswerTest {
protected:
    // Sends while another request holds the engine, until so many sequences wait.
    void meet(const std::function<void()>& send, uint32_t sequences) {
        gate_.permit(0);
        const int forwards = gate_.arrived();
        std::thread holder([this] { post(kChat, chat_body("hold", R"(,"max_tokens":1)"), 200); });
        EXPECT_TRUE(gate_.wait_arrived(forwards + 1));
        std::thread sender(send);
        EXPECT_TRUE(eventually([&] { return engine_->stats().waiting == sequences; }));
        gate_.open();
        holder.join();
        sender.join();
    }
    json::value usage_of(const std::string& target, const std::string& body, bool streamed) {
        if (!streamed) {
            return post(target, body, 200).at("usage");
        }
        const std::vector<std::string> events =
            stream(target, body.substr(0, body.size() - 1) +
                               R"(,"stream":true,"stream_options":{"include_usage":true}})");
        EXPECT_GE(events.size(), 3U);
        return parse_json(events[events.size() - 2])->at("usage");
    }
    static int64_t cached(const json::value& usage) {
        return usage.at("prompt_tokens_details").at("cached_tokens").to_number<int64_t>();
    }
};

TEST_F(CachedTokensTest, OfTheLegacyEndpoint) {
    start();
    load();
    for (const bool streamed : {false, true}) {
        const std::string text(40, streamed ? 's' : 'w');
        const std::string body =
            R"({"prompt":[")" + text + R"(",")" + text + R"("],"max_tokens":3,"seed":1})";
        json::value usage;
        meet([&] { usage = usage_of("/v1/completions", body, streamed); }, 2);
        EXPECT_EQ(usage.at("prompt_tokens"), 80);
        EXPECT_GE(cached(usage), 39);
        EXPECT_LE(cached(usage), 40);
    }
}

TEST_F(CachedTokensTest, OfChat) {
    start();
    load();
    for (const bool streamed : {false, true}) {
        const std::string body =
            chat_body(std::string(40, streamed ? 's' : 'w'), R"(,"max_tokens":3)");
        json::value usages[2];
        const auto both = [&] {
            std::thread other([&] { usages[1] = usage_of(kChat, body, streamed); });
            usages[0] = usage_of(kChat, body, streamed);
            other.join();
        };
        meet(both, 2);
        EXPECT_EQ(usages[0].at("prompt_tokens"), 40);
        EXPECT_GE(cached(usages[0]) + cached(usages[1]), 39) << "of one of the two";
        EXPECT_LE(cached(usages[0]) + cached(usages[1]), 40);
    }
}

}  // namespace
}  // namespace gantry::engine_server
