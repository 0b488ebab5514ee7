// A part of an instance that several workers run together: when it starts, and when it starts anew.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/peer_trouble.h"
#include "worker/worker_testing.h"

namespace gantry::worker {
namespace {

using testing::HasSubstr;

class PartsTest : public testing::Test {
protected:
    PartsTest() {
        program("llama-server", R"(printf '%s\n' "$@" > "$(dirname "$0")/leader.argv"; exec )" GANTRY_FAKE_ENGINE R"( "$@")");
        program("ggml-rpc-server", "exec " GANTRY_FAKE_ENGINE R"( --port "$4")");   // -H ADDRESS -p PORT
    }
    ~PartsTest() override {
        if (worker_) worker_->stop(true, Deadline::after(5s));
        EXPECT_TRUE(living(pids()).empty());
    }
    void program(const std::string& name, const std::string& text) {
        write_text(folder_ / name, "#!/bin/sh\n" + text + "\n");
        std::filesystem::permissions(folder_ / name, std::filesystem::perms::owner_all);
    }
    void start() {
        WorkerOptions options = quick_options(folder_);
        options.data_address = "127.0.0.1";
        auto started = Worker::start(std::move(options), link_, system_clock(), system_random());
        ASSERT_TRUE(started.ok()) << started.error().message;
        worker_ = std::move(*started);
    }
    void run(const protocol::InstanceSpec& spec) {
        link_.assign({spec});
        worker_->poke();
    }
    std::string pids() { return folder_ / "ins_one.pids"; }
    // Part 0 or 1 of llama.cpp's two; this worker runs it.
    protocol::InstanceSpec spec(uint32_t part, uint32_t attempt) {
        protocol::InstanceSpec spec = engine_spec(folder_);
        const WorkerId other("wrk_other"), own("wrk_test");
        spec.backend = BackendKind::kLlamaServer;
        spec.options.binary = folder_ / "llama-server";
        for (const WorkerId& id : part == 0 ? std::vector{own, other} : std::vector{other, own}) {
            spec.placement.claims.push_back({.worker_id = id, .device = {"cpu", 0}, .bytes = 1, .layers = 1});
            spec.peers.push_back({.worker_id = id, .address = "10.0.0.9", .port = 4711});
        }
        spec.placement.layers = 2;
        spec.placement.layers_on_devices = 1;
        spec.part = part;
        spec.attempt = attempt;
        return spec;
    }
    auto wait(const std::function<bool(const protocol::InstanceReport&)>& met) { return link_.wait("ins_one", met); }

