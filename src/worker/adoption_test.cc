// What a worker that dies leaves behind, and what the next one makes of it: nothing lost, nothing twice, in every state.

#include "worker/adoption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <functional>

#include "worker/worker_testing.h"

namespace gantry::worker {
namespace {

using testing::HasSubstr;

class AdoptionTest : public testing::Test {
protected:
    ~AdoptionTest() override {
        for (const pid_t pid : living(pids())) {
            ADD_FAILURE() << "engine process " << pid << " was left behind";
            ::kill(pid, SIGKILL);
        }
    }
    std::string pids() { return folder_ / "ins_one.pids"; }

    std::unique_ptr<Worker> start(FakeLink& link, const std::function<void(WorkerOptions&)>& change = {}) {
        WorkerOptions options = quick_options(folder_);
        if (change) {
            change(options);
        }
        auto started = Worker::start(std::move(options), link, system_clock(), system_random());
        EXPECT_TRUE(started.ok()) << started.error().message;
        return started.ok() ? std::move(*started) : nullptr;
    }

    // Runs a worker in a process of its own with that spec until `ready` holds (asked in this process), then kills it with
    // SIGKILL. Where `die_at` names a point of the spawn, the worker kills itself there instead.
    void worker_killed_when(const protocol::InstanceSpec& spec, const std::function<bool()>& ready,
                            const std::string& die_at = "", const std::function<void(WorkerOptions&)>& change = {}) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            FakeLink link;
            link.assign({spec});
            const auto worker = start(link, [&](WorkerOptions& options) {
                if (change) {
                    change(options);
                }
                options.policy.on_point = [die_at](std::string_view point) {
                    if (point == die_at) {
                        ::kill(::getpid(), SIGKILL);
                    }
                };
            });
            while (worker) {
                // "unassign" stands in for a server that no longer wants it, so that a worker can die while stopping.
                if (std::filesystem::exists(folder_ / "unassign")) {
                    link.assign({});
                }
                ::usleep(1000);
            }
            ::_exit(1);
        }
        if (die_at.empty()) {
            EXPECT_TRUE(eventually(ready));
            ::kill(child, SIGKILL);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status));
    }
    // The state as the former worker's reports can't say: from what it left on disk.
    bool recorded_ready() {
        const auto record = InstanceFolder(folder_ / "worker", InstanceId("ins_one")).read_record();
        return record.ok() && record->ready;
    }
    bool recorded_pid() {
        const auto record = InstanceFolder(folder_ / "worker", InstanceId("ins_one")).read_record();
        return record.ok() && record->process.pid != 0;
    }

    TempFolder folder_;
};

TEST_F(AdoptionTest, EnginesGoOnWhenTheWorkerStopsAndAreTakenOver) {
    const auto spec = engine_spec(folder_);
    FakeLink first;
    first.assign({spec});
    auto worker = start(first);
    const auto before = first.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(before);
    worker->stop(false, Deadline::after(1s));
    worker.reset();
    EXPECT_EQ(living(pids()).size(), 1u);

    FakeLink second;
    second.assign({spec});
    worker = start(second);
    const auto after = second.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(after);
    EXPECT_EQ(after->pid, before->pid);
    EXPECT_EQ(after->endpoint, before->endpoint);
    EXPECT_EQ(after->restarts, 0u);
    EXPECT_EQ(second.history().front().state, InstanceState::kRunning) << "the first report already says running";
    worker->stop(true, Deadline::after(5s));
}

class KilledWorker : public AdoptionTest {
protected:
    // Whatever the first worker left: the next one has exactly one engine, and it runs; and it can be stopped.
    void expect_one_engine(const protocol::InstanceSpec& spec, std::optional<pid_t> same = {}) {
        FakeLink link;
        link.assign({spec});
        auto worker = start(link);
        ASSERT_TRUE(worker);
        const auto running = link.wait_state("ins_one", InstanceState::kRunning);
        ASSERT_TRUE(running);
        if (same) {
            EXPECT_EQ(running->pid, *same) << "adopted, not started again";
        }
        const auto alive = living(pids());
        ASSERT_EQ(alive.size(), 1u) << "no double";
        EXPECT_EQ(alive[0], running->pid);
        link.assign({});
        worker->poke();
        EXPECT_TRUE(link.wait_absent("ins_one"));
        EXPECT_TRUE(living(pids()).empty());
        worker->stop(true, Deadline::after(5s));
    }
};

