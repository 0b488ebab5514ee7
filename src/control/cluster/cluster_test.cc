// Joining and sessions on a real store, without a network between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/platform/process.h"
#include "control/cluster/joining.h"
#include "control/cluster/sessions.h"
#include "control/control_test_support.h"
#include "gateway/api_key.h"

namespace gantry::control {
namespace {

using testing::HasSubstr;

class ClusterTest : public testing::Test {
protected:
    ClusterTest() {
        EXPECT_TRUE(publisher_.refresh().ok());
        observed_.restore(*publisher_.rows(), clock_.steady());
        publisher_.set_observed(&observed_);
    }
    ~ClusterTest() override { EXPECT_TRUE(store_->close().ok()); }

    protocol::JoinToken token(uint32_t uses = 1) {
        NewJoinToken made = make_join_token(authority_, system_random());
        made.row.uses = made.row.uses_left = uses;
        made.row.created_at = clock_.wall();
        made.row.expires_at = clock_.wall() + 1h;
        EXPECT_TRUE(store_->create_join_token(made.row).ok());
        return protocol::parse_join_token(made.text).value();
    }
    protocol::JoinRequest asks(const protocol::JoinToken& token, const std::string& name, std::string key = "") {
        if (key.empty()) key = http::make_private_key().value();
        return {token.id, token.secret, name, http::make_certificate_request(key, "x").value(), "machine1", {{"room", "lab"}}};
    }
    WorkerId joined(const std::string& name) {
        const auto answer = joining_.join(asks(token(), name), "10.0.0.7");
        EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
        return WorkerId(answer->worker_id);
    }
    Result<protocol::ExchangeAnswer> report(const WorkerId& worker, const std::string& incarnation, std::vector<std::string> runs = {},
                                            const std::string& held = "", const std::string& applied = "") {
        protocol::ExchangeRequest request{.incarnation = incarnation, .machine_id = machine_, .held = held, .hash = "h"};
        request.report.worker_id = worker;
        request.report.applied = applied;
        for (const std::string& id : runs) {
            protocol::InstanceReport one;
            one.id = InstanceId(id);
            one.state = InstanceState::kRunning;
            one.endpoint = "unix:/data/admin.sock";
            request.report.instances.push_back(one);
        }
        return sessions_.exchange({worker, peer_}, request);
    }
    void place(const std::string& id, const WorkerId& worker) {
        if (!store_->deployment(DeploymentId("dep_m"))) {
            Deployment d;
            d.id = DeploymentId("dep_m");
            d.name = "m";
            d.source = "file:/m";
            EXPECT_TRUE(store_->create_deployment(d).ok());
        }
        Instance i;
        i.id = InstanceId(id);
        i.deployment_id = DeploymentId("dep_m");
        EXPECT_TRUE(store_->create_instance(i).ok());
        EXPECT_TRUE(store_->place_instance(i.id, Placement{.claims = {{worker, {"cpu", 0}, 1, 0, 0}}}, "{}", clock_.wall()).ok());
        EXPECT_TRUE(publisher_.refresh().ok());
    }
    std::vector<std::string> alarms() {
        std::vector<std::string> out;
        const auto events = store_->audit({}, {});
        for (const AuditEvent& event : events->items) out.push_back(event.action);
        return out;
    }
    Instance seen(const std::string& id) {
        Instance i = store_->instance(InstanceId(id)).value();
        observed_.overlay(i);
        return i;
    }