    TempFolder folder_;
    FakeLink link_;
    std::unique_ptr<Worker> worker_;
};

TEST_F(PartsTest, ItIsHeldUntilTheServerSaysThatTheOthersAreReady) {
    start();
    auto held = spec(1, 1);
    held.waits_for = "waits for worker a";
    run(held);
    const auto waiting = wait([](const auto& r) { return r.prepared; });
    ASSERT_TRUE(waiting) << "it says that it could start";
    EXPECT_EQ(waiting->state, InstanceState::kScheduled);
    EXPECT_EQ(waiting->reason, "waits for worker a");
    EXPECT_EQ(waiting->attempt, 1u);
    EXPECT_EQ(waiting->pid, 0);
    run(spec(1, 1));
    const auto running = wait([](const auto& r) { return r.state == InstanceState::kRunning; });
    ASSERT_TRUE(running);
    EXPECT_GT(running->peer_port, 0u) << "where the leading one finds it";
    EXPECT_EQ(running->endpoint, "tcp:127.0.0.1:" + std::to_string(running->peer_port));
}

TEST_F(PartsTest, ItStartsOnceInEachAttempt) {
    start();
    run(spec(1, 1));
    const auto running = wait([](const auto& r) { return r.state == InstanceState::kRunning; });
    ASSERT_TRUE(running);
    ::kill(static_cast<pid_t>(running->pid), SIGKILL);
    const auto ended = wait([](const auto& r) { return r.attempt == 2; });
    ASSERT_TRUE(ended) << "it asks for the next attempt";
    EXPECT_EQ(ended->peer_port, 0u);
    const auto waits = wait([](const auto& r) { return r.prepared; });
    ASSERT_TRUE(waits);
    EXPECT_THAT(waits->reason, HasSubstr("waits until its other parts have ended; before: killed by SIGKILL"));
    EXPECT_EQ(waits->pid, 0);
    run(spec(1, 2));
    const auto again = wait([](const auto& r) { return r.state == InstanceState::kRunning && r.attempt == 2; });
    ASSERT_TRUE(again);
    EXPECT_EQ(again->restarts, 1u);
}

TEST_F(PartsTest, ItEndsAndStartsAnewInANewAttempt) {
    start();
    run(spec(1, 1));
    const auto running = wait([](const auto& r) { return r.state == InstanceState::kRunning; });
    ASSERT_TRUE(running);
    run(spec(1, 2));   // another part has ended
    const auto anew = wait([&](const auto& r) { return r.state == InstanceState::kRunning && r.pid != running->pid; });
    ASSERT_TRUE(anew);
    EXPECT_EQ(anew->attempt, 2u);
    auto news = spec(1, 2);
    news.waits_for = "the server was restarted and knows nothing yet";
    news.peers[0].port = 0;
    run(news);
    const size_t told = link_.reports();
    ASSERT_TRUE(eventually([&] { return link_.reports() > told + 2; }));
    EXPECT_EQ(link_.last().instances.at(0).pid, anew->pid) << "what runs in its attempt runs on";
}

TEST_F(PartsTest, TheLeadingOneIsToldWhereTheOthersListen) {
    start();
    run(spec(0, 1));
    ASSERT_TRUE(wait([](const auto& r) { return r.state == InstanceState::kRunning; }));
    const std::string argv = read_text(folder_ / "leader.argv");
    EXPECT_THAT(argv, HasSubstr("--rpc\n10.0.0.9:4711\n"));
    EXPECT_THAT(argv, HasSubstr("-ngl\n1\n"));
    EXPECT_THAT(argv, testing::Not(HasSubstr("--device\nnone")));
}

TEST_F(PartsTest, AfterItsWorkersEndItAsksForTheNextAttempt) {
    start();
    run(spec(1, 3));
    ASSERT_TRUE(wait([](const auto& r) { return r.state == InstanceState::kRunning; }));
    worker_->stop(true, Deadline::after(5s));   // Ctrl-C
    worker_.reset();
    link_.clear();
    start();
    const auto back = wait([](const auto& r) { return r.prepared; });
    ASSERT_TRUE(back);
    EXPECT_EQ(back->attempt, 4u) << "the third has been";
}

TEST_F(PartsTest, AnAdoptedOneRunsOn) {
    start();
    run(spec(1, 2));
    const auto running = wait([](const auto& r) { return r.state == InstanceState::kRunning; });
    ASSERT_TRUE(running);
    worker_->stop(false, Deadline::after(5s));
    worker_.reset();
    link_.clear();
    start();
    const auto back = wait([](const auto& r) { return r.state == InstanceState::kRunning; });
    ASSERT_TRUE(back);
    EXPECT_EQ(back->pid, running->pid);
    EXPECT_EQ(back->attempt, 2u);
    EXPECT_EQ(back->peer_port, running->peer_port);
}

TEST_F(PartsTest, WithoutAnAddressItSaysWhatIsMissing) {
    WorkerOptions options = quick_options(folder_);
    auto started = Worker::start(std::move(options), link_, system_clock(), system_random());
    ASSERT_TRUE(started.ok());
    worker_ = std::move(*started);
    run(spec(1, 1));
    const auto failed = wait([](const auto& r) { return r.state == InstanceState::kError; });
    ASSERT_TRUE(failed);
    EXPECT_THAT(failed->reason, HasSubstr("--data-address"));
}

TEST(PeerTrouble, IsReadOffTheLastWords) {
    EXPECT_THAT(peer_trouble("x\nggml-rpc.cpp:547: Failed to connect to 10.0.0.2:4711\n\n[New LWP 1]"),
                HasSubstr("part of this instance at 10.0.0.2:4711 can't be reached"));
    EXPECT_THAT(peer_trouble("RPC handshake failed for 10.0.0.2:4711"), HasSubstr("another version"));
    EXPECT_THAT(peer_trouble("ggml-rpc.cpp:566: Remote RPC server crashed or returned malformed response"), HasSubstr("connection to it broke"));
    EXPECT_EQ(peer_trouble("error: no such file"), "");
}

}  // namespace
}  // namespace gantry::worker