TEST_F(KilledWorker, BetweenTheRecordAndTheSpawn) {
    const auto spec = engine_spec(folder_);
    worker_killed_when(spec, {}, "record_committed");
    EXPECT_TRUE(living(pids()).empty());
    expect_one_engine(spec);
}

TEST_F(KilledWorker, BetweenTheSpawnAndItsRecord) {
    const auto spec = engine_spec(folder_);
    worker_killed_when(spec, {}, "spawned");
    EXPECT_FALSE(recorded_pid()) << "the record says no process";
    ASSERT_TRUE(eventually([&] { return living(pids()).size() == 1; }));
    expect_one_engine(spec, living(pids())[0]);
}

TEST_F(KilledWorker, WhileStarting) {
    const auto spec = engine_spec(folder_, {"--load-ms", "400"});
    worker_killed_when(spec, [&] { return recorded_pid() && living(pids()).size() == 1; });
    EXPECT_FALSE(recorded_ready());
    const auto alive = living(pids());
    ASSERT_EQ(alive.size(), 1u);
    expect_one_engine(spec, alive[0]);
}

TEST_F(KilledWorker, WhileRunning) {
    const auto spec = engine_spec(folder_);
    worker_killed_when(spec, [&] { return recorded_ready(); });
    const auto alive = living(pids());
    ASSERT_EQ(alive.size(), 1u);
    expect_one_engine(spec, alive[0]);
}

TEST_F(KilledWorker, WhileStopping) {
    const auto spec = engine_spec(folder_, {"--ignore-term"});
    bool unassigned = false;
    worker_killed_when(spec, [&] {
        if (!unassigned && recorded_ready()) {
            write_text(folder_ / "unassign", "");
            unassigned = true;
        }
        if (!unassigned) {
            return false;
        }
        // Long enough for the SIGTERM to be sent, which this engine does not heed: its pending mask tells nothing, so the
        // file's age does.
        std::error_code ignored;
        return std::filesystem::file_time_type::clock::now() -
                   std::filesystem::last_write_time(folder_ / "unassign", ignored) > 200ms;
    });
    ASSERT_EQ(living(pids()).size(), 1u);
    FakeLink link;
    auto worker = start(link, [](WorkerOptions& options) { options.policy.stop_grace = 50ms; });
    EXPECT_TRUE(eventually([&] { return living(pids()).empty(); })) << "no longer wanted, so it is stopped";
    EXPECT_TRUE(link.wait_absent("ins_one"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "worker/instances/ins_one"));
    worker->stop(true, Deadline::after(5s));
}

TEST_F(KilledWorker, WhileWaitingForTheNextTry) {
    write_text(folder_ / "broken", "");
    const auto spec = engine_spec(folder_, {"--fail-if", folder_ / "broken"});
    worker_killed_when(
        spec, [&] { return std::filesystem::exists(folder_ / "worker/instances/ins_one/exit.json"); }, "",
        [](WorkerOptions& options) { options.policy.restart_base = 60s; });
    EXPECT_TRUE(eventually([&] { return living(pids()).empty(); }));
    std::filesystem::remove(folder_ / "broken");
    expect_one_engine(spec);
}

TEST_F(KilledWorker, AnEngineNobodyWantsAnyMoreIsStopped) {
    const auto spec = engine_spec(folder_);
    worker_killed_when(spec, [&] { return recorded_ready(); });
    FakeLink link;
    auto worker = start(link);
    EXPECT_TRUE(eventually([&] { return living(pids()).empty(); }));
    EXPECT_TRUE(link.wait_absent("ins_one"));
    worker->stop(true, Deadline::after(5s));
}

TEST_F(KilledWorker, AnEngineThatDiedMeanwhileIsStartedAgain) {
    const auto spec = engine_spec(folder_, {"--child"});
    worker_killed_when(spec, [&] { return recorded_ready() && living(pids()).size() == 2; });
    const auto record = InstanceFolder(folder_ / "worker", InstanceId("ins_one")).read_record();
    ASSERT_TRUE(record.ok());
    ::kill(static_cast<pid_t>(record->process.pid), SIGKILL);
    ASSERT_TRUE(eventually([&] { return living(pids()).size() == 1; })) << "its child lives on and holds the lock";
    const pid_t stray = living(pids())[0];
    FakeLink link;
    link.assign({spec});
    auto worker = start(link);
    ASSERT_TRUE(link.wait_state("ins_one", InstanceState::kRunning));
    const auto alive = living(pids());
    EXPECT_EQ(alive.size(), 2u);
    EXPECT_THAT(alive, testing::Not(testing::Contains(stray)));
    worker->stop(true, Deadline::after(5s));
}

