// What devices did, over the API and over restarts.
#include "control/control_test_support.h"

namespace gantry::control {
namespace {

constexpr char kHistory[] = "/api/v1/workers/machine/devices/history";

TEST(device_history_api, the_minute_that_has_begun_is_there_at_once_and_older_ones_survive_a_restart) {
    TempDir dir;
    const WallTime start = from_rfc3339("2026-11-23T10:00:00Z");
    std::string worker;
    {
        Plane plane(dir.path());
        plane.clock().set_wall(start);
        worker = plane.worker().text;
        EXPECT_EQ(plane.get("/api/v1/workers").string("/items/0/name"), "machine");
        const Reply nothing = plane.get(kHistory);
        EXPECT_EQ(nothing.status, 200) << nothing.text;
        EXPECT_TRUE(nothing.body.at("measured_since").is_null());
        EXPECT_TRUE(nothing.body.at("items").as_array().empty());
        plane.report();
        plane.clock().advance(1s);
        const Reply first = plane.get(kHistory);
        EXPECT_EQ(first.string("/items/0/id"), worker + "/cpu/0");
        EXPECT_EQ(first.string("/items/0/name"), "a cpu");
        EXPECT_EQ(first.number("/step_seconds"), 60);
        EXPECT_EQ(first.string("/from"), "2026-11-23T09:00:00.000Z");
        EXPECT_EQ(first.string("/measured_since"), "2026-11-23T10:00:00.000Z");
        const auto& course = first.body.at_pointer("/items/0").as_object();
        for (const char* figure : {"memory_used_bytes", "utilization", "utilization_max", "temperature_celsius"}) {
            EXPECT_EQ(course.at(figure).as_array().size(), 61u) << figure;
            EXPECT_TRUE(course.at(figure).as_array().front().is_null()) << figure << ": nothing was measured then";
        }
        EXPECT_EQ(course.at("memory_used_bytes").as_array().back(), 4ll << 30);
        EXPECT_EQ(course.at("utilization").as_array().back(), 0.0);
        EXPECT_TRUE(course.at("temperature_celsius").as_array().back().is_null()) << "no tool tells it";
    }
    Plane plane(dir.path());
    plane.clock().set_wall(start + 2h);
    const Reply after = plane.get(std::string(kHistory) + "?from=2026-11-23T10:00:00Z&to=2026-11-23T11:00:00Z&step=900");
    EXPECT_EQ(after.status, 200) << after.text;
    EXPECT_EQ(json::serialize(after.body.at_pointer("/items/0/memory_used_bytes")), "[4294967296,null,null,null]");
    EXPECT_EQ(after.string("/measured_since"), "2026-11-23T10:00:00.000Z");
    EXPECT_TRUE(plane.get(kHistory).body.at("items").as_array().empty()) << "nothing in the last hour";
    EXPECT_EQ(plane.get("/api/v1/workers/" + worker + "/devices/history?from=2026-11-23").number("/step_seconds"), 60);
}

TEST(device_history_api, parameters_that_are_wrong_are_named) {
    TempDir dir;
    Plane plane(dir.path());
    plane.clock().set_wall(from_rfc3339("2026-11-23T10:00:00Z"));
    const std::map<std::string, std::string> wrong = {
        {"?from=yesterday", "from"}, {"?to=1", "to"}, {"?from=2026-11-23T09:00:00Z&to=2026-11-23T08:00:00Z", "from"},
        {"?from=2026-11-24", "from"}, {"?to=2026-01-01", "from"}, {"?step=0", "step"}, {"?step=59", "step"}, {"?step=90", "step"},
        {"?step=1m", "step"}, {"?step=86460", "step"}, {"?step=-60", "step"}, {"?from=2026-11-01&step=60", "step"}};
    for (const auto& [query, param] : wrong) {
        const Reply reply = plane.get(kHistory + query);
        EXPECT_EQ(reply.status, 400) << query << ": " << reply.text;
        EXPECT_EQ(reply.string("/error/param"), param) << query;
    }
    // What fits, and with which step where none is asked for.
    const std::map<std::string, int64_t> spans = {{"?from=2026-11-23T09:00:00Z", 60}, {"?from=2026-11-22T10:00:00Z", 300},
                                                  {"?from=2026-11-16T10:00:00Z", 900}, {"?from=2026-10-24T10:00:00Z", 3600},
                                                  {"?from=2020-01-01", 3600}, {"?from=2026-11-22T10:00:00Z&step=60", 60}};
    for (const auto& [query, step] : spans) EXPECT_EQ(plane.get(kHistory + query).number("/step_seconds"), step) << query;
    EXPECT_EQ(plane.get("/api/v1/workers/nobody/devices/history").status, 404);
}

TEST(device_history_api, any_user_may_see_it) {
    TempDir dir;
    Plane plane(dir.path());
    EXPECT_EQ(plane.get(kHistory, "").status, 401);
    EXPECT_EQ(plane.get(kHistory, plane.key_of("ann", "user")).status, 200);
}

}  // namespace
}  // namespace gantry::control
