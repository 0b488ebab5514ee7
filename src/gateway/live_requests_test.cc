#include "gateway/live_requests.h"

#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

using testing::HasSubstr;

class LiveRequestsTest : public GatewayRig {
protected:
    LiveRequests::Page list(LiveRequests::Filter filter = {}) {
        return on_io([filter](LiveRequests& live) { return live.list(filter, system_clock().steady()); });
    }
    std::optional<LiveRequest> cancel(const std::string& id, const std::string& user = {}) {
        return on_io([&](LiveRequests& live) {
            return live.cancel(id, UserId(user), {ErrorCode::kCancelled, "stop that", {}, "cancelled_by_admin"}, system_clock().steady());
        });
    }
    void TearDown() override {
        for (std::thread& thread : clients_) thread.join();
        GatewayRig::TearDown();
    }
    // Asks for a chat on a thread of its own.
    std::future<http::SimpleResponse> ask(bool stream) {
        std::packaged_task<http::SimpleResponse()> task([this, stream] { return chat(stream); });
        auto answer = task.get_future();
        clients_.emplace_back(std::move(task));
        return answer;
    }
    LiveRequest only(RequestState state) {
        EXPECT_TRUE(eventually([&] {
            const auto page = list();
            return page.items.size() == 1 && page.items[0].state == state;
        }));
        const auto page = list();
        return page.items.empty() ? LiveRequest{} : page.items[0];
    }

private:
    std::vector<std::thread> clients_;
};

TEST_F(LiveRequestsTest, AStreamIsThereWhileItLastsAndCanBeCancelled) {
    ScriptedEngine& engine = serve(stalls({data(chunk("a")) + data(chunk("b"))}));
    EXPECT_TRUE(list().items.empty());
    auto answer = ask(true);
    const LiveRequest seen = only(RequestState::kStreaming);
    EXPECT_EQ(seen.user_id.text, "usr_1");
    EXPECT_EQ(seen.user_name, "ann");
    EXPECT_EQ(seen.key_id.text, "key_1");
    EXPECT_EQ(seen.peer, "127.0.0.1");
    EXPECT_EQ(seen.model, "tiny");
    EXPECT_EQ(seen.instance_id.text, "ins_0");
    EXPECT_EQ(seen.operation, "chat");
    EXPECT_TRUE(seen.stream);
    EXPECT_GT(seen.body_bytes, 0u);
    EXPECT_EQ(seen.completion_tokens, 2u);
    EXPECT_FALSE(seen.prompt_tokens.has_value());

    EXPECT_FALSE(cancel("nobodys").has_value());
    EXPECT_FALSE(cancel(seen.id, "usr_2").has_value()) << "another's";
    EXPECT_EQ(cancel(seen.id, "usr_1")->completion_tokens, 2u);
    const http::SimpleResponse response = answer.get();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.get("x-request-id"), seen.id);
    EXPECT_THAT(response.body, HasSubstr(data(chunk("b")) + R"(data: {"error":{"message":"stop that")"));
    EXPECT_THAT(response.body, HasSubstr("\"code\":\"cancelled_by_admin\""));
    EXPECT_THAT(response.body, testing::Not(HasSubstr("[DONE]")));
    EXPECT_TRUE(eventually([&] { return engine.running() == 0; })) << "the engine is told";
    EXPECT_TRUE(eventually([&] { return list().items.empty(); }));
    const UsageRecord& record = records(1)[0];
    EXPECT_TRUE(record.aborted);
    EXPECT_EQ(record.completion_tokens, 2u);
    // The engine did nothing wrong: it gets the next request.
    auto again = ask(true);
    const LiveRequest next = only(RequestState::kStreaming);
    EXPECT_TRUE(cancel(next.id).has_value());
    again.get();
    EXPECT_EQ(records(2)[1].request_id, next.id);
}

TEST_F(LiveRequestsTest, ThePromptsTokensAreToldWhereTheEngineTellsThemMeanwhile) {
    std::string with = chunk("a");
    with.insert(with.size() - 1, R"(,"usage":{"prompt_tokens":11,"completion_tokens":1,"total_tokens":12})");
    const std::string with_usage = with;   // const: else std::data() is the better match
    serve(stalls({data(with_usage)}), BackendKind::kCustom);
    auto answer = ask(true);
    EXPECT_EQ(only(RequestState::kStreaming).prompt_tokens, 11u);
    EXPECT_TRUE(cancel(only(RequestState::kStreaming).id).has_value());
    EXPECT_THAT(answer.get().body, HasSubstr("cancelled_by_admin"));
}

TEST_F(LiveRequestsTest, OneThatHasNoAnswerYetIsRefused) {
    ScriptedEngine& engine = serve(stalls({}));
    for (const bool stream : {false, true}) {
        auto answer = ask(stream);
        ASSERT_TRUE(eventually([&] { return engine.running() == 1; }));
        const LiveRequest seen = only(RequestState::kWaiting);
        EXPECT_TRUE(cancel(seen.id).has_value());
        EXPECT_EQ(error_code(answer.get(), 499), "cancelled_by_admin");
        EXPECT_TRUE(eventually([&] { return engine.running() == 0; }));
    }
    for (const UsageRecord& record : records(2)) {
        EXPECT_EQ(record.status, 499);
        EXPECT_TRUE(record.aborted);
    }
}

TEST_F(LiveRequestsTest, ManyComeInPagesInEitherOrder) {
    serve(stalls({data(chunk("a"))}));
    std::vector<std::future<http::SimpleResponse>> answers;
    std::vector<std::string> ids;
    for (size_t i = 0; i < 5; ++i) {   // one after the other, so that their order is known
        answers.push_back(ask(true));
        ASSERT_TRUE(eventually([&] { return list().items.size() == i + 1; }));
        ids.push_back(list().items.back().id);
    }
    for (const bool newest_first : {false, true}) {
        std::vector<std::string> seen;
        LiveRequests::Filter filter;
        filter.limit = 2;
        filter.newest_first = newest_first;
        int pages = 0;
        do {
            const auto page = list(filter);
            for (const LiveRequest& request : page.items) seen.push_back(request.id);
            filter.beyond = page.next;
            ++pages;
        } while (filter.beyond != 0 && pages < 9);
        EXPECT_EQ(pages, 3);
        if (newest_first) std::reverse(seen.begin(), seen.end());
        EXPECT_EQ(seen, ids);
    }
    LiveRequests::Filter other;
    other.model = "large";
    EXPECT_TRUE(list(other).items.empty());
    other = {.user = UserId("usr_2"), .model = {}};
    EXPECT_TRUE(list(other).items.empty());
    cancel(ids[2]);   // from the middle
    EXPECT_TRUE(eventually([&] { return list().items.size() == 4; }));
    for (const std::string& id : ids) cancel(id);
    for (auto& answer : answers) answer.get();
    EXPECT_TRUE(eventually([&] { return list().items.empty(); }));
}

}  // namespace
}  // namespace gantry::gateway
