// Percentiles and the sums of a run. Nearest rank: the p-th percentile of n sorted values is value number ceil(p/100 * n), so
// that it is always one that was really measured.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bench/bench.h"

namespace gantry::bench {
namespace {

double nearest_rank(const std::vector<double>& sorted, double percent) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100.0 * static_cast<double>(sorted.size())));
    return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

// -1: one token has no time per further token.
double tpot_of(const RequestSample& sample) {
    return sample.output_tokens >= 2 && !sample.token_ms.empty() ? (sample.e2e_ms - sample.ttft_ms) / (sample.output_tokens - 1) : -1;
}

}  // namespace

Summary summarize(std::vector<double> values) {
    Summary summary;
    if (values.empty()) {
        return summary;
    }
    std::sort(values.begin(), values.end());
    summary.mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
    summary.p50 = nearest_rank(values, 50);
    summary.p90 = nearest_rank(values, 90);
    summary.p99 = nearest_rank(values, 99);
    summary.max = values.back();
    return summary;
}

bool keeps(const Slo& slo, const RequestSample& sample) {
    return sample.ok && !sample.token_ms.empty() && (slo.ttft_ms == 0 || sample.ttft_ms <= slo.ttft_ms) &&
           (slo.tpot_ms == 0 || tpot_of(sample) <= slo.tpot_ms);
}

void finish(Run& run) {
    run.slo_met = 0;
    run.prompt_tokens = run.output_tokens = run.cached_tokens = run.requests_ok = run.requests_failed = 0;
    std::vector<double> ttft;
    std::vector<double> tpot;
    std::vector<double> itl;
    std::vector<double> e2e;
    for (const RequestSample& sample : run.samples) {
        if (!sample.ok) {
            ++run.requests_failed;
            continue;
        }
        ++run.requests_ok;
        run.slo_met += run.slo && keeps(*run.slo, sample) ? 1 : 0;
        run.prompt_tokens += sample.prompt_tokens;
        run.output_tokens += sample.output_tokens;
        run.cached_tokens += sample.cached_tokens;
        e2e.push_back(sample.e2e_ms);
        if (sample.token_ms.empty()) {
            continue;  // An answer without a token has no first one.
        }
        ttft.push_back(sample.ttft_ms);
        if (tpot_of(sample) >= 0) {
            tpot.push_back(tpot_of(sample));
        }
        for (size_t i = 1; i < sample.token_ms.size(); ++i) {
            itl.push_back(sample.token_ms[i] - sample.token_ms[i - 1]);
        }
    }
    run.throughput_tok_s = run.wall_s > 0 ? run.output_tokens / run.wall_s : 0;
    run.ttft_ms = summarize(std::move(ttft));
    run.tpot_ms = summarize(std::move(tpot));
    run.itl_ms = summarize(std::move(itl));
    run.e2e_ms = summarize(std::move(e2e));
}

void cap_samples(Run& run, size_t samples, size_t token_times) {
    if (run.samples.size() > samples) {
        run.samples_left_out += run.samples.size() - samples;
        run.samples.resize(samples);
        run.samples.shrink_to_fit();
    }
    size_t kept = 0;
    for (RequestSample& sample : run.samples) {
        if (kept + sample.token_ms.size() <= token_times) {
            kept += sample.token_ms.size();
            continue;
        }
        sample.token_ms = {};
        sample.token_ms_left_out = true;
    }
}

void append_round(Run& into, Run round) {
    for (RequestSample& sample : round.samples) {
        sample.start_s += into.wall_s;
        into.samples.push_back(std::move(sample));
    }
    into.concurrency = round.concurrency;
    into.wall_s += round.wall_s;
    into.client_cpu_s += round.client_cpu_s;
    finish(into);
}

}  // namespace gantry::bench
