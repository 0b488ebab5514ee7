#include "worker/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/no_descriptors_for_test.h"
#include "base/platform/process.h"
#include "worker/log_blanker.h"
#include "worker/worker_testing.h"

namespace gantry::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class WorkerTest : public testing::Test {
protected:
    void start() { start(quick_options(folder_)); }
    void start(WorkerOptions options) {
        Result<std::unique_ptr<Worker>> started = Worker::start(std::move(options), link_, system_clock(), system_random());
        ASSERT_TRUE(started.ok()) << started.error().message;
        worker_ = std::move(*started);
    }
    void run(const protocol::InstanceSpec& spec) {
        link_.assign({spec});
        worker_->poke();
    }
    std::string pids(const std::string& id = "ins_one") { return folder_ / (id + ".pids"); }
    ~WorkerTest() override {
        if (worker_) {
            worker_->stop(true, Deadline::after(5s));
        }
        for (const char* id : {"ins_one", "ins_two"}) {
            for (const pid_t pid : living(pids(id))) {
                ADD_FAILURE() << "engine process " << pid << " of " << id << " was left behind";
                ::kill(pid, SIGKILL);
            }
        }
    }

    TempFolder folder_;
    FakeLink link_;
    std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, ReportsItsMachineAtOnce) {
    start();
    ASSERT_TRUE(eventually([&] { return link_.reports() > 0; }));
    const protocol::WorkerReport report = link_.last();
    EXPECT_EQ(report.worker_id.text, "wrk_test");
    EXPECT_FALSE(report.name.empty());
    ASSERT_EQ(report.devices.size(), 1u);
    EXPECT_GT(report.devices[0].memory_total_bytes, 0u);
    ASSERT_FALSE(report.programs.empty());
    EXPECT_EQ(report.programs[0].backend, "engine");
    EXPECT_FALSE(report.programs[0].path.empty());
    EXPECT_FALSE(report.programs[0].version.empty());
}

