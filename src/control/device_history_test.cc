#include "control/device_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "store/store_for_test.h"

namespace gantry::control {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr uint64_t kGiB = uint64_t{1} << 30;

Device a_device(const std::string& vendor, uint32_t index, double utilization = 0.5, std::optional<double> temperature = 40) {
    Device d;
    d.vendor = vendor;
    d.index = index;
    d.memory_total_bytes = 80 * kGiB;
    d.memory_free_bytes = 60 * kGiB;
    d.utilization = utilization;
    d.temperature_celsius = temperature;
    return d;
}

// A store, and the history of a server process, which can be another one.
struct DeviceHistoryTest : testing::Test {
    DeviceHistoryTest() {
        clock.set_wall(from_rfc3339("2026-11-23T10:00:00Z"));
        for (const char* name : {"one", "two"}) {
            EXPECT_OK(store->create_worker(store::a_worker(name)));
            rows.workers.push_back(store::a_worker(name));
        }
    }
    // Reports every ten seconds.
    void report(std::chrono::minutes during, const std::vector<Device>& devices, const WorkerId& worker = WorkerId("wrk_one")) {
        for (auto left = std::chrono::seconds(during); left > 0s; left -= 10s) {
            history->add(worker, devices);
            history->store_due();
            clock.advance(10s);
        }
    }
    void pass(std::chrono::minutes time) {
        for (; time > 0min; time -= 1min) {
            clock.advance(1min);
            history->store_due();
        }
    }
    void restart() { history = std::make_unique<DeviceHistory>(*store, clock); }
    DeviceCourses read(std::chrono::minutes back, std::chrono::minutes step, const std::string& worker = "wrk_one") {
        const auto courses = history->read(WorkerId(worker), clock.wall() - back, clock.wall(), step);
        EXPECT_OK(courses);
        return courses.ok() ? *courses : DeviceCourses{};
    }
    std::vector<std::optional<double>> utilization(std::chrono::minutes back, std::chrono::minutes step) {
        std::vector<std::optional<double>> out;
        const DeviceCourses courses = read(back, step);
        EXPECT_EQ(courses.devices.size(), 1u);
        if (courses.devices.size() == 1) {
            for (const DeviceFigures& figures : courses.devices[0].steps) out.push_back(figures.utilization);
        }
        return out;
    }
    std::vector<DeviceQuarter> stored(const std::string& worker = "wrk_one") {
        return store->device_history(WorkerId(worker), WallTime{}, clock.wall() + 24h).value().quarters;
    }