TEST_F(KilledWorker, AHungEngineIsFoundOutSoonerThanAStartWouldBe) {
    const auto spec = engine_spec(folder_, {"--hang-if", folder_ / "hang"});
    worker_killed_when(spec, [&] { return recorded_ready(); });
    write_text(folder_ / "hang", "");
    FakeLink link;
    link.assign({spec});
    auto worker = start(link, [](WorkerOptions& options) {
        options.policy.liveness_timeout = 50ms;
        options.policy.start_deadline = 600s;
    });
    ASSERT_TRUE(link.wait("ins_one", [](const auto& r) { return r.reason.starts_with("stopped answering"); }));
    std::filesystem::remove(folder_ / "hang");
    EXPECT_TRUE(link.wait_state("ins_one", InstanceState::kRunning));
    EXPECT_EQ(living(pids()).size(), 1u);
    worker->stop(true, Deadline::after(5s));
}

TEST_F(KilledWorker, AnAdoptedEnginesOwnWordsAreItsReason) {
    const auto spec = engine_spec(folder_, {"--crash-after", "1000"});
    worker_killed_when(spec, [&] { return recorded_ready(); });
    FakeLink link;
    link.assign({spec});
    auto worker = start(link);
    const auto dead = link.wait_state("ins_one", InstanceState::kError);
    ASSERT_TRUE(dead);
    EXPECT_THAT(dead->reason, HasSubstr("ended: planned crash"));
    worker->stop(true, Deadline::after(5s));
}

TEST_F(KilledWorker, AnAdoptedEngineWithoutWordsSaysThatMuch) {
    const auto spec = custom_spec(folder_);
    worker_killed_when(spec, [&] { return recorded_ready(); });
    FakeLink link;
    link.assign({spec});
    auto worker = start(link);
    const auto running = link.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(running);
    ::kill(static_cast<pid_t>(running->pid), SIGKILL);
    const auto dead = link.wait_state("ins_one", InstanceState::kError);
    ASSERT_TRUE(dead);
    EXPECT_THAT(dead->reason, HasSubstr("ended while adopted; exit status unknown"));
    EXPECT_TRUE(link.wait("ins_one", [&](const auto& r) { return r.state == InstanceState::kRunning && r.restarts == 1; }));
    worker->stop(true, Deadline::after(5s));
}

TEST_F(KilledWorker, AnotherProcessWithTheRecordedPidIsLeftAlone) {
    const auto spec = engine_spec(folder_);
    // A record that names a live process which is not the engine: this test itself, with another start time.
    const InstanceFolder instance(folder_ / "worker", spec.id);
    ASSERT_TRUE(instance.create().ok());
    InstanceRecord record;
    record.id = spec.id;
    record.nonce = "nonce";
    record.process = *platform::identify(::getpid());
    record.process.start_ticks -= 1;
    ASSERT_TRUE(instance.write_record(record).ok());
    expect_one_engine(spec);
}

TEST_F(KilledWorker, ARecordThatIsNoRecordIsStartedOver) {
    const auto spec = engine_spec(folder_);
    for (const char* text : {"", "{", "[]", "{\"pid\":\"x\",\"nonce\":7}", "{\"pid\":-1}", "{\"pid\":1e99}"}) {
        std::filesystem::create_directories(folder_ / "worker/instances/ins_one");
        write_text(folder_ / "worker/instances/ins_one/record.json", text);
        expect_one_engine(spec);
    }
}

TEST_F(KilledWorker, ChangedSettingsReplaceAnAdoptedEngine) {
    auto spec = engine_spec(folder_);
    worker_killed_when(spec, [&] { return recorded_ready(); });
    spec.generation = 2;
    spec.options.threads = 3;
    const pid_t old = living(pids()).at(0);
    FakeLink link;
    link.assign({spec});
    auto worker = start(link);
    const auto running = link.wait("ins_one", [&](const auto& r) { return r.state == InstanceState::kRunning && r.pid != old; });
    ASSERT_TRUE(running);
    EXPECT_EQ(living(pids()).size(), 1u);
    worker->stop(true, Deadline::after(5s));
}

}  // namespace
}  // namespace gantry::worker
