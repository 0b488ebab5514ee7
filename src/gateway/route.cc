#include "gateway/route.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/assert.h"

namespace gantry::gateway {
namespace {

constexpr std::chrono::seconds kSuspectFor{5};
constexpr std::chrono::minutes kForgetAfter{10};   // an instance without requests
constexpr int kRetryAfterMax = 30;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }
uint64_t owner_of(const InstanceId& instance) { return std::hash<InstanceId>{}(instance); }

double completion_tokens(const Demand& demand) {
    if (!demand.writes) return 0;
    return demand.max_tokens ? std::min<double>(*demand.max_tokens, demand.mean_answer) : demand.mean_answer;
}

}  // namespace

Balancer::Balancer(const Clock& clock, uint32_t queue_limit)
    : clock_(clock), queue_limit_(queue_limit),
      open_(metrics::gauge("gantry_gateway_breakers_open", "Instances whose circuit is open: they failed in a row.")) {}

// ---- a request on an instance

Balancer::Lease::Lease(Lease&& other) noexcept { *this = std::move(other); }

Balancer::Lease& Balancer::Lease::operator=(Lease&& other) noexcept {
    if (this == &other) return *this;
    release();
    balancer_ = std::exchange(other.balancer_, nullptr);
    load_ = other.load_;
    instance_ = std::move(other.instance_);
    demand_ = std::move(other.demand_);
    expected_ = other.expected_;
    done_ = other.done_;
    tries_ = other.tries_;
    answered_ = other.answered_;
    failed_ = other.failed_;
    return *this;
}

void Balancer::Lease::do_work(double work) {
    if (work <= done_) return;
    load_->pace.done(work - done_);
    const double left_before = std::max(0.0, expected_ - done_);
    const double left = std::max(0.0, expected_ - work);
    load_->work -= left_before - left;
    done_ = work;
}

void Balancer::Lease::progress(uint32_t tokens) {
    if (balancer_ == nullptr) return;
    do_work(work_of(demand_.prompt_tokens, tokens));
    if (done_ < expected_) return;
    // Longer than most are: what is still to come is about as much as has come, so that an endless one never counts as nothing.
    const uint64_t likely = std::min<uint64_t>(2 * uint64_t{tokens}, demand_.max_tokens.value_or(UINT32_MAX));
    expected_ = std::max(expected_, work_of(demand_.prompt_tokens, likely));
    load_->work += expected_ - done_;
}

void Balancer::Lease::settle(uint32_t prompt_tokens, uint32_t tokens) {
    if (balancer_ == nullptr) return;
    do_work(work_of(prompt_tokens, tokens));
    if (demand_.writes && tokens > 0) load_->completion_tokens += (tokens - load_->completion_tokens) / 16;
}

void Balancer::Lease::answered() {
    answered_ = true;
    if (!tries_) return;
    tries_ = false;
    const Breaker before = load_->breaker;
    load_->breaker.succeeded();
    balancer_->note_closed(before, load_->breaker);
}

bool Balancer::Lease::failed() {
    if (balancer_ == nullptr || std::exchange(failed_, true)) return false;
    const SteadyTime now = balancer_->clock_.steady();
    tries_ = false;
    load_->suspect_until = now + kSuspectFor;
    load_->pace = {};   // what it did while it failed tells nothing of it when it is back
    const Breaker before = load_->breaker;
    const bool opened = load_->breaker.failed(now);
    balancer_->note_closed(before, load_->breaker);
    return opened;
}

void Balancer::Lease::release() {
    Balancer* const balancer = std::exchange(balancer_, nullptr);
    if (balancer == nullptr) return;
    GANTRY_ASSERT(load_->in_flight > 0, "a lease is released once");
    balancer->count_pace(*load_);
    load_->work -= std::max(0.0, expected_ - done_);
    if (--load_->in_flight == 0) load_->work = 0;   // what rounding left
    if (tries_) load_->breaker.gave_up();
    if (answered_ && !failed_ && load_->breaker.closed()) load_->breaker.succeeded();
}

// ---- choosing

void Balancer::note_closed(const Breaker& before, const Breaker& after) {
    if (before.closed() != after.closed()) open_.Increment(after.closed() ? -1 : 1);
}

void Balancer::count_pace(Load& load) {
    const SteadyTime now = clock_.steady();
    load.pace.busy(load.in_flight, seconds(now - load.pace_at));
    load.pace_at = load.used_at = now;
}

