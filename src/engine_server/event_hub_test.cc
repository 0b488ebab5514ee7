#include "engine_server/event_hub.h"

#include <gtest/gtest.h>

#include <thread>

namespace gantry::engine_server {
namespace {

engine::TokenEvent token_event(engine::TokenId token) {
    engine::TokenEvent event;
    event.token = token;
    event.completion_tokens = static_cast<uint32_t>(token) + 1;
    return event;
}

class HubTest : public testing::Test {
protected:
    EventHub::Sink into(std::vector<SequenceEvents>& calls) {
        return [&calls](SequenceEvents events) { calls.push_back(std::move(events)); };
    }
    void run() {
        io_.restart();
        io_.run();
    }
    boost::asio::io_context io_{1};
    EventHub hub_{io_};
};

TEST_F(HubTest, WhatGathersComesInOneCall) {
    std::vector<SequenceEvents> calls;
    const auto send = hub_.sender(hub_.add(into(calls)));
    std::thread engine([&] {
        for (engine::TokenId token = 0; token < 10'000; ++token) {
            send(token_event(token));
        }
        engine::TokenEvent end;
        end.finish = engine::FinishReason::kLength;
        end.completion_tokens = 10'000;
        send(std::move(end));
    });
    engine.join();  // the io thread stood still all that time
    run();
    ASSERT_EQ(calls.size(), 1U);
    ASSERT_EQ(calls[0].tokens.size(), 10'000U);
    for (engine::TokenId token = 0; token < 10'000; ++token) {
        ASSERT_EQ(calls[0].tokens[static_cast<size_t>(token)], token);
    }
    EXPECT_TRUE(calls[0].logprobs.empty());
    EXPECT_EQ(calls[0].latest.finish, engine::FinishReason::kLength);
    EXPECT_EQ(calls[0].latest.completion_tokens, 10'000U);
}

TEST_F(HubTest, SequencesKeepApart) {
    std::vector<SequenceEvents> first;
    std::vector<SequenceEvents> second;
    const auto send_first = hub_.sender(hub_.add(into(first)));
    const auto send_second = hub_.sender(hub_.add(into(second)));
    for (engine::TokenId token = 0; token < 3; ++token) {
        send_first(token_event(token));
        engine::TokenEvent event = token_event(10 + token);
        event.logprob = engine::TokenLogprob{10 + token, -1};
        event.top_logprobs = {{1, -2}, {2, -3}};
        send_second(std::move(event));
    }
    run();
    send_first(token_event(3));
    run();
    ASSERT_EQ(first.size(), 2U);
    EXPECT_EQ(first[0].tokens, (std::vector<engine::TokenId>{0, 1, 2}));
    EXPECT_EQ(first[1].tokens, (std::vector<engine::TokenId>{3})) << "nothing comes twice";
    ASSERT_EQ(second.size(), 1U);
    ASSERT_EQ(second[0].logprobs.size(), 3U);
    EXPECT_EQ(second[0].logprobs[2].token.token, 12);
    EXPECT_EQ(second[0].logprobs[2].top.size(), 2U);
}

TEST_F(HubTest, NothingComesAfterRemoving) {
    std::vector<SequenceEvents> calls;
    const uint64_t key = hub_.add(into(calls));
    const auto send = hub_.sender(key);
    send(token_event(1));
    hub_.remove(key);
    run();
    send(token_event(2));
    run();
    EXPECT_TRUE(calls.empty());
}

TEST_F(HubTest, ASinkMayRemoveItselfAndOthers) {
    std::vector<SequenceEvents> calls;
    uint64_t second = 0;
    uint64_t first = 0;
    first = hub_.add([&](SequenceEvents events) {
        calls.push_back(std::move(events));
        hub_.remove(first);
        hub_.remove(second);
    });
    second = hub_.add(into(calls));
    const auto send_first = hub_.sender(first);
    const auto send_second = hub_.sender(second);
    send_first(token_event(1));
    send_second(token_event(2));
    run();
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0].tokens.front(), 1);
}

TEST_F(HubTest, CancelAllEndsEverySequence) {
    std::vector<SequenceEvents> calls;
    hub_.add(into(calls));
    hub_.add(into(calls));
    hub_.cancel_all();
    ASSERT_EQ(calls.size(), 2U);
    EXPECT_EQ(calls[1].latest.finish, engine::FinishReason::kCancelled);
}

}  // namespace
}  // namespace gantry::engine_server
