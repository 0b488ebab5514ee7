#include "control/observed.h"

#include <gtest/gtest.h>

namespace gantry::control {
namespace {

using namespace std::chrono_literals;

struct Rows {
    Snapshot snapshot;
    FakeClock clock;
    Observed observed;

    Rows() {
        Worker w;
        w.id = WorkerId("w");
        w.name = "w";
        snapshot.workers.push_back(w);
        Deployment d;
        d.id = DeploymentId("d");
        d.name = "model";
        snapshot.deployments.push_back(d);
        add("i");
        observed.restore(snapshot, clock.steady());
    }
    Instance& add(const std::string& id, const std::string& worker = "w") {
        Instance i;
        i.id = InstanceId(id);
        i.deployment_id = DeploymentId("d");
        i.worker_id = WorkerId(worker);
        i.state = InstanceState::kScheduled;
        snapshot.instances.push_back(i);
        return snapshot.instances.back();
    }
    static protocol::InstanceReport says(const std::string& id, InstanceState state) {
        protocol::InstanceReport r;
        r.id = InstanceId(id);
        r.state = state;
        r.endpoint = "unix:/run/" + id;
        return r;
    }
    Observed::Change report(std::vector<protocol::InstanceReport> instances) {
        protocol::WorkerReport r;
        r.worker_id = WorkerId("w");
        r.instances = std::move(instances);
        return observed.apply(r, snapshot, clock.steady(), clock.wall());
    }
    std::vector<std::string> assign() {
        std::vector<std::string> ids;
        for (const auto& spec : observed.assign(WorkerId("w"), snapshot).run) ids.push_back(spec.id.text);
        return ids;
    }
    Snapshot view() const {
        Snapshot v = snapshot;
        observed.overlay(v);
        return v;
    }
};

TEST(observed, reports_overlay_rows) {
    Rows r;
    EXPECT_TRUE(r.report({Rows::says("i", InstanceState::kRunning)}).state);
    EXPECT_EQ(r.view().instances[0].state, InstanceState::kRunning);
    EXPECT_EQ(r.view().instances[0].endpoint, "unix:/run/i");
    EXPECT_EQ(r.view().workers[0].state, WorkerState::kReady);
    const auto same = r.report({Rows::says("i", InstanceState::kRunning)});
    EXPECT_FALSE(same.state || same.shown || same.gone);
    auto slower = Rows::says("i", InstanceState::kRunning);
    slower.progress = 0.5;
    EXPECT_TRUE(r.report({slower}).shown);
}

TEST(observed, ignores_what_is_not_this_workers) {
    Rows r;
    r.add("foreign", "other");
    r.report({Rows::says("unknown", InstanceState::kRunning), Rows::says("foreign", InstanceState::kRunning)});
    EXPECT_EQ(r.view().instances[1].state, InstanceState::kScheduled);
    EXPECT_EQ(r.assign(), std::vector<std::string>{"i"}) << "so the worker stops the others";
}

TEST(observed, hostile_figures_and_texts_are_bounded) {
    Rows r;
    auto wild = Rows::says("i", InstanceState::kError);
    wild.progress = std::numeric_limits<double>::quiet_NaN();
    wild.reason = "bad \xff\xc3 \xed\xa0\x80 bytes, good ä€😀 " + std::string(1'000'000, 'x');
    protocol::WorkerReport report;
    report.worker_id = WorkerId("w");
    report.devices.resize(100'000);
    report.instances = {wild};
    r.observed.apply(report, r.snapshot, r.clock.steady(), r.clock.wall());
    const Instance seen = r.view().instances[0];
    EXPECT_EQ(seen.progress, 0);
    EXPECT_LE(seen.reason.size(), 1004u);
    EXPECT_TRUE(seen.reason.starts_with("bad ?? ??? bytes, good ä€😀 x")) << seen.reason.substr(0, 50);
    EXPECT_LE(r.view().workers[0].devices.size(), 1024u);
}

TEST(observed, a_workers_wrong_clock_makes_no_state_older) {
    Rows r;
    r.snapshot.instances[0].created_at = r.clock.wall();
    r.report({});
    const WallTime heard = r.clock.wall();
    r.clock.advance(3s);
    auto says = Rows::says("i", InstanceState::kStarting);
    says.state_since = r.clock.wall() - 1h;
    r.report({says});
    EXPECT_EQ(r.view().instances[0].state_since, heard) << "it changed since the report before";
    r.clock.advance(1s);
    says.state_since = r.clock.wall() + 1h;
    r.report({says});
    EXPECT_EQ(r.view().instances[0].state_since, heard) << "it has not changed";
    says.state = InstanceState::kRunning;
    r.report({says});
    EXPECT_EQ(r.view().instances[0].state_since, r.clock.wall()) << "nothing begins later than now";
}

TEST(observed, stopping_takes_no_requests_from_that_moment) {
    Rows r;
    r.report({Rows::says("i", InstanceState::kRunning)});
    r.snapshot.instances[0].stopping = true;
    EXPECT_EQ(r.view().instances[0].state, InstanceState::kStopping);
    EXPECT_TRUE(r.assign().empty());
}

TEST(observed, gone_only_when_it_cannot_come_back) {
    Rows r;
    r.report({});
    EXPECT_EQ(r.assign().size(), 1u);  // the worker may be starting it now
    r.snapshot.instances[0].stopping = true;
    EXPECT_FALSE(r.report({}).gone) << "the worker was last told to run it";
    EXPECT_TRUE(r.assign().empty());
    EXPECT_FALSE(r.report({Rows::says("i", InstanceState::kStopping)}).gone);
    EXPECT_TRUE(r.report({}).gone);
    EXPECT_EQ(r.observed.gone(r.snapshot).count(InstanceId("i")), 1u);
    EXPECT_FALSE(r.report({}).gone) << "told once";
    r.snapshot.instances.clear();
    r.observed.forget_missing(r.snapshot);
    EXPECT_TRUE(r.observed.gone(r.snapshot).empty());
}

TEST(observed, not_gone_at_the_first_report_after_a_restart) {
    Rows r;
    r.snapshot.instances[0].stopping = true;
    EXPECT_FALSE(r.report({}).gone) << "nobody knows what the former server had told the worker";
    r.assign();
    EXPECT_TRUE(r.report({}).gone);
}

TEST(observed, unreachable_after_missing_reports_and_back_by_itself) {
    Rows r;
    r.report({Rows::says("i", InstanceState::kRunning)});
    r.clock.advance(kUnreachableAfter);
    EXPECT_TRUE(r.observed.expire(r.clock.steady()).empty());
    r.clock.advance(1ms);
    ASSERT_EQ(r.observed.expire(r.clock.steady()).size(), 1u);
    EXPECT_TRUE(r.observed.expire(r.clock.steady()).empty()) << "told once";
    EXPECT_EQ(r.view().workers[0].state, WorkerState::kUnreachable);
    EXPECT_EQ(r.view().instances[0].state, InstanceState::kUnreachable);
    EXPECT_NE(r.view().instances[0].reason, "");
    EXPECT_TRUE(r.report({Rows::says("i", InstanceState::kRunning)}).state);
    EXPECT_EQ(r.view().instances[0].state, InstanceState::kRunning);
}

TEST(observed, of_a_worker_elsewhere_gone_is_what_it_lacks_once_it_acted_on_the_last_answer) {
    Rows r;
    const auto report = [&](const std::string& applied) {
        protocol::WorkerReport one;
        one.worker_id = WorkerId("w");
        one.applied = applied;
        return r.observed.apply(one, r.snapshot, r.clock.steady(), r.clock.wall());
    };
    const std::string runs = r.observed.assign(WorkerId("w"), r.snapshot).revision;
    r.snapshot.instances[0].stopping = true;
    const std::string none = r.observed.assign(WorkerId("w"), r.snapshot).revision;
    ASSERT_NE(runs, none);
    EXPECT_FALSE(report(runs).gone) << "it may be starting it by the answer before";
    EXPECT_TRUE(report(none).gone);
}

TEST(observed, bytes_are_a_sign_of_life) {
    Rows r;
    r.report({});
    r.clock.advance(kUnreachableAfter);
    r.observed.sign_of_life(WorkerId("w"), r.clock.steady());
    r.clock.advance(kUnreachableAfter);
    EXPECT_TRUE(r.observed.expire(r.clock.steady()).empty());
    r.observed.sign_of_life(WorkerId("w"), r.clock.steady() - 60s);   // told late: nothing goes back
    r.observed.sign_of_life(WorkerId("nobody"), r.clock.steady());
    EXPECT_TRUE(r.observed.expire(r.clock.steady()).empty());
    r.clock.advance(1ms);
    EXPECT_EQ(r.observed.expire(r.clock.steady()).size(), 1u);
}

TEST(observed, overdue_from_the_last_sign_until_the_next_report) {
    Rows r;
    r.report({});
    r.clock.advance(kLostAfter + 1s);
    EXPECT_TRUE(r.observed.overdue(r.clock.steady()).empty()) << "nobody said that it is unreachable";
    r.observed.expire(r.clock.steady());
    EXPECT_EQ(r.observed.overdue(r.clock.steady()).size(), 1u);
    EXPECT_EQ(r.observed.overdue(r.clock.steady()).size(), 1u) << "again, until it reports";
    r.report({});
    EXPECT_TRUE(r.observed.overdue(r.clock.steady()).empty());

    // What a restarted server finds unreachable has as long.
    Rows fresh;
    fresh.snapshot.workers[0].state = WorkerState::kUnreachable;
    fresh.observed.restore(fresh.snapshot, fresh.clock.steady());
    EXPECT_TRUE(fresh.observed.overdue(fresh.clock.steady()).empty());
    fresh.clock.advance(kLostAfter + 1ms);
    EXPECT_EQ(fresh.observed.overdue(fresh.clock.steady()).size(), 1u);
}

TEST(observed, the_wall_clock_moves_nothing) {
    Rows r;
    r.report({});
    r.clock.set_wall(r.clock.wall() + std::chrono::hours(24 * 365));
    EXPECT_TRUE(r.observed.expire(r.clock.steady()).empty());
    r.clock.set_wall(WallTime(1s));
    EXPECT_TRUE(r.observed.expire(r.clock.steady()).empty());
}

TEST(observed, a_cordoned_worker_that_reports_is_draining) {
    Rows r;
    r.report({});
    r.snapshot.workers[0].cordoned = true;
    EXPECT_EQ(r.view().workers[0].state, WorkerState::kDraining);
    r.clock.advance(kUnreachableAfter + 1s);
    EXPECT_EQ(r.observed.expire(r.clock.steady()).size(), 1u);
    EXPECT_EQ(r.view().workers[0].state, WorkerState::kUnreachable);
}

TEST(observed, what_was_replaced_may_finish_what_it_answers) {
    Rows r;
    Deployment& d = r.snapshot.deployments[0];
    r.snapshot.revisions.push_back(revision_of(d));
    d.generation = 2;
    d.options.threads = 8;
    EXPECT_EQ(r.observed.assign(WorkerId("w"), r.snapshot).run.at(0).options.threads, 0u) << "as its own revision says";
    r.snapshot.instances[0].stopping = true;
    EXPECT_EQ(r.assign(), std::vector<std::string>{"i"});
    EXPECT_FALSE(r.observed.set_drained({}));
    EXPECT_TRUE(r.observed.set_drained({InstanceId("i")}));
    EXPECT_FALSE(r.observed.set_drained({InstanceId("i")})) << "nothing new";
    EXPECT_TRUE(r.assign().empty());
    r.observed.set_drained({});
    d.stopped = true;
    EXPECT_TRUE(r.assign().empty()) << "who stops a deployment waits for nobody";
    d.stopped = false;
    d.generation = 1;
    EXPECT_TRUE(r.assign().empty()) << "restarted, not replaced";
    r.snapshot.workers[0].drain_by = r.clock.wall() + 60s;
    EXPECT_EQ(r.assign(), std::vector<std::string>{"i"}) << "its worker is drained";
    r.snapshot.workers[0].drain_by.reset();
    r.snapshot.instances[0].index = 1;
    EXPECT_EQ(r.assign(), std::vector<std::string>{"i"}) << "fewer are wanted";
    d.replicas = 0;
    EXPECT_TRUE(r.assign().empty());
}

TEST(observed, programs_of_a_worker_are_shown_as_they_change) {
    Rows r;
    protocol::WorkerReport report;
    report.worker_id = WorkerId("w");
    report.programs = {{"vllm", "/opt/vllm", "1", {}}};
    EXPECT_TRUE(r.observed.apply(report, r.snapshot, r.clock.steady(), r.clock.wall()).shown);
    EXPECT_FALSE(r.observed.apply(report, r.snapshot, r.clock.steady(), r.clock.wall()).shown);
    report.programs[0].version = "2";
    EXPECT_TRUE(r.observed.apply(report, r.snapshot, r.clock.steady(), r.clock.wall()).shown);
    Worker seen = r.snapshot.workers[0];
    r.observed.overlay(seen);
    EXPECT_EQ(seen.programs, report.programs);
}

// Of an instance on several workers.
struct Two : Rows {
    Two() {
        Worker v;
        v.id = WorkerId("v");
        v.name = "second";
        snapshot.workers.push_back(v);
        snapshot.instances[0].placement.claims = {{.worker_id = WorkerId("w"), .device = {"cpu", 0}},
                                                  {.worker_id = WorkerId("v"), .device = {"cpu", 0}}};
        snapshot.deployments[0].backend = BackendKind::kLlamaServer;
        observed.restore(snapshot, clock.steady());
    }
    Observed::Change report_of(const char* worker, std::vector<protocol::InstanceReport> instances) {
        protocol::WorkerReport r;
        r.worker_id = WorkerId(worker);
        r.data_address = std::string(worker) == "w" ? "10.0.0.1" : "10.0.0.2";
        r.instances = std::move(instances);
        return observed.apply(r, snapshot, clock.steady(), clock.wall());
    }
    protocol::Assignment assigned(const char* worker) { return observed.assign(WorkerId(worker), snapshot); }
    static protocol::InstanceReport says(InstanceState state, uint32_t attempt, uint32_t port = 0) {
        protocol::InstanceReport r = Rows::says("i", state);
        r.attempt = attempt;
        r.prepared = true;
        r.peer_port = port;
        return r;
    }
};

TEST(observed, each_worker_of_an_instance_is_told_its_part) {
    Two r;
    EXPECT_EQ(r.assigned("v").run.at(0).part, 1u);
    const auto change = r.report_of("v", {Two::says(InstanceState::kRunning, 1, 4711)});
    EXPECT_EQ(change.others, std::set<WorkerId>{WorkerId("w")}) << "whom it concerns";
    EXPECT_TRUE(r.report_of("v", {Two::says(InstanceState::kRunning, 1, 4711)}).others.empty());
    r.report_of("w", {Two::says(InstanceState::kScheduled, 1)});
    const auto leader = r.assigned("w").run.at(0);
    EXPECT_EQ(leader.part, 0u);
    EXPECT_EQ(leader.waits_for, "");
    EXPECT_EQ(leader.peers.at(1).port, 4711u);
    EXPECT_EQ(r.view().instances[0].state, InstanceState::kStarting);
    EXPECT_EQ(r.view().instances[0].parts.size(), 2u);
    r.report_of("w", {Two::says(InstanceState::kRunning, 1)});
    EXPECT_EQ(r.view().instances[0].state, InstanceState::kRunning);
    r.report_of("v", {Two::says(InstanceState::kError, 2)});
    EXPECT_EQ(r.view().instances[0].state, InstanceState::kError);
    EXPECT_EQ(r.assigned("w").run.at(0).attempt, 2u);
}

TEST(observed, an_instance_is_gone_when_all_its_workers_say_so) {
    Two r;
    for (const char* worker : {"w", "v"}) {
        r.report_of(worker, {});
        EXPECT_EQ(r.assigned(worker).run.size(), 1u);
    }
    r.snapshot.instances[0].stopping = true;
    for (const char* worker : {"w", "v"}) EXPECT_TRUE(r.assigned(worker).run.empty());
    EXPECT_TRUE(r.report_of("w", {}).gone);
    EXPECT_TRUE(r.observed.gone(r.snapshot).empty()) << "the other one may still have a process";
    EXPECT_TRUE(r.report_of("v", {}).gone);
    EXPECT_EQ(r.observed.gone(r.snapshot).size(), 1u);
}

TEST(observed, of_removed_workers_nobody_waits_for_a_word) {
    Two r;
    r.report_of("w", {});
    (void)r.assigned("w");
    r.snapshot.instances[0].stopping = true;
    (void)r.assigned("w");
    r.report_of("w", {});
    r.snapshot.workers.pop_back();
    EXPECT_EQ(r.observed.gone(r.snapshot).size(), 1u);
}

TEST(observed, an_unreachable_worker_makes_the_whole_instance_so) {
    Two r;
    r.report_of("w", {Two::says(InstanceState::kRunning, 1)});
    r.report_of("v", {Two::says(InstanceState::kRunning, 1, 4711)});
    r.clock.advance(kUnreachableAfter + 1s);
    r.report_of("w", {Two::says(InstanceState::kRunning, 1)});
    r.observed.expire(r.clock.steady());
    const Instance shown = r.view().instances[0];
    EXPECT_EQ(shown.state, InstanceState::kUnreachable);
    EXPECT_NE(shown.reason.find("worker second has not reported"), std::string::npos) << shown.reason;
    EXPECT_EQ(shown.parts.at(1).state, InstanceState::kUnreachable);
}

}  // namespace
}  // namespace gantry::control
