#pragma once
// A benchmark: a load that the server sends to deployments and outside URLs, to measure them side by side, and what came of it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/json_fields.h"

namespace gantry {

using BenchmarkId = Id<struct BenchmarkTag>;    // bmk_

enum class BenchmarkKind {
    kLoad,      // prompts that differ from their first word on, a closed loop of so many lanes
    kCompare,   // one prompt to so many panels at once, a fresh one each round
};
const char* to_string(BenchmarkKind kind);
bool from_text(const std::string& text, BenchmarkKind& kind);

enum class BenchmarkState {
    kQueued,      // another one runs, or it comes next
    kRunning,
    kDone,        // every target answered in every run; some requests may have failed, and are counted
    kFailed,      // a target gave no answer, or the server ended: the reason says which; results so far are kept
    kCancelled,   // by a person; results so far are kept
};
const char* to_string(BenchmarkState state);
bool from_text(const std::string& text, BenchmarkState& state);
inline bool is_over(BenchmarkState state) { return state != BenchmarkState::kQueued && state != BenchmarkState::kRunning; }

struct BenchmarkTarget {
    std::string name{};          // in the report; unique in a benchmark
    std::string deployment{};    // its name; empty: an outside URL
    std::string url{};           // of an outside target
    std::string model{};         // its name there
    std::string sealed_key{};    // of an outside target, while it may still be needed (control/secrets.h); never shown
    bool has_api_key = false;    // it was given one
    // What was found out when it was measured.
    std::string backend{};
    std::string devices{};       // of its instances: "2 x Ascend 910B on host-1"
    uint32_t cards = 0;          // accelerators of one instance; 0: none, or not known
    std::string version{};
    std::string flags{};
    std::string error{};         // what went wrong with it; empty: nothing

    bool operator==(const BenchmarkTarget&) const = default;
};

struct BenchmarkSettings {
    BenchmarkKind kind = BenchmarkKind::kLoad;
    std::vector<uint32_t> concurrencies{1};
    uint32_t prompt_tokens = 300;         // the next four of kLoad only
    uint32_t shared_prefix_tokens = 0;
    uint32_t requests = 0;                // of a run; 0: four times its concurrency, or by time
    uint32_t duration_seconds = 0;        // of a run, instead; 0: by number
    uint32_t rounds = 1;                  // of kCompare only
    uint32_t output_tokens = 64;
    double temperature = 0.7;
    bool ignore_eos = false;
    uint64_t seed = 1;                    // repeats the prompts

    bool operator==(const BenchmarkSettings&) const = default;
};

// How far it is. Of one that is over: how far it came.
struct BenchmarkProgress {
    double fraction = 0;                  // 0..1
    uint32_t requests_done = 0;           // failed ones included
    uint32_t requests_failed = 0;
    uint32_t requests_total = 0;          // 0: it goes by time
    uint64_t output_tokens = 0;
    std::string target{};                 // the one that is measured now; empty: none
    uint32_t concurrency = 0;             // of the run

    bool operator==(const BenchmarkProgress&) const = default;
};

struct Benchmark {
    BenchmarkId id{};
    std::string name{};                   // for people; need not be unique
    UserId user_id{};                     // whose requests it makes,
    std::string user_name{};
    ApiKeyId key_id{};                    // and by which key; empty: a session, or the admin socket
    BenchmarkSettings settings{};
    std::vector<BenchmarkTarget> targets{};
    BenchmarkState state = BenchmarkState::kQueued;
    std::string reason{};                 // of kFailed and kCancelled
    BenchmarkProgress progress{};
    WallTime created_at{};
    std::optional<WallTime> started_at{};
    std::optional<WallTime> finished_at{};
    // JSON. `runs`: the figures of each run, without samples, a list; `result`: the report of `gantry bench` (contract.md, "Measures").
    std::string runs{"[]"};
    std::string result{};                 // empty: none yet, or not read
};

inline constexpr size_t kBenchmarkTargetsMax = 8;
inline constexpr size_t kBenchmarkConcurrenciesMax = 8;
inline constexpr uint32_t kBenchmarkConcurrencyMax = 256;
inline constexpr uint32_t kBenchmarkRequestsMax = 2'000;           // of a run
inline constexpr uint32_t kBenchmarkAllRequestsMax = 20'000;       // of all runs and targets together
inline constexpr uint32_t kBenchmarkSecondsMax = 600;              // of a run
inline constexpr uint32_t kBenchmarkAllSecondsMax = 2 * 3600;      // of all together; no benchmark takes longer
inline constexpr uint32_t kBenchmarkPromptTokensMin = 24;          // a sentence that makes it its own, and the task
inline constexpr uint32_t kBenchmarkPromptTokensMax = 32'768;
inline constexpr uint32_t kBenchmarkPromptTokensOfRunMax = 4'000'000;   // of all prompts of a run: they are made before it begins
inline constexpr uint32_t kBenchmarkOutputTokensMax = 4'096;
inline constexpr uint32_t kBenchmarkRoundsMax = 20;
inline constexpr int64_t kBenchmarkSeedMax = int64_t{1} << 52;     // every client's JSON keeps it

// It is over, in the state and for the reason that it has: what was for its running is forgotten, keys of targets too.
void close_benchmark(Benchmark& benchmark, WallTime now);

// How many requests a run of so many lanes has; of one by time at most.
uint32_t requests_of_run(const BenchmarkSettings& settings, uint32_t concurrency);

template <Is<BenchmarkTarget> T, class Visit>
void fields(T& t, Visit&& visit) {
    visit("name", t.name);
    visit("deployment", t.deployment);
    visit("url", t.url);
    visit("model", t.model);
    visit("sealed_key", t.sealed_key);
    visit("has_api_key", t.has_api_key);
    visit("backend", t.backend);
    visit("devices", t.devices);
    visit("cards", t.cards);
    visit("version", t.version);
    visit("flags", t.flags);
    visit("error", t.error);
}

template <Is<BenchmarkSettings> T, class Visit>
void fields(T& s, Visit&& visit) {
    visit("kind", s.kind);
    visit("concurrencies", s.concurrencies);
    visit("prompt_tokens", s.prompt_tokens);
    visit("shared_prefix_tokens", s.shared_prefix_tokens);
    visit("requests", s.requests);
    visit("duration_seconds", s.duration_seconds);
    visit("rounds", s.rounds);
    visit("output_tokens", s.output_tokens);
    visit("temperature", s.temperature);
    visit("ignore_eos", s.ignore_eos);
    visit("seed", s.seed);
}

template <Is<BenchmarkProgress> T, class Visit>
void fields(T& p, Visit&& visit) {
    visit("fraction", p.fraction);
    visit("requests_done", p.requests_done);
    visit("requests_failed", p.requests_failed);
    visit("requests_total", p.requests_total);
    visit("output_tokens", p.output_tokens);
    visit("target", p.target);
    visit("concurrency", p.concurrency);
}

}  // namespace gantry
