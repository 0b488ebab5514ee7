#include "devices/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

namespace gantry::devices {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::MatchesRegex;

Device card(uint32_t index, const std::string& uuid = "") {
    Device device;
    device.vendor = "nvidia";
    device.index = index;
    device.name = "card";
    device.uuid = uuid;
    device.memory_total_bytes = 100;
    device.memory_free_bytes = 60;
    return device;
}

bool always(Tools&) { return true; }
Finding never(Tools&) { return {}; }
const Prober kPlayed{"nvidia", always, "absent", never};
bool absent(Tools&) { return false; }
const Prober kAbsent{"amd", absent, "no /dev/kfd", never};

// An inventory whose prober's answer a test writes, and waits until it has been taken.
class InventoryTest : public testing::Test {
protected:
    InventoryTest() {
        std::string pattern = "/tmp/gantry-inventory-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        ::setenv("GANTRY_FAKE_PROBER_ANSWER", (folder_ + "/answer").c_str(), 1);
    }
    ~InventoryTest() override {
        inventory_.reset();
        ::unsetenv("GANTRY_FAKE_PROBER_ANSWER");
        std::filesystem::remove_all(folder_);
    }
    void answer(const std::string& text) {
        std::ofstream(folder_ + "/next") << text;
        std::filesystem::rename(folder_ + "/next", folder_ + "/answer");
    }
    void start(std::chrono::milliseconds deadline = 20s) {
        InventoryOptions options;
        options.gantry_binary = GANTRY_FAKE_PROBER;
        options.deadline = deadline;
        options.interval = 1h;
        options.probers = {&kPlayed, &kAbsent};
        options.changed = [this] {
            std::lock_guard lock(mutex_);
            ++changes_;
            changed_.notify_all();
        };
        inventory_ = Inventory::start(std::move(options));
        ASSERT_TRUE(inventory_->wait_for_first_look(Deadline::after(20s)));
    }
    // Looks again, and waits for what differs.
    void look() {
        std::unique_lock lock(mutex_);
        const int before = changes_;
        inventory_->refresh();
        ASSERT_TRUE(changed_.wait_for(lock, 20s, [&] { return changes_ > before; }));
    }
    std::vector<Device> cards() {
        std::vector<Device> out;
        for (const Device& device : inventory_->latest().devices) {
            if (device.vendor == "nvidia") out.push_back(device);
        }
        return out;
    }

