#include "bench/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>

#include "bench/workload.h"

namespace gantry::bench {
namespace {

constexpr uint32_t kTokensMax = 1'000'000;
constexpr uint32_t kOwnTokensMin = 24;   // a lead sentence and the task: what makes a prompt with a shared front its own
constexpr uint32_t kLateOutputTokens = 16;

// The standard's distributions give other numbers with another library; these are the same everywhere.
class Draw {
public:
    explicit Draw(uint64_t seed) : random_(seed) {}
    double uniform() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }   // in [0, 1)
    uint32_t within(const Range& range) {
        return range.least + static_cast<uint32_t>(uniform() * (double{1} + range.most - range.least));
    }
    double gap(double rate) { return -std::log1p(-uniform()) / rate; }              // exponential

private:
    std::mt19937_64 random_;
};

Status check(const Shape& shape) {
    const auto bad = [](const Range& range) { return range.least == 0 || range.least > range.most || range.most > kTokensMax; };
    if (shape.requests == 0 || shape.concurrency == 0 || shape.turns == 0 || bad(shape.prompt_tokens) || bad(shape.output_tokens)) {
        return invalid_argument("a run needs at least one request, one lane, one turn, and lengths of 1 to a million tokens");
    }
    if (shape.turns > 1 && (shape.rate > 0 || shape.shared_tokens > 0)) {
        return invalid_argument("chats of several turns go on as fast as they are answered: no rate, no shared prefix");
    }
    if (shape.late_tokens > 0 && (shape.rate > 0 || shape.turns > 1)) {
        return invalid_argument("a late prompt comes to streams that are sent at once: no rate, no turns");
    }
    if (!(shape.shared_share >= 0 && shape.shared_share <= 1)) {
        return invalid_argument("the share of prompts with the shared prefix is a number from 0 to 1");
    }
    return Ok{};
}

void add_prompts(Workload& workload, const Shape& shape, uint64_t nonce, Draw& draw) {
    const std::string shared = shared_text(nonce, shape.shared_tokens);
    for (uint32_t i = 0; i < shape.requests; ++i) {
        const bool first_turn = i % shape.turns == 0;
        const uint32_t whole = first_turn ? draw.within(shape.prompt_tokens) : shape.turn_tokens;
        const bool shares = draw.uniform() < shape.shared_share && shape.shared_tokens > 0;
        const uint32_t own = shares ? std::max(whole, shape.shared_tokens + kOwnTokensMin) - shape.shared_tokens : whole;
        workload.prompts.push_back((shares ? shared : std::string()) + own_text(nonce, i, own));
        workload.output_tokens.push_back(draw.within(shape.output_tokens));
    }
}

}  // namespace

Result<Range> parse_range(std::string_view text) {
    const auto number = [](std::string_view part) -> uint32_t {
        uint32_t value = 0;
        const auto [end, failure] = std::from_chars(part.data(), part.data() + part.size(), value);
        return failure == std::errc() && end == part.data() + part.size() ? value : 0;
    };
    const size_t dash = text.find('-');
    const uint32_t least = number(text.substr(0, dash));
    const uint32_t most = dash == std::string_view::npos ? least : number(text.substr(dash + 1));
    if (least == 0 || most < least || most > kTokensMax) {
        return invalid_argument(fmt::format("\"{}\" is no length in tokens such as 300 or 128-1024", text));
    }
    return Range{least, most};
}

Result<Workload> bench_workload(const Shape& shape, uint64_t nonce) {
    GANTRY_TRY(check(shape));
    Workload workload;
    workload.kind = Workload::Kind::kBench;
    workload.concurrency = shape.concurrency;
    workload.requests = shape.requests;
    workload.turns = shape.turns;
    workload.max_tokens = shape.output_tokens.most;
    workload.seed = nonce;
    Draw draw(nonce);
    add_prompts(workload, shape, nonce, draw);
    if (shape.rate > 0) {
        Draw arrivals(nonce ^ 0xa881);   // Of its own: the gaps keep their proportions when the lengths change.
        double at = 0;
        for (uint32_t i = 0; i < shape.requests; ++i) {
            at += arrivals.gap(shape.rate);
            workload.arrivals_s.push_back(at);
        }
        workload.offered_rate = at > 0 ? shape.requests / at : 0;
    }
    if (shape.late_tokens > 0) {
        workload.arrivals_s.assign(shape.requests, 0);
        workload.arrivals_s.push_back(shape.late_after_s);
        workload.prompts.push_back(own_text(nonce, shape.requests, shape.late_tokens));
        workload.output_tokens.push_back(kLateOutputTokens);
        ++workload.requests;
    }
    return workload;
}

}  // namespace gantry::bench
