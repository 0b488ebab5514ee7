#pragma once
// The measuring client: TTFT, TPOT, ITL and throughput of any OpenAI-compatible endpoint, as contract.md defines them. A client:
// it knows nothing of our insides. Threads: run() blocks.

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace gantry::bench {

struct Target {
    std::string name;
    std::string endpoint;       // "tcp:127.0.0.1:9090", "tls:example.com:443" or "unix:/path"
    std::string base_path;      // "/v1"
    std::string model;
    std::string api_key;
    std::string backend;        // for the report
    std::string devices;
    std::string url;            // as given, for the report
    std::string version;        // of what answers, where it could be found out
    std::string flags;          // how it was started, where that is known
    std::string ca_file{};      // of tls: whom to trust; empty: the system's authorities
    uint32_t cards = 0;         // accelerators that serve it, for the report; 0: none, or not known
    std::vector<std::pair<std::string, std::string>> headers{};   // fields that every request carries besides
};

struct Workload {
    enum class Kind { kCompare, kBench };
    Kind kind = Kind::kCompare;
    std::vector<std::string> prompts;      // request i of a round sends prompts[i % size]
    std::vector<uint32_t> output_tokens;   // request i may have so many; empty: max_tokens for all
    uint32_t concurrency = 1;
    uint32_t requests = 1;                 // of a run
    uint32_t max_tokens = 64;
    double temperature = 0.7;
    bool ignore_eos = false;
    uint64_t seed = 1;                     // request i uses seed + i
    // An open loop: request i is due so many seconds after the run began, however many still run, and its times count from
    // then, so that a server (or this client) that falls behind shows. Empty: a closed loop of `concurrency` lanes.
    std::vector<double> arrivals_s;
    double offered_rate = 0;               // of arrivals by a rate, a second, as drawn: for the report
    // Chats: so many consecutive requests are one conversation, each carrying all that was said before. Closed loop only;
    // `requests` is a multiple.
    uint32_t turns = 1;
    // Of a closed loop: no request begins later than so many seconds after the run began, however few were sent; those under way
    // end in their own time. 0: all of `requests` are sent.
    double begin_within_s = 0;
};

// What a request must keep to count as good; 0: no limit.
struct Slo { double ttft_ms = 0, tpot_ms = 0; };

struct RequestSample {
    bool ok = false;
    std::string error;
    double start_s = 0;                    // since the run began; of an open loop: when it was due
    double late_ms = 0;                    // of an open loop: how long after that it was really sent, the client's own fault
    uint32_t turn = 0;                     // of its conversation, from 0
    double ttft_ms = 0;
    double e2e_ms = 0;
    std::vector<double> token_ms;          // since the request was sent: one a token event
    bool token_ms_left_out = false;        // they were too many to keep (cap_samples)
    uint32_t prompt_tokens = 0;
    uint32_t output_tokens = 0;
    uint32_t cached_tokens = 0;
    bool counted_from_usage = false;       // else from events
    double queue_ms = -1, prefill_ms = -1, decode_ms = -1;   // the server's own split, -1: not told
    std::string text;                      // what was generated, for the panels
};

struct Summary { double mean = 0, p50 = 0, p90 = 0, p99 = 0, max = 0; };
Summary summarize(std::vector<double> values);   // nearest-rank percentiles; all 0 for none

struct Run {
    uint32_t concurrency = 0;
    double wall_s = 0;
    double client_cpu_s = 0;               // what measuring itself took
    double offered_rate = 0;               // requests a second that were due; 0: they did not come by a rate
    std::optional<Slo> slo;                // judged by finish() where there is one
    std::vector<RequestSample> samples;
    size_t samples_left_out = 0;           // by cap_samples()
    // derived by finish()
    uint32_t prompt_tokens = 0, output_tokens = 0, cached_tokens = 0, requests_ok = 0, requests_failed = 0;
    uint32_t slo_met = 0;                  // requests that went well and kept the SLO
    double throughput_tok_s = 0;
    Summary ttft_ms, tpot_ms, itl_ms, e2e_ms;
};

// What may look on, or end a run. On the thread of run(), which waits for them.
struct Hooks {
    std::function<void(uint32_t request, const std::string& piece)> on_token{};   // text arrives
    std::function<void(const RequestSample& sample)> on_request{};                // a request has ended
    std::stop_token stop{};                                                        // from any thread: run() ends at once, kCancelled
};

// Sends the workload to the target. What a target answers is bounded: one that says far more than was asked for has failed.
Result<Run> run(const Target& target, const Workload& workload, const Hooks& hooks = {});

// Fills the derived fields of a run from its samples; run() has done so already. Latencies are those of requests that went well.
void finish(Run& run);
bool keeps(const Slo& slo, const RequestSample& sample);
// Adds the samples of a further round; their start times go on where `into` ended. finish() is done.
void append_round(Run& into, Run round);

// What a finished run keeps of its samples, where it is kept for long: the first `samples` of them, and of these the times of the
// first `token_times` tokens (of whole requests). Its figures stay.
void cap_samples(Run& run, size_t samples, size_t token_times);

// The report object of contract.md ("version":1 ...).
struct TargetRuns {
    Target target;
    std::vector<Run> runs;
    std::string error{};   // why it has fewer runs than others, or which of its requests failed; empty: nothing went wrong
};
json::object to_json(const Run& run);   // one of "runs", with its samples
json::object report(const std::vector<TargetRuns>& targets, const std::string& commit, const std::string& command_line);
// What report() wrote, as far as table() looks at it: no samples. kInvalidArgument says what is missing.
Result<std::vector<TargetRuns>> read_report(const json::object& report);
// What of a deployment's options is set, as text: part of what a figure means. Without its environment, which may hold secrets.
std::string flags_of(const json::object& options);
// What a foreign server says of its version, where it says so: vLLM and gantry at /version, llama-server at /props. Blocks some seconds
// at most. Empty: it doesn't.
std::string version_of(const Target& target);
// A table with bars, for a terminal of `columns` width; `unicode` false: plain ASCII.
std::string table(const std::vector<TargetRuns>& targets, uint32_t columns, bool colour, bool unicode);

}  // namespace gantry::bench