    std::string folder_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int changes_ = 0;
    std::unique_ptr<Inventory> inventory_;
};

TEST_F(InventoryTest, ListsTheCpuTheDevicesAndWhyThereAreNoOthers) {
    answer(to_text({{card(0), card(1)}, ""}));
    start();
    const ProbeOutcome outcome = inventory_->latest();
    ASSERT_EQ(outcome.devices.size(), 3u);
    EXPECT_EQ(outcome.devices[0].vendor, "cpu");
    EXPECT_EQ(outcome.devices[2], card(1));
    EXPECT_THAT(outcome.notes, testing::ElementsAre("amd: no /dev/kfd"));
}

TEST_F(InventoryTest, AProberThatHangsLeavesItsDevicesWithAProblemUntilItHeals) {
    answer(to_text({{card(0)}, ""}));
    start(200ms);
    ASSERT_EQ(cards().size(), 1u);
    EXPECT_EQ(cards()[0].problem, "");
    answer("hang");
    look();
    ASSERT_EQ(cards().size(), 1u);
    EXPECT_THAT(cards()[0].problem, HasSubstr("did not answer within 0.2 s"));
    answer(to_text({{card(0)}, ""}));
    look();
    EXPECT_EQ(cards()[0].problem, "");
}

TEST_F(InventoryTest, EndsAtOnceWhileAProberHangs) {
    answer(to_text({{card(0)}, ""}));
    start(1h);
    answer("hang");
    inventory_->refresh();
    inventory_.reset();   // would wait for the hour
    EXPECT_EQ(changes_, 1) << "and nothing is told of it";
}

TEST_F(InventoryTest, CrashesAndNonsenseAreProblemsToo) {
    answer(to_text({{card(0)}, ""}));
    start();
    answer("crash");
    look();
    EXPECT_THAT(cards()[0].problem, HasSubstr("crashed (signal 6)"));
    answer("{\"devices\":[{\"vendor\":7}]}");
    look();
    EXPECT_THAT(cards()[0].problem, HasSubstr("holds no list of devices"));
}

TEST_F(InventoryTest, ADeviceThatIsNoLongerListedStaysWithAProblem) {
    answer(to_text({{card(0), card(1)}, ""}));
    start();
    answer(to_text({{card(0)}, "GPU is lost"}));
    look();
    ASSERT_EQ(cards().size(), 2u);
    EXPECT_EQ(cards()[0].problem, "");
    EXPECT_THAT(cards()[1].problem, MatchesRegex("the driver has not listed it since .* UTC: GPU is lost"));
}

TEST(Remembered, ForgetsAfterAnHourAndGivesAPlaceToAnother) {
    const SteadyTime then{};
    const WallTime wall = from_rfc3339("2026-11-26T09:05:59.000Z");
    const std::vector<Seen> before = {{card(0, "a"), then, wall}, {card(1, "b"), then, wall}};
    const auto soon = remembered(before, {{card(0, "new")}, ""}, "", then + 90s, wall + 90s);
    ASSERT_EQ(soon.size(), 2u);
    EXPECT_EQ(soon[0].device.uuid, "new");
    EXPECT_THAT(soon[1].device.problem, HasSubstr("since 2026-11-26T09:05 UTC"));
    EXPECT_EQ(soon[1].last, then) << "when it was well";
    const auto later = remembered(soon, {{card(0, "new")}, ""}, "", then + 30min, wall + 30min);
    EXPECT_EQ(later[1].device, soon[1].device) << "the same text, so that nobody is told of a change";
    EXPECT_EQ(remembered(later, {{card(0, "new")}, ""}, "", then + kRemembered + 1s, wall).size(), 1u);
}

// F16: GPU 0 fell off the bus, and the driver counts the other one as 0.
TEST(Remembered, ALostDeviceIsKnownByItsUuidWhenTheDriverCountsAnew) {
    const SteadyTime then{};
    const std::vector<Seen> before = {{card(0, "a"), then, {}}, {card(1, "b"), then, {}}};
    const auto soon = remembered(before, {{card(0, "b")}, ""}, "", then + 5s, {});
    ASSERT_EQ(soon.size(), 2u);
    EXPECT_EQ(soon[0].device, card(0, "b"));
    EXPECT_EQ(soon[1].device.uuid, "a");
    EXPECT_EQ(soon[1].device.index, kDisplaced);
    EXPECT_NE(soon[1].device.problem, "");
    const auto later = remembered(soon, {{card(0, "b")}, ""}, "", then + 10s, {});
    ASSERT_EQ(later.size(), 2u);
    EXPECT_EQ(later[1].device.index, kDisplaced);
    const auto healed = remembered(later, {{card(0, "a"), card(1, "b")}, ""}, "", then + 15s, {});
    EXPECT_EQ(healed.size(), 2u);
    EXPECT_EQ(healed[0].device, card(0, "a"));
}

TEST(FindingText, ThereAndBack) {
    Device device = card(3, "GPU-1");
    device.chip = "sm_80";
    device.temperature_celsius = 61;
    device.numa_node = 1;
    device.links = {{1, "NV12"}};
    device.processes = {{.pid = 7, .name = "python", .memory_bytes = 9, .instance_id = {}}};
    const auto back = finding_from(to_text({{device}, "a note"}), "nvidia");
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->devices, std::vector<Device>{device});
    EXPECT_EQ(back->note, "a note");
}

TEST(FindingText, ALongNoteIsCutBetweenCharacters) {
    const auto back = finding_from(to_text({{}, std::string(1999, 'a') + "\u00e9" + std::string(100, 'b')}), "nvidia");
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_TRUE(finding_from(to_text(*back), "nvidia").ok());
}

TEST(FindingText, WhatCannotBeIsRefused) {
    Device more_free = card(0);
    more_free.memory_free_bytes = 101;
    for (const std::string& text : {std::string(), std::string("[]"), std::string("{}"), std::string("{\"devices\":{}}"),
                                    to_text({{card(0), card(0)}, ""}), to_text({{more_free}, ""}),
                                    to_text({std::vector<Device>(300, card(0)), ""})}) {
        EXPECT_FALSE(finding_from(text, "nvidia").ok()) << text.substr(0, 80);
    }
    EXPECT_FALSE(finding_from(to_text({{card(0)}, ""}), "amd").ok());
}

}  // namespace
}  // namespace gantry::devices