Balancer::Load& Balancer::load_of(const Target& target) {
    auto found = loads_.find(target.instance_id);
    if (found == loads_.end()) {
        // Those that are long gone are forgotten when one comes, so that they never add up.
        const SteadyTime oldest = clock_.steady() - kForgetAfter;
        std::erase_if(loads_, [&](const auto& entry) {
            const bool old = entry.second.in_flight == 0 && entry.second.used_at < oldest;
            if (old) note_closed(entry.second.breaker, Breaker());
            return old;
        });
        found = loads_.try_emplace(target.instance_id).first;
        found->second.since = target.since;
        found->second.used_at = clock_.steady();
    }
    Load& load = found->second;
    if (load.since != target.since) {   // it was started again: what failed is gone
        note_closed(load.breaker, Breaker());
        load.breaker = {};
        load.suspect_until = {};
        load.pace = {};
        load.since = target.since;
    }
    return load;
}

double Balancer::mean_pace(const std::vector<Target>& targets) {
    double sum = 0;
    int known = 0;
    for (const Target& target : targets) {
        const double pace = load_of(target).pace.of_one();
        sum += pace;
        known += pace > 0 ? 1 : 0;
    }
    return known == 0 ? 1 : sum / known;
}

double Balancer::mean_answer(const std::vector<Target>& targets) {
    double sum = 0;
    for (const Target& target : targets) sum += load_of(target).completion_tokens;
    return sum / static_cast<double>(std::max<size_t>(targets.size(), 1));
}

Balancer::Choice Balancer::choose(const std::vector<Target>& targets, const std::vector<bool>& tried, const Demand& demand) {
    const SteadyTime now = clock_.steady();
    const double mean = targets.size() > 1 ? mean_pace(targets) : 1;
    const std::optional<uint64_t> owner = owners_.find(demand.prefix);
    std::optional<size_t> preferred;
    size_t full = 0;
    double drain_s = kRetryAfterMax;
    SteadyTime open_until = SteadyTime::max();
    scratch_.clear();
    for (size_t i = 0; i < targets.size(); ++i) {
        Load& load = load_of(targets[i]);
        count_pace(load);
        const double pace = load.pace.of_one() > 0 ? load.pace.of_one() : mean;
        const double own = work_of(demand.prompt_tokens, static_cast<uint64_t>(completion_tokens(demand)));
        Candidate candidate;
        candidate.drain_s = seconds_to_drain(load.work + std::max(own, 1.0), load.in_flight + 1, pace);
        candidate.suspect = load.suspect_until > now;
        const bool at_limit = load.in_flight >= queue_limit_;
        candidate.barred = tried[i] || at_limit || !load.breaker.allows(now);
        if (owner == owner_of(targets[i].instance_id)) preferred = i;
        if (!tried[i] && at_limit) {
            ++full;
            drain_s = std::min(drain_s, candidate.drain_s);
        } else if (!tried[i] && candidate.barred) {
            open_until = std::min(open_until, load.breaker.open_until());
        }
        scratch_.push_back(candidate);
    }
    if (const auto index = choose_instance(scratch_, preferred, turn_++)) {
        owners_.remember(demand.prefix, owner_of(targets[*index].instance_id));
        return {Choice::Why::kChosen, *index};
    }
    const auto rounded = [](double wait_s) { return static_cast<int>(std::clamp(std::ceil(wait_s), 1.0, double{kRetryAfterMax})); };
    // A place is free long before all is done.
    if (full > 0) return {Choice::Why::kFull, 0, rounded(drain_s / queue_limit_)};
    if (open_until != SteadyTime::max()) return {Choice::Why::kBroken, 0, rounded(seconds(open_until - now))};
    return {};
}

Balancer::Lease Balancer::lease(const Target& target, const Demand& demand) {
    Load& load = load_of(target);
    count_pace(load);
    Lease lease;
    lease.balancer_ = this;
    lease.load_ = &load;
    lease.instance_ = target.instance_id;
    lease.demand_ = demand;
    lease.expected_ = work_of(demand.prompt_tokens, static_cast<uint64_t>(completion_tokens(demand)));
    lease.tries_ = load.breaker.begin();
    load.work += lease.expected_;
    ++load.in_flight;
    return lease;
}

uint32_t Balancer::in_flight(const InstanceId& instance) const {
    const auto found = loads_.find(instance);
    return found == loads_.end() ? 0 : found->second.in_flight;
}

}  // namespace gantry::gateway
