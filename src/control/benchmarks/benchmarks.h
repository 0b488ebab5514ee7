#pragma once
// Runs the benchmarks that people asked for, one at a time, the oldest first, and keeps what comes of them. The load is sent from a
// thread of its own through the server's own front door, the admin socket, as requests of the benchmark's user (gateway::kActsFor): they
// pass the gateway's limits, are metered and stand among the live requests like any other.
//
// What is in the database is the truth about which there are; what is known of the running one beyond that (how far it is) is in
// memory. After each run the results so far are on disk. A server that starts finds one that it ran when it ended, calls it failed and
// goes on with those that wait.
//
// Threads: start() makes two, which stop() joins: one measures, the other tells watchers how far it is, so that telling is never
// between two tokens. The rest from any thread that may block on the disk.

#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "bench/bench.h"
#include "control/publish.h"
#include "control/secrets.h"
#include "domain/benchmark.h"
#include "protocol/management/objects.h"
#include "store/store.h"

namespace gantry::control {

class Benchmarks {
public:
    // `own_endpoint`: the admin socket.
    Benchmarks(store::Store& store, Publisher& publisher, Secrets& secrets, const Clock& clock, std::string own_endpoint)
        : store_(store), publisher_(publisher), secrets_(secrets), clock_(clock), own_endpoint_(std::move(own_endpoint)) {}
    ~Benchmarks() { stop(); }

    // Calls what a former server left unfinished failed. Before the others.
    Status recover();
    void start();
    void stop();                  // cuts the running one off, which is failed then; what waits, waits for the next start

    // Rows came, ended or went: watchers learn of it, and the next one begins.
    Status changed();
    // Ends it if it is the one that runs, and waits until that is on disk. False: it isn't (any more).
    bool cancel_running(const BenchmarkId& id, const std::string& why);
    // As the API shows it, with what is known now. `open`: those that are queued or run, the oldest first.
    json::object shown(Benchmark benchmark, const std::vector<Benchmark>& open, bool with_result) const;

private:
    enum class Ending { kNone, kCancelled, kServerStops, kTooLong };
    struct Running {
        Benchmark benchmark;      // as far as it is
        std::stop_source stop;
        Ending ending = Ending::kNone;
        std::string why;          // of kCancelled
    };
    struct Work;                  // of the running one; the measuring thread's own

    void loop(const std::stop_token& stopping);
    void tell_loop(const std::stop_token& stopping);
    std::optional<Benchmark> next(const std::stop_token& stopping);
    void run(Benchmark benchmark, const std::stop_token& stopping);
    void measure(Work& work);
    void find_targets(Work& work);
    bool wait_until_ready(Work& work, size_t target);
    bool warm_up(Work& work, size_t target, bool last_try);
    void take_step(Work& work, size_t index);
    void finish(Work& work, const std::stop_token& stopping);
    bool keep(Work& work);        // on disk; false: the database refuses
    void end(Ending ending);
    void end_locked(Ending ending, const std::string& why = {});   // with mutex_
    template <class Change>
    void note(Change change);     // change(Benchmark&) of the running one

    store::Store& store_;
    Publisher& publisher_;
    Secrets& secrets_;
    const Clock& clock_;
    const std::string own_endpoint_;

    std::mutex publishing_;                // one at a time, so that nothing old is told after what is new; before mutex_
    mutable std::mutex mutex_;             // protects what is below
    std::condition_variable_any woken_;
    std::optional<Running> running_;
    bool wanted_ = true;                   // to look for the next one
    bool untold_ = false;                  // the running one is further than watchers know

    std::jthread measuring_;
    std::jthread telling_;
};

}  // namespace gantry::control