    store::TempDir dir;
    std::unique_ptr<store::SqliteStore> store = store::open_store(dir.path());
    FakeClock clock;
    Snapshot rows;
    std::unique_ptr<DeviceHistory> history = std::make_unique<DeviceHistory>(*store, clock);
};

TEST_F(DeviceHistoryTest, AMinuteIsTheMeanOfItsReportsAndTheNewestIsThereAtOnce) {
    history->add(WorkerId("wrk_one"), {a_device("nvidia", 0, 0.25, 50)});
    clock.advance(1s);
    const DeviceCourses first = read(1min, 1min);
    EXPECT_EQ(first.measured_since, from_rfc3339("2026-11-23T10:00:00Z"));
    EXPECT_EQ(first.from, from_rfc3339("2026-11-23T09:59:00Z"));
    ASSERT_EQ(first.devices.size(), 1u);
    EXPECT_THAT(first.devices[0].steps, ElementsAre(DeviceFigures{}, DeviceFigures{20 * kGiB, 0.25, 0.25, 50}));

    Device busy = a_device("nvidia", 0, 0.75, 60);
    busy.memory_free_bytes = 40 * kGiB;
    history->add(WorkerId("wrk_one"), {busy});
    clock.advance(59s);
    history->add(WorkerId("wrk_one"), {a_device("nvidia", 0, 1, 70)});
    clock.advance(1s);
    const DeviceCourses two = read(2min, 1min);
    ASSERT_EQ(two.devices.size(), 1u);
    EXPECT_EQ(two.devices[0].vendor, "nvidia");
    EXPECT_THAT(two.devices[0].steps, ElementsAre(DeviceFigures{}, DeviceFigures{30 * kGiB, 0.5, 0.75, 55}, DeviceFigures{20 * kGiB, 1, 1, 70}));
}

TEST_F(DeviceHistoryTest, WhatNoToolTellsIsAbsent) {
    Device silent = a_device("cpu", 0, 0.5, std::nullopt);
    silent.memory_total_bytes = silent.memory_free_bytes = 0;
    Device part = a_device("nvidia", 100, 0, std::nullopt);
    part.partition = "GPU-1 1g.10gb";
    Device lost = a_device("nvidia", 1, 0, std::nullopt);
    lost.problem = "not seen since 2026-11-23T09:00 UTC";
    Device hot = a_device("nvidia", 2, 0.5, 99);
    hot.problem = "2 uncorrected memory errors";
    history->add(WorkerId("wrk_one"), {silent, part, lost, hot});
    clock.advance(1s);
    const DeviceCourses courses = read(1min, 5min);
    ASSERT_EQ(courses.devices.size(), 3u) << "none of the lost one";
    EXPECT_EQ(courses.devices[0].steps.back(), (DeviceFigures{std::nullopt, 0.5, 0.5, std::nullopt}));
    EXPECT_EQ(courses.devices[1].steps.back(), (DeviceFigures{20 * kGiB, 0.5, 0.5, 99})) << "measured still";
    EXPECT_EQ(courses.devices[2].steps.back(), (DeviceFigures{20 * kGiB, std::nullopt, std::nullopt, std::nullopt}));
    pass(15min);
    EXPECT_EQ(stored().size(), 3u);
    EXPECT_EQ(stored()[2].figures, (DeviceFigures{20 * kGiB, std::nullopt, std::nullopt, std::nullopt}));
}

TEST_F(DeviceHistoryTest, WhileAWorkerIsAwayThereIsAGap) {
    report(2min, {a_device("cpu", 0, 0.5)});
    pass(3min);
    report(1min, {a_device("cpu", 0, 1)});
    EXPECT_THAT(utilization(6min, 1min), ElementsAre(0.5, 0.5, std::nullopt, std::nullopt, std::nullopt, 1));
    EXPECT_THAT(utilization(6min, 3min), ElementsAre(0.5, 1)) << "means of what there is";
}

TEST_F(DeviceHistoryTest, QuartersAreStoredOnceTheyAreOver) {
    report(15min, {a_device("cpu", 0, 0.25)});
    EXPECT_TRUE(stored().empty()) << "the quarter's last moment has not passed when the last report comes";
    history->store_due();
    ASSERT_EQ(stored().size(), 1u);
    EXPECT_EQ(stored()[0], (DeviceQuarter{WorkerId("wrk_one"), "cpu", 0, from_rfc3339("2026-11-23T10:00:00Z"), 15,
                                          DeviceFigures{20 * kGiB, 0.25, 0.25, 40}}));
    report(10min, {a_device("cpu", 0, 0.75)});
    history->store_due();
    EXPECT_EQ(stored().size(), 1u);
    pass(20min);
    ASSERT_EQ(stored().size(), 2u) << "and none of the quarter of which nothing was measured";
    EXPECT_EQ(stored()[1].minutes, 10u);
    EXPECT_EQ(stored()[1].figures.utilization, 0.75);
}

TEST_F(DeviceHistoryTest, AfterARestartQuartersStandForTheirMinutes) {
    report(20min, {a_device("cpu", 0, 0.2)});
    history->store_rest();
    restart();
    pass(2min);
    report(8min, {a_device("cpu", 0, 0.6)});
    // 10:00 to 10:15, 10:15 to 10:22 (measured until 10:20), then minutes.
    const auto minutes = utilization(30min, 1min);
    ASSERT_EQ(minutes.size(), 30u);
    EXPECT_EQ(minutes[0], 0.2);
    EXPECT_EQ(minutes[21], 0.2);
    EXPECT_EQ(minutes[22], 0.6);
    EXPECT_EQ(read(30min, 1min).measured_since, from_rfc3339("2026-11-23T10:00:00Z"));
    // The quarter that both processes measured is one row, by the minutes of each.
    history->store_due();
    ASSERT_EQ(stored().size(), 2u);
    EXPECT_EQ(stored()[1].minutes, 13u);
    EXPECT_NEAR(*stored()[1].figures.utilization, (5 * 0.2 + 8 * 0.6) / 13, 0.0001);
    EXPECT_EQ(stored()[1].figures.utilization_max, 0.6);
}

TEST_F(DeviceHistoryTest, AMonthIsKeptAndADayOfItByTheMinute) {
    report(30min, {a_device("cpu", 0, 0.25)});
    pass(24h);
    report(30min, {a_device("cpu", 0, 0.75)});
    history->store_due();
    EXPECT_EQ(utilization(24h + 1h, 1h).front(), 0.25) << "from the store alone";
    EXPECT_EQ(stored().size(), 4u);
    clock.advance(std::chrono::days(30) - 25h);
    report(16min, {a_device("cpu", 0, 1)});
    EXPECT_EQ(stored().size(), 4u) << "one more, and the first is over 30 days old";
    clock.advance(1h);
    report(16min, {a_device("cpu", 0, 1)});
    EXPECT_EQ(stored().front().at, from_rfc3339("2026-11-24T10:30:00Z"));
}

TEST_F(DeviceHistoryTest, OfAWorkerThatIsDeletedNothingStays) {
    report(16min, {a_device("cpu", 0)});
    report(16min, {a_device("cpu", 0), a_device("nvidia", 0)}, WorkerId("wrk_two"));
    EXPECT_EQ(stored("wrk_two").size(), 2u);
    EXPECT_OK(store->delete_worker(WorkerId("wrk_two")));
    EXPECT_TRUE(stored("wrk_two").empty());
    rows.workers.pop_back();
    history->forget_missing(rows);
    EXPECT_TRUE(read(60min, 1min, "wrk_two").devices.empty());
    EXPECT_EQ(read(60min, 1min, "wrk_two").measured_since, std::nullopt);
    EXPECT_FALSE(read(60min, 1min).devices.empty()) << "the other's stays";
    // A last report that crossed the deletion fails nobody's write.
    report(16min, {a_device("cpu", 0)}, WorkerId("wrk_two"));
    EXPECT_TRUE(stored("wrk_two").empty());
}

TEST_F(DeviceHistoryTest, AWorkersDevicesKeepTheirPlaces) {
    std::vector<Device> many;
    for (uint32_t i = 0; i < 300; ++i) many.push_back(a_device("nvidia", i));
    history->add(WorkerId("wrk_one"), many);
    clock.advance(1s);
    EXPECT_EQ(read(1min, 1min).devices.size(), 256u) << "bounded, whatever a worker says";
    history->add(WorkerId("wrk_two"), {a_device("nvidia", 1), a_device("cpu", 0), a_device("nvidia", 0)});
    clock.advance(1s);
    std::vector<std::string> places;
    for (const auto& device : read(1min, 1min, "wrk_two").devices) places.push_back(fmt::format("{}/{}", device.vendor, device.index));
    EXPECT_THAT(places, ElementsAre("cpu/0", "nvidia/0", "nvidia/1"));
}

TEST_F(DeviceHistoryTest, WhatTheDatabaseRefusesIsWrittenLater) {
    history.reset();
    store.reset();
    store = store::open_store(dir.path(), {.busy_timeout = 1ms});
    restart();
    std::promise<void> held, let_go;
    std::thread writer([&] {   // another's transaction, for longer than anybody waits
        const auto together = store->together();
        EXPECT_OK(store->set_setting("a", "b"));
        held.set_value();
        let_go.get_future().wait();
    });
    held.get_future().wait();
    report(16min, {a_device("cpu", 0, 0.25)});
    EXPECT_TRUE(stored().empty());
    let_go.set_value();
    writer.join();
    pass(1min);
    ASSERT_EQ(stored().size(), 1u);
    EXPECT_EQ(stored()[0].minutes, 15u);
}

TEST_F(DeviceHistoryTest, AClockThatIsSetBackGoesOnFromThere) {
    report(5min, {a_device("cpu", 0, 0.25)});
    clock.set_wall(clock.wall() - 24h);
    history->store_due();
    report(16min, {a_device("cpu", 0, 0.75)});
    EXPECT_EQ(stored().size(), 1u);
    const auto minutes = utilization(10min, 1min);
    EXPECT_THAT(minutes, testing::Each(std::optional(0.75)));
    EXPECT_EQ(read(10min, 1min).measured_since, from_rfc3339("2026-11-22T10:00:00Z")) << "what was of a time to come is forgotten";
}

}  // namespace
}  // namespace gantry::control
