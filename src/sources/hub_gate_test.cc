#include "sources/hub_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

namespace gantry::sources {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr SourceKind kHub = SourceKind::kHuggingFace;

TEST(HubGate, FewWaitAndTheOthersAreToldSo) {
    HubGate gate(system_clock(), {.at_once = 2, .turn = 20ms});
    std::promise<void> answered;
    const std::shared_future<void> answer = answered.get_future().share();
    std::vector<std::promise<void>> entered(2);
    std::vector<std::jthread> asking;
    for (auto& one : entered) {
        asking.emplace_back([&gate, &one, answer] {
            const Result<int> got = gate.ask(kHub, [&]() -> Result<int> {
                one.set_value();
                answer.wait();
                return 1;
            });
            EXPECT_TRUE(got.ok());
        });
    }
    for (auto& one : entered) one.get_future().wait();
    const auto none = []() -> Result<int> { return 2; };
    EXPECT_THAT(gate.ask(kHub, none).error().message, HasSubstr("2 questions to hubs have no answer"));
    EXPECT_FALSE(gate.ask(SourceKind::kModelScope, none)) << "threads are the same";
    answered.set_value();
    asking.clear();
    EXPECT_EQ(gate.ask(kHub, none).value(), 2);
}

TEST(HubGate, AfterOneThatWaitedInVainNobodyAsksForAWhile) {
    FakeClock clock;
    HubGate gate(clock, {.turn = 1ms});
    int asked = 0;
    const auto silent_for = [&](std::chrono::seconds passed, ErrorCode code) {
        return gate.ask(kHub, [&]() -> Result<int> {
            ++asked;
            clock.advance(passed);
            return Error{code, "no answer", {}, {}};
        });
    };
    (void)silent_for(4s, ErrorCode::kUnavailable);     // refused at once, or soon: whoever asks next may ask
    (void)silent_for(10s, ErrorCode::kNotFound);       // an answer, if a late one
    EXPECT_EQ(silent_for(10s, ErrorCode::kUnavailable).error().message, "no answer");
    EXPECT_EQ(asked, 3);
    EXPECT_THAT(silent_for(0s, ErrorCode::kUnavailable).error().message, HasSubstr("not asked again for 30 s"));
    EXPECT_EQ(asked, 3);
    EXPECT_EQ(gate.ask(SourceKind::kModelScope, []() -> Result<int> { return 2; }).value(), 2) << "the other hub is another matter";
    clock.advance(30s);
    EXPECT_EQ(silent_for(0s, ErrorCode::kUnavailable).error().message, "no answer");
    EXPECT_EQ(asked, 4);
}

}  // namespace
}  // namespace gantry::sources
