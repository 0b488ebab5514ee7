#include "control/watch_hub.h"

#include <gtest/gtest.h>

namespace gantry::control {
namespace {

WatchEvent event(WatchEvent::Type type, const std::string& kind, const std::string& text) {
    return {type, kind, std::make_shared<const WatchedObject>(WatchedObject{text, text})};
}

TEST(watch_hub, first_list_then_changes_of_wanted_kinds) {
    WatchHub hub;
    int woken = 0;
    const auto sub = hub.add({"a"}, {event(WatchEvent::Type::kAdded, "a", "1")}, [&woken] { ++woken; });
    hub.publish({event(WatchEvent::Type::kModified, "a", "2"), event(WatchEvent::Type::kModified, "b", "3")});
    EXPECT_EQ(woken, 1);
    hub.publish({event(WatchEvent::Type::kModified, "b", "4")});
    EXPECT_EQ(woken, 1) << "not woken for what it does not watch";
    const auto batch = sub->take();
    ASSERT_EQ(batch.events.size(), 2u);
    EXPECT_EQ(batch.events[0].object->for_admins, "1");
    EXPECT_EQ(batch.events[1].object->for_admins, "2");
    EXPECT_FALSE(batch.lost);
    EXPECT_TRUE(sub->take().events.empty());
}

TEST(watch_hub, a_slow_watcher_is_told_and_costs_nothing) {
    WatchHub hub;
    std::vector<WatchEvent> first(5000, event(WatchEvent::Type::kAdded, "a", "x"));  // a long first list is no slowness
    const auto slow = hub.add({"a"}, first, [] {});
    const auto quick = hub.add({"a"}, {}, [] {});
    size_t seen = 0;
    for (size_t k = 0; k < Subscription::kQueueMax; ++k) {
        hub.publish({event(WatchEvent::Type::kModified, "a", "y")});
        seen += quick->take().events.size();
    }
    EXPECT_EQ(seen, Subscription::kQueueMax);
    hub.publish({event(WatchEvent::Type::kModified, "a", "one too many")});
    const auto batch = slow->take();
    EXPECT_TRUE(batch.lost);
    EXPECT_TRUE(batch.events.empty());
    EXPECT_FALSE(quick->take().lost);
}

TEST(watch_hub, limits_and_close) {
    WatchHub hub;
    std::vector<std::shared_ptr<Subscription>> all;
    for (size_t k = 0; k < WatchHub::kSubscribersMax; ++k) all.push_back(hub.add({"a"}, {}, [] {}));
    EXPECT_EQ(hub.add({"a"}, {}, [] {}), nullptr);
    all.pop_back();
    auto again = hub.add({"a"}, {}, [] {});
    ASSERT_NE(again, nullptr) << "a watcher that left makes room";
    EXPECT_EQ(hub.size(), WatchHub::kSubscribersMax);
    hub.close();
    EXPECT_TRUE(again->take().closed);
    all.clear();
    EXPECT_TRUE(hub.add({"a"}, {}, [] {})->take().closed) << "closed from the start";
}

}  // namespace
}  // namespace gantry::control