    TempDir dir_;
    FakeClock clock_;
    std::unique_ptr<store::Store> store_ = store::Store::open(dir_.path()).value();
    gateway::Tables tables_;
    WatchHub hub_;
    Secrets secrets_{dir_.path()};
    Publisher publisher_{*store_, tables_, hub_, secrets_};
    Observed observed_;
    DeviceHistory history_{*store_, clock_};
    Heartbeat heartbeat_{*store_, publisher_, observed_, history_, clock_, [] {}};
    Authority authority_ = Authority::load_or_make(dir_.path(), clock_).value();
    Alarms alarms_{*store_, clock_, system_random()};
    Joining joining_{*store_, publisher_, authority_, alarms_, clock_, system_random()};
    Sessions sessions_{*store_, publisher_, heartbeat_, alarms_, clock_};
    std::string machine_ = "machine1";
    std::string peer_ = "10.0.0.7";
};

TEST_F(ClusterTest, the_authority_is_made_once_and_kept_to_its_owner) {
    EXPECT_TRUE(authority_.made_now());
    const Authority again = Authority::load_or_make(dir_.path(), clock_).value();
    EXPECT_FALSE(again.made_now());
    EXPECT_EQ(again.digest(), authority_.digest());
    for (const char* name : {"authority.key", "authority.pem"}) {
        EXPECT_EQ(std::filesystem::status(dir_.path() + "/cluster/" + name).permissions(), std::filesystem::perms(0600)) << name;
    }
    EXPECT_EQ(http::read_certificate(again.make_server(clock_.wall())->certificate)->common_name, "gantry-server");
    std::filesystem::remove(dir_.path() + "/cluster/authority.key");
    const auto lost = Authority::load_or_make(dir_.path(), clock_);
    ASSERT_FALSE(lost.ok()) << "another one would be nobody's";
    EXPECT_THAT(lost.error().message, HasSubstr("backup"));
    std::ofstream(dir_.path() + "/cluster/authority.key") << http::make_private_key().value();
    EXPECT_FALSE(Authority::load_or_make(dir_.path(), clock_).ok());
}

TEST_F(ClusterTest, a_machine_with_a_token_becomes_a_worker) {
    const std::string key = http::make_private_key().value();
    const protocol::JoinToken one = token();
    const auto answer = joining_.join(asks(one, "box-1", key), "10.0.0.7");
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(http::read_certificate(answer->certificate)->common_name, answer->worker_id);
    EXPECT_TRUE(http::check_key_fits(answer->certificate, key).ok());
    EXPECT_EQ(http::read_certificate(answer->authority)->digest, one.authority);
    const Worker worker = store_->worker(WorkerId(answer->worker_id)).value();
    EXPECT_EQ(worker.name, "box-1");
    EXPECT_EQ(worker.labels.at("room"), "lab");
    EXPECT_TRUE(sessions_.is_member(worker.id));
    // The answer was lost on its way: the same again. Another machine: no.
    EXPECT_EQ(joining_.join(asks(one, "box-1", key), "10.0.0.7")->worker_id, answer->worker_id);
    EXPECT_EQ(joining_.join(asks(one, "box-2"), "10.0.0.8").error().reason, "join_token_used");
    EXPECT_THAT(alarms(), testing::UnorderedElementsAre("join", "refuse_join"));
}

TEST_F(ClusterTest, wrong_expired_and_revoked_tokens_are_refused) {
    protocol::JoinToken wrong = token();
    wrong.secret = std::string(32, 'x');
    const auto guessed = joining_.join(asks(wrong, "a"), "10.0.0.9");
    EXPECT_EQ(guessed.error().code, ErrorCode::kUnauthenticated);
    protocol::JoinToken unknown = token();
    unknown.id = std::string(12, 'x');
    EXPECT_EQ(joining_.join(asks(unknown, "a"), "10.0.0.9").error().message, guessed.error().message) << "no hint which part is wrong";
    const protocol::JoinToken revoked = token();
    ASSERT_TRUE(store_->revoke_join_token(JoinTokenId(revoked.id)).ok());
    EXPECT_EQ(joining_.join(asks(revoked, "a"), "p").error().reason, "join_token_revoked");
    const protocol::JoinToken late = token();
    clock_.advance(1h);
    EXPECT_EQ(joining_.join(asks(late, "a"), "p").error().reason, "join_token_expired");
    EXPECT_EQ(store_->workers({})->items.size(), 0u);
    EXPECT_THAT(alarms(), testing::Contains("refuse_join"));
    protocol::JoinRequest broken = asks(token(), "a");
    broken.certificate_request = "none";
    EXPECT_EQ(joining_.join(broken, "p").error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ClusterTest, a_report_is_answered_by_what_to_run) {
    const WorkerId w = joined("a");
    place("ins_1", w);
    const auto first = report(w, "i1");
    ASSERT_TRUE(first.ok()) << first.error().message;
    EXPECT_EQ(first->epoch, 1);
    ASSERT_EQ(first->assignment.run.size(), 1u);
    const auto again = report(w, "i1", {"ins_1"}, first->assignment.revision);
    EXPECT_TRUE(again->unchanged);
    EXPECT_EQ(seen("ins_1").endpoint, "worker:" + w.text + "/ins_1") << "never what the worker says: that could be a socket of ours";
    EXPECT_EQ(seen("ins_1").state, InstanceState::kRunning);
}

TEST_F(ClusterTest, a_report_that_is_known_needs_no_repeating) {
    const WorkerId w = joined("a");
    place("ins_1", w);
    const auto same = [&](const std::string& hash) {
        return sessions_.exchange({w, peer_}, {.incarnation = "i1", .machine_id = machine_, .hash = hash, .same = true, .applied = "x"});
    };
    EXPECT_TRUE(same("h")->resend) << "nothing is known yet";
    ASSERT_TRUE(report(w, "i1", {"ins_1"}).ok());
    EXPECT_FALSE(same("h")->resend);
    EXPECT_TRUE(same("other")->resend);
    clock_.advance(10s);
    EXPECT_FALSE(same("h")->resend);
    clock_.advance(10s);
    EXPECT_TRUE(observed_.expire(clock_.steady()).empty()) << "it counts as a report";
}

TEST_F(ClusterTest, two_processes_of_one_worker) {
    const WorkerId w = joined("a");
    ASSERT_TRUE(report(w, "first").ok());
    ASSERT_TRUE(sessions_.opened({w, peer_}, "first").ok());
    const auto clone = report(w, "second");
    ASSERT_FALSE(clone.ok());
    EXPECT_EQ(clone.error().code, ErrorCode::kConflict);
    EXPECT_EQ(clone.error().reason, "worker_cloned");
    EXPECT_FALSE(sessions_.opened({w, peer_}, "second").ok());
    EXPECT_THAT(alarms(), testing::UnorderedElementsAre("join", "refuse_clone")) << "told once a minute";
    EXPECT_TRUE(report(w, "first").ok()) << "the first goes on";
    // Its process ended, and its stream with it: a restart is no clone.
    sessions_.closed(w, "first");
    EXPECT_TRUE(report(w, "second").ok());
    // A power cut leaves its stream open; its silence ends it.
    ASSERT_TRUE(sessions_.opened({w, peer_}, "second").ok());
    clock_.advance(kUnreachableAfter);
    EXPECT_FALSE(report(w, "third").ok());
    clock_.advance(1s);
    EXPECT_TRUE(report(w, "third").ok());
    sessions_.closed(w, "second");   // late
    ASSERT_TRUE(sessions_.opened({w, peer_}, "third").ok());
    EXPECT_FALSE(report(w, "fourth").ok());
}

TEST_F(ClusterTest, a_worker_speaks_for_itself_only) {
    const WorkerId a = joined("a"), b = joined("b");
    place("ins_b", b);
    EXPECT_EQ(report(a, "i", {"ins_b"}).error().reason, "foreign_instance");
    protocol::ExchangeRequest as_b{.incarnation = "i", .machine_id = machine_};
    as_b.report.worker_id = b;
    EXPECT_EQ(sessions_.exchange({a, peer_}, as_b).error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(report(a, "i", {"ins_of_before"}).ok()) << "what is gone meanwhile is nobody's";
    EXPECT_THAT(alarms(), testing::Contains("refuse_report"));
    EXPECT_EQ(seen("ins_b").state, InstanceState::kScheduled);
}

TEST_F(ClusterTest, one_that_was_removed_is_refused) {
    const WorkerId w = joined("a");
    ASSERT_TRUE(report(w, "i").ok());
    ASSERT_TRUE(store_->delete_worker(w).ok());
    ASSERT_TRUE(publisher_.refresh().ok());
    EXPECT_EQ(report(w, "i").error().reason, "worker_removed");
    EXPECT_EQ(sessions_.opened({w, peer_}, "i").error().reason, "worker_removed");
    EXPECT_FALSE(sessions_.is_member(w));
}

TEST_F(ClusterTest, where_it_runs_is_kept_and_a_move_is_told) {
    const WorkerId w = joined("a");
    peer_ = "10.0.0.99";
    ASSERT_TRUE(report(w, "i").ok());
    EXPECT_EQ(publisher_.rows()->memberships.at(0).address, "10.0.0.99");
    EXPECT_THAT(alarms(), testing::UnorderedElementsAre("join")) << "a new address is nothing special";
    machine_ = "machine2";
    ASSERT_TRUE(report(w, "i").ok());
    EXPECT_EQ(publisher_.rows()->memberships.at(0).machine_id, "machine2");
    EXPECT_THAT(alarms(), testing::Contains("move"));
}

TEST_F(ClusterTest, an_address_that_a_worker_found_by_itself_is_one_that_others_reach) {
    const WorkerId id = joined("box");
    int reports = 0;
    const auto kept = [&](const std::string& peer, const std::string& address, bool given = false) {
        protocol::ExchangeRequest request{.incarnation = "i1", .machine_id = machine_, .held = "", .hash = std::to_string(++reports)};
        request.report.worker_id = id;
        request.report.data_address = address;
        request.report.data_address_given = given;
        EXPECT_TRUE(sessions_.exchange({id, peer}, request).ok());
        Worker worker = store_->worker(id).value();
        observed_.overlay(worker);
        return worker.data_address;
    };
    EXPECT_EQ(kept("10.0.0.7", "10.0.0.7"), "10.0.0.7");
    EXPECT_EQ(kept("10.0.0.1", "10.0.0.7"), "") << "a NAT is between";
    for (const char* none : {"127.0.0.1", "127.0.0.5", "0.0.0.0", "", "nonsense"}) {
        EXPECT_EQ(kept("127.0.0.1", none), "") << none << ": others would reach themselves";
    }
    EXPECT_EQ(kept("127.0.0.1", "192.0.2.77"), "") << "of a machine at the other end of a tunnel";
    EXPECT_EQ(kept("10.0.0.7", "127.0.0.1", true), "127.0.0.1") << "a person knows";
    if (const std::string own = platform::outward_address(); !own.empty()) {
        EXPECT_EQ(kept("127.0.0.1", own), own) << "it runs beside the server";
    }
}

TEST_F(ClusterTest, a_lost_worker_loses_its_lease_and_what_it_ran) {
    const WorkerId w = joined("a");
    place("ins_1", w);
    ASSERT_TRUE(report(w, "i", {"ins_1"}).ok());
    clock_.advance(kUnreachableAfter + 1s);
    EXPECT_TRUE(heartbeat_.check());
    EXPECT_EQ(seen("ins_1").state, InstanceState::kUnreachable);
    EXPECT_FALSE(store_->instance(InstanceId("ins_1"))->stopping) << "it may come back";
    heartbeat_.sign_of_life(w);   // bytes, on a connection of data
    clock_.advance(kLostAfter);
    heartbeat_.check();
    EXPECT_FALSE(store_->instance(InstanceId("ins_1"))->stopping);
    clock_.advance(1s);
    EXPECT_TRUE(heartbeat_.check());
    EXPECT_TRUE(store_->instance(InstanceId("ins_1"))->stopping);
    EXPECT_EQ(publisher_.rows()->memberships.at(0).epoch, 2);
    EXPECT_FALSE(heartbeat_.check()) << "once";

    // It was only away: it learns the new epoch and that it runs nothing; what it still has is no target.
    const auto back = report(w, "i", {"ins_1"}, "r");
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back->epoch, 2);
    EXPECT_TRUE(back->assignment.run.empty());
    publisher_.refresh_observed();
    EXPECT_TRUE(tables_.routes()->models.at("m").targets.empty());
    EXPECT_TRUE(observed_.gone(*publisher_.rows()).empty());
    ASSERT_TRUE(report(w, "i", {}, "r", back->assignment.revision).ok());
    EXPECT_EQ(observed_.gone(*publisher_.rows()).count(InstanceId("ins_1")), 1u) << "it is stopped there, and confirmed";
}

TEST_F(ClusterTest, the_servers_own_worker_has_no_lease) {
    Worker own;
    own.id = WorkerId("wrk_own");
    own.name = "own";
    ASSERT_TRUE(store_->create_worker(own).ok());
    place("ins_1", own.id);
    protocol::WorkerReport r;
    r.worker_id = own.id;
    heartbeat_.exchange(r);
    clock_.advance(kLostAfter + 1s);
    EXPECT_TRUE(heartbeat_.check());
    heartbeat_.check();
    EXPECT_FALSE(store_->instance(InstanceId("ins_1"))->stopping);
}

}  // namespace
}  // namespace gantry::control
