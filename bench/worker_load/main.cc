// Many workers in one process: joins them all, prints "ready", and reports for them until it is told to end (SIGTERM, SIGINT). Then a
// line of JSON: how many reports there were.

#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "played_worker.h"

namespace {

constexpr std::chrono::milliseconds kTurn{5};
volatile std::sig_atomic_t g_over = 0;   // set by a signal's handler, which can reach nothing else

void raise_handle_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
    using namespace gantry;
    CLI::App app("Plays many workers of one server.");
    load::Played played;
    std::string token_file, folder;
    uint32_t count = 200;
    app.add_option("--server", played.server, "tls:HOST:PORT")->required();
    app.add_option("--token-file", token_file, "a join token for all of them")->required();
    app.add_option("--folder", folder, "where each keeps its identity")->required();
    app.add_option("--workers", count)->check(CLI::Range(1, 1'000));
    app.add_option("--accelerators", played.accelerators, "of each worker");
    app.add_option("--engine", played.engine, "endpoint of what answers for every engine");
    CLI11_PARSE(app, argc, argv);
    raise_handle_limit();
    std::signal(SIGTERM, [](int) { g_over = 1; });
    std::signal(SIGINT, [](int) { g_over = 1; });

    std::ifstream file(token_file);
    played.token.assign(std::istreambuf_iterator<char>(file), {});
    std::vector<std::unique_ptr<load::PlayedWorker>> workers;
    for (uint32_t i = 0; i < count && g_over == 0; ++i) {
        load::Played one = played;
        one.name = fmt::format("played-{:03}", i);
        one.folder = folder + "/" + one.name;
        auto started = load::PlayedWorker::start(one);
        if (!started) {
            fmt::print(stderr, "{}: {}\n", one.name, started.error().message);
            return 1;
        }
        workers.push_back(*std::move(started));
    }
    const SteadyTime begin = std::chrono::steady_clock::now();
    for (size_t i = 0; i < workers.size(); ++i) workers[i]->report_from(begin + std::chrono::milliseconds(1'000) * i / workers.size());
    fmt::print("ready\n");
    std::fflush(stdout);
    while (g_over == 0) {
        const SteadyTime now = std::chrono::steady_clock::now();
        for (const auto& one : workers) one->turn(now);
        std::this_thread::sleep_for(kTurn);
    }
    uint64_t reports = 0;
    for (const auto& one : workers) reports += one->reports();
    workers.clear();
    fmt::print("{{\"reports\":{}}}\n", reports);
    return 0;
}
