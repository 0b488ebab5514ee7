#include "worker/remote/report_box.h"

#include <gtest/gtest.h>

namespace gantry::worker {
namespace {

class ReportBoxTest : public testing::Test {
protected:
    protocol::Assignment report(const std::string& note = "") {
        protocol::WorkerReport one;
        one.worker_id = WorkerId("wrk_1");
        one.device_notes = {note};
        one.instances.resize(1);
        one.instances[0].id = InstanceId("ins_1");
        one.instances[0].endpoint = "unix:/run/1.sock";
        return box_.exchange(one);
    }
    static protocol::ExchangeAnswer runs(const std::string& revision) {
        protocol::ExchangeAnswer answer{.epoch = 2};
        answer.assignment.revision = revision;
        answer.assignment.run.resize(1);
        return answer;
    }

    int reported_ = 0;
    ReportBox box_{"inc", "machine", [this] { ++reported_; }};
};

TEST_F(ReportBoxTest, until_the_server_answered_nothing_is_known) {
    EXPECT_FALSE(box_.next().has_value());
    EXPECT_TRUE(report().unknown);
    EXPECT_EQ(reported_, 1);
    const auto first = box_.next();
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(first->incarnation, "inc");
    EXPECT_EQ(first->machine_id, "machine");
    EXPECT_EQ(first->applied, "none");
    EXPECT_EQ(first->held, "");
    EXPECT_EQ(first->epoch, 0);
    EXPECT_FALSE(first->same);
    EXPECT_TRUE(report().unknown) << "an answer on its way is none";
    EXPECT_TRUE(box_.take(runs("r1")));
    const protocol::Assignment given = report();
    EXPECT_FALSE(given.unknown);
    EXPECT_EQ(given.run.size(), 1u);
}

TEST_F(ReportBoxTest, a_report_says_what_was_acted_on_and_not_what_came_meanwhile) {
    report();
    box_.next();
    box_.take(runs("r1"));
    EXPECT_EQ(box_.next()->applied, "none") << "the worker was not given it yet";
    EXPECT_EQ(box_.next()->held, "r1");
    report();
    EXPECT_EQ(box_.next()->applied, "none") << "it acts on it after that report";
    report();
    EXPECT_EQ(box_.next()->applied, "r1");
    EXPECT_EQ(box_.next()->epoch, 2);
}

TEST_F(ReportBoxTest, what_the_server_has_is_not_sent_again) {
    report();
    box_.next();
    box_.take(runs("r1"));
    report();
    EXPECT_TRUE(box_.next()->same);
    report("new");
    EXPECT_FALSE(box_.next()->same);
    box_.take({.epoch = 2, .unchanged = true});
    EXPECT_TRUE(box_.next()->same);
    box_.take({.epoch = 2, .resend = true});
    EXPECT_FALSE(box_.next()->same) << "it was forgotten there";
    box_.take({.epoch = 2, .unchanged = true});
    EXPECT_TRUE(box_.next()->same);
    box_.forget_sent();
    EXPECT_FALSE(box_.next()->same);
}

TEST_F(ReportBoxTest, figures_alone_wait_for_their_turn) {
    protocol::WorkerReport one;
    one.devices.resize(1);
    one.instances.resize(1);
    box_.exchange(one);
    EXPECT_EQ(reported_, 1);
    one.devices[0].memory_free_bytes = 7;
    one.instances[0].memory_bytes = 7;
    box_.exchange(one);
    EXPECT_EQ(reported_, 1);
    EXPECT_EQ(box_.next()->report.devices[0].memory_free_bytes, 7u) << "the turn brings the newest";
    one.instances[0].state = InstanceState::kRunning;
    box_.exchange(one);
    EXPECT_EQ(reported_, 2);
    one.instances.clear();
    box_.exchange(one);
    EXPECT_EQ(reported_, 3) << "one that is no more";
    one.programs = {{"vllm", "/opt/venv/bin/vllm", "0.32.0", {}}};
    box_.exchange(one);
    EXPECT_EQ(reported_, 4) << "one that was installed";
    box_.take(runs("r1"));
    box_.exchange(one);
    box_.exchange(one);
    EXPECT_EQ(reported_, 5) << "what it acts on is told";
}

TEST_F(ReportBoxTest, the_server_says_how_often_within_bounds) {
    report();
    EXPECT_EQ(box_.report_every(), ReportBox::kReportEvery);
    box_.take({.epoch = 1, .report_every_ms = 2'000});
    EXPECT_EQ(box_.report_every().count(), 2'000);
    box_.take({.epoch = 1, .report_every_ms = 3'600'000});
    EXPECT_EQ(box_.report_every(), ReportBox::kReportEveryMax);
    box_.take({.epoch = 1});
    EXPECT_EQ(box_.report_every(), ReportBox::kReportEvery);
}

TEST_F(ReportBoxTest, only_another_assignment_is_news) {
    report();
    box_.next();
    EXPECT_TRUE(box_.take(runs("r1")));
    EXPECT_FALSE(box_.take(runs("r1")));
    EXPECT_FALSE(box_.take({.epoch = 2, .unchanged = true}));
    EXPECT_EQ(report().revision, "r1") << "unchanged is not empty";
    EXPECT_TRUE(box_.take(runs("r2")));
}

TEST_F(ReportBoxTest, knows_where_its_engines_listen) {
    EXPECT_EQ(box_.endpoint_of("ins_1"), "");
    report();
    EXPECT_EQ(box_.endpoint_of("ins_1"), "unix:/run/1.sock");
    EXPECT_EQ(box_.endpoint_of("ins_2"), "");
}

}  // namespace
}  // namespace gantry::worker