TEST_F(WorkerTest, StartsAnEngineAndStopsIt) {
    start();
    run(engine_spec(folder_, {"--load-ms", "150"}));
    const auto starting = link_.wait("ins_one", [](const auto& r) { return r.state == InstanceState::kStarting && r.progress > 0; });
    ASSERT_TRUE(starting) << "progress while it loads";
    const auto running = link_.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(running);
    EXPECT_THAT(running->endpoint, StartsWith("unix:/"));
    EXPECT_EQ(running->api_key, "");
    EXPECT_GT(running->pid, 0);
    EXPECT_EQ(running->restarts, 0u);
    EXPECT_EQ(running->reason, "");
    EXPECT_TRUE(link_.wait("ins_one", [](const auto& r) { return r.memory_bytes > 100'000; }));
    EXPECT_EQ(::getsid(static_cast<pid_t>(running->pid)), running->pid) << "a session of its own";
    EXPECT_EQ(read_text("/proc/" + std::to_string(running->pid) + "/oom_score_adj"), "500\n");
    EXPECT_EQ(worker_->log_files(InstanceId("ins_one")).size(), 1u);

    link_.assign({});
    worker_->poke();
    EXPECT_TRUE(link_.wait_absent("ins_one"));
    EXPECT_TRUE(living(pids()).empty());
    EXPECT_FALSE(std::filesystem::exists(folder_ / "worker/instances/ins_one")) << "folder and logs go";
    EXPECT_TRUE(worker_->log_files(InstanceId("ins_one")).empty());
    EXPECT_FALSE(std::filesystem::exists(running->endpoint.substr(5))) << "its socket goes";
}

TEST_F(WorkerTest, RunsACustomBackendOverTcp) {
    start();
    run(custom_spec(folder_));
    const auto running = link_.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(running);
    EXPECT_THAT(running->endpoint, StartsWith("tcp:127.0.0.1:"));
}

TEST_F(WorkerTest, DeathIsReportedWithin100Ms) {
    start();
    run(engine_spec(folder_));
    auto running = link_.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(running);
    milliseconds worst{0};
    for (int round = 0; round < 5; ++round) {
        const int64_t pid = running->pid;
        const auto killed_at = std::chrono::steady_clock::now();
        ASSERT_EQ(::kill(static_cast<pid_t>(pid), SIGKILL), 0);
        const auto dead = link_.wait("ins_one", [pid](const auto& r) { return r.pid != pid; });
        const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - killed_at);
        ASSERT_TRUE(dead);
        worst = std::max(worst, took);
        running = link_.wait("ins_one", [pid](const auto& r) { return r.state == InstanceState::kRunning && r.pid != pid; });
        ASSERT_TRUE(running) << "started again";
    }
    RecordProperty("worst_ms", static_cast<int>(worst.count()));
    EXPECT_LT(worst, 100ms);
    EXPECT_EQ(running->restarts, 5u);
    bool seen = false;
    for (const auto& entry : link_.history()) {
        seen = seen || (entry.state == InstanceState::kError && entry.reason == "killed by SIGKILL; trying again now");
    }
    EXPECT_TRUE(seen) << "the death itself is reported, not only the restart";
}

TEST_F(WorkerTest, ACrashLoopIsNamedAndEndsWhenTheCauseDoes) {
    start();
    write_text(folder_ / "broken", "");
    run(engine_spec(folder_, {"--fail-if", folder_ / "broken"}));
    const auto looping = link_.wait("ins_one", [](const auto& r) { return r.reason.starts_with("crash loop"); });
    ASSERT_TRUE(looping);
    EXPECT_EQ(looping->state, InstanceState::kError);
    EXPECT_THAT(looping->reason, AllOf(HasSubstr("exited with status 3: told to fail"), HasSubstr("5 times"),
                                       HasSubstr("see gantry logs tiny")));
    std::filesystem::remove(folder_ / "broken");
    EXPECT_TRUE(link_.wait_state("ins_one", InstanceState::kRunning));
}

TEST_F(WorkerTest, ADeviceWithoutMemoryIsNamedWithAdvice) {
    start();
    run(custom_spec(folder_, {"--say", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "--fail-start", "2"}));
    const auto failed = link_.wait_state("ins_one", InstanceState::kError);
    ASSERT_TRUE(failed);
    EXPECT_THAT(failed->reason, StartsWith("out of memory (device): the engine found too little and exited with status 2; use a smaller"));
    EXPECT_THAT(failed->reason, Not(HasSubstr("torch")));
}

TEST_F(WorkerTest, AFailedStartShowsItsLastWordsButNoSecret) {
    start();
    auto spec = custom_spec(folder_, {"--say", "no such flag, token s3cr3t-token", "--fail-start", "2"});
    spec.options.env = {{"HF_TOKEN", "s3cr3t-token"}};
    run(spec);
    const auto failed = link_.wait_state("ins_one", InstanceState::kError);
    ASSERT_TRUE(failed);
    EXPECT_THAT(failed->reason, StartsWith("exited with status 2: no such flag, token ***"));
}

TEST_F(WorkerTest, TheKeyThatAnEngineWritesDownIsBlankedOut) {
    start();
    auto spec = engine_spec(folder_, {"--say-variable", "LLAMA_API_KEY"});
    spec.backend = BackendKind::kLlamaServer;
    spec.options.binary = GANTRY_FAKE_ENGINE;
    run(spec);
    const auto running = link_.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(running);
    ASSERT_GE(running->api_key.size(), LogBlanker::kSecretMin);
    EXPECT_EQ(read_text(worker_->log_files(InstanceId("ins_one")).at(0)), "LLAMA_API_KEY='" + std::string(running->api_key.size(), '*') + "'\n");
}

TEST_F(WorkerTest, LogsTurnOverAtEachRestart) {
    start();
    run(engine_spec(folder_, {"--say", "hello", "--crash-after", "60"}));
    ASSERT_TRUE(link_.wait("ins_one", [](const auto& r) { return r.restarts >= 2 && r.state == InstanceState::kRunning; }));
    const std::vector<std::string> files = worker_->log_files(InstanceId("ins_one"));
    ASSERT_EQ(files.size(), 2u);
    EXPECT_THAT(files[0], HasSubstr("engine.1.log"));
    EXPECT_EQ(read_text(files[0]), "hello\n");
    struct stat info {};
    ASSERT_EQ(::stat(files[1].c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(WorkerTest, AnEngineThatIgnoresTermIsKilledAfterItsGrace) {
    auto options = quick_options(folder_);
    options.policy.stop_grace = 100ms;
    start(std::move(options));
    run(engine_spec(folder_, {"--ignore-term", "--child"}));
    ASSERT_TRUE(link_.wait_state("ins_one", InstanceState::kRunning));
    EXPECT_EQ(living(pids()).size(), 2u);
    link_.assign({});
    worker_->poke();
    EXPECT_TRUE(link_.wait_state("ins_one", InstanceState::kStopping));
    EXPECT_TRUE(link_.wait_absent("ins_one"));
    EXPECT_TRUE(living(pids()).empty()) << "its children too";
}

TEST_F(WorkerTest, ChildrenThatOutliveTheirEngineAreEnded) {
    start();
    run(engine_spec(folder_, {"--child"}));
    const auto running = link_.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(running);
    const std::vector<pid_t> first = living(pids());
    ASSERT_EQ(first.size(), 2u);
    ::kill(static_cast<pid_t>(running->pid), SIGKILL);
    ASSERT_TRUE(link_.wait("ins_one", [](const auto& r) { return r.restarts == 1 && r.state == InstanceState::kRunning; }));
    const std::vector<pid_t> second = living(pids());
    EXPECT_EQ(second.size(), 2u);
    for (const pid_t pid : first) {
        EXPECT_THAT(second, Not(testing::Contains(pid)));
    }
}

TEST_F(WorkerTest, AStoppedProcessIsFoundByItsSilence) {
    auto options = quick_options(folder_);
    options.policy.liveness_timeout = 60ms;
    start(std::move(options));
    run(engine_spec(folder_));
    const auto running = link_.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(running);
    ASSERT_EQ(::kill(static_cast<pid_t>(running->pid), SIGSTOP), 0);
    const auto stalled = link_.wait("ins_one", [](const auto& r) { return r.reason.starts_with("stopped answering"); });
    ASSERT_TRUE(stalled);
    const auto again = link_.wait("ins_one", [&](const auto& r) { return r.state == InstanceState::kRunning && r.pid != running->pid; });
    EXPECT_TRUE(again);
    EXPECT_EQ(living(pids()).size(), 1u);
}

TEST_F(WorkerTest, AnEngineThatNeverBecomesReadyIsEnded) {
    auto options = quick_options(folder_);
    options.policy.start_deadline = 150ms;
    start(std::move(options));
    run(engine_spec(folder_, {"--load-ms", "100000"}));
    const auto failed = link_.wait_state("ins_one", InstanceState::kError);
    ASSERT_TRUE(failed);
    EXPECT_THAT(failed->reason, HasSubstr("did not become ready within 0.15 s: its health check answers 503"));
}

TEST_F(WorkerTest, AFileThatIsNoModelIsRefusedUntilItChanges) {
    start();
    write_text(folder_ / "model.gguf", "not a model");
    run(engine_spec(folder_));
    const auto refused = link_.wait_state("ins_one", InstanceState::kError);
    ASSERT_TRUE(refused);
    EXPECT_THAT(refused->reason, StartsWith("invalid model file: "));
    EXPECT_THAT(refused->reason, Not(HasSubstr("next try")));
    EXPECT_FALSE(std::filesystem::exists(pids())) << "no engine was started";
    EXPECT_EQ(refused->restarts, 0u);
    write_text(folder_ / "model.gguf", tiny_gguf());
    EXPECT_TRUE(link_.wait_state("ins_one", InstanceState::kRunning));
}

TEST_F(WorkerTest, AMissingModelFileIsAnErrorInstance) {
    start();
    auto spec = engine_spec(folder_);
    spec.source = "file:" + (folder_ / "absent.gguf");
    run(spec);
    const auto refused = link_.wait_state("ins_one", InstanceState::kError);
    ASSERT_TRUE(refused);
    EXPECT_THAT(refused->reason, StartsWith("invalid model file: "));
}

TEST_F(WorkerTest, BadOptionsAreAnErrorThatSaysSo) {
    start();
    auto spec = engine_spec(folder_);
    spec.options.extra_args = {"--host", "0.0.0.0"};
    run(spec);
    auto failed = link_.wait_state("ins_one", InstanceState::kError);
    ASSERT_TRUE(failed);
    EXPECT_THAT(failed->reason, HasSubstr("--host is not passed on to the embedded engine"));
    // The spec is mended: it runs.
    spec = engine_spec(folder_);
    spec.generation = 2;
    run(spec);
    EXPECT_TRUE(link_.wait_state("ins_one", InstanceState::kRunning));
}

TEST_F(WorkerTest, AChangedSpecRestartsTheEngineWithoutAFailure) {
    start();
    auto spec = engine_spec(folder_);
    run(spec);
    const auto first = link_.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(first);
    spec.generation = 2;
    spec.options.threads = 2;
    run(spec);
    const auto second = link_.wait("ins_one", [&](const auto& r) { return r.state == InstanceState::kRunning && r.pid != first->pid; });
    ASSERT_TRUE(second);
    EXPECT_EQ(living(pids()).size(), 1u);
    for (const auto& entry : link_.history()) {
        EXPECT_NE(entry.state, InstanceState::kError) << entry.reason;
    }
}

TEST_F(WorkerTest, AnUnsafeIdTouchesNoFolder) {
    start();
    auto spec = engine_spec(folder_);
    spec.id = InstanceId("../../escape");
    run(spec);
    const size_t before = link_.reports();
    ASSERT_TRUE(eventually([&] { return link_.reports() > before + 1; }));
    EXPECT_TRUE(link_.last().instances.empty());
    EXPECT_TRUE(worker_->log_files(spec.id).empty());
}

TEST_F(WorkerTest, TwoWorkersCannotShareAFolder) {
    start();
    FakeLink other;
    const auto second = Worker::start(quick_options(folder_), other, system_clock(), system_random());
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, ErrorCode::kConflict);
    EXPECT_THAT(second.error().message, HasSubstr("pid " + std::to_string(::getpid())));
}

TEST_F(WorkerTest, StopEndsAllEnginesTogetherByItsDeadline) {
    start();
    link_.assign({engine_spec(folder_, {"--ignore-term"}, "ins_one"), engine_spec(folder_, {"--ignore-term"}, "ins_two")});
    worker_->poke();
    ASSERT_TRUE(link_.wait_state("ins_one", InstanceState::kRunning));
    ASSERT_TRUE(link_.wait_state("ins_two", InstanceState::kRunning));
    const auto begun = std::chrono::steady_clock::now();
    worker_->stop(true, Deadline::after(800ms));
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 1500ms);
    EXPECT_TRUE(living(pids("ins_one")).empty());
    EXPECT_TRUE(living(pids("ins_two")).empty());
}

TEST_F(WorkerTest, ALongDataFolderGetsAShortRunFolder) {
    auto options = quick_options(folder_);
    options.data_dir = folder_ / std::string(120, 'x');
    start(std::move(options));
    run(engine_spec(folder_));
    const auto running = link_.wait_state("ins_one", InstanceState::kRunning);
    ASSERT_TRUE(running);
    EXPECT_THAT(running->endpoint, StartsWith("unix:/tmp/gantry-"));
    std::error_code ignored;
    std::filesystem::remove_all(std::filesystem::path(running->endpoint.substr(5)).parent_path(), ignored);
}

TEST_F(WorkerTest, FewHandlesAreAnErrorAndNoCrash) {
    // A limit that lets the worker start but nothing be opened for an engine: it says so, and goes on once there is room.
    start();
    ASSERT_TRUE(eventually([&] { return link_.reports() > 0; }));
    const protocol::InstanceSpec spec = engine_spec(folder_);  // writes the model file
    std::optional<NoDescriptors> none(std::in_place);
    run(spec);
    const auto failed = link_.wait_state("ins_one", InstanceState::kError);
    none.reset();
    ASSERT_TRUE(failed);
    EXPECT_FALSE(failed->reason.empty());
    EXPECT_TRUE(link_.wait_state("ins_one", InstanceState::kRunning));
}

TEST_F(WorkerTest, NoHandlesAtStartIsAnErrorValue) {
    for (rlim_t left = 0; left < 40; left += 3) {
        FakeLink link;
        TempFolder folder;
        std::optional<NoDescriptors> none(std::in_place, left);
        auto started = Worker::start(quick_options(folder), link, system_clock(), system_random());
        const bool ok = started.ok();
        if (ok) {
            (*started)->stop(true, Deadline::after(1s));
        }
        none.reset();
        if (!ok) {
            EXPECT_EQ(started.error().code, ErrorCode::kUnavailable) << started.error().message;
        }
        EXPECT_TRUE(ok || left < 20) << left;
        EXPECT_TRUE(!ok || left > 0);
    }
}

}  // namespace
}  // namespace gantry::worker
