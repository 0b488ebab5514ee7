#pragma once
// Which instance takes a request: what each has to do, how fast it was seen to be, whether it fails. Threads: the io thread.

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "gateway/policies/breaker.h"
#include "gateway/policies/choose.h"
#include "gateway/policies/pace.h"
#include "gateway/policies/prefix.h"
#include "gateway/tables.h"

namespace gantry::gateway {

// What a request will be, as far as one can tell before.
struct Demand {
    uint32_t prompt_tokens = 0;
    std::optional<uint32_t> max_tokens{};    // nullopt: open
    bool writes = true;                      // false: vectors, counts
    double mean_answer = 256;                // Balancer::mean_answer(): the same for all instances, else who answered more looks idler
    std::vector<uint64_t> prefix{};          // prefix_chain() of its prompt
};

class Balancer {
    struct Load;

public:
    // `queue_limit`: requests an instance may have at once, running and waiting.
    Balancer(const Clock& clock, uint32_t queue_limit);

    // One request on one instance, as long as it lives.
    class Lease {
    public:
        Lease() = default;
        Lease(Lease&& other) noexcept;
        Lease& operator=(Lease&& other) noexcept;
        ~Lease() { release(); }
        const InstanceId& instance() const { return instance_; }
        // The prompt is read, and so many tokens are written.
        void progress(uint32_t completion_tokens);
        // What it was in the end.
        void settle(uint32_t prompt_tokens, uint32_t completion_tokens);
        void answered();   // the head of an answer came that is no failure
        // It refused, reset or answered nonsense: others go first for a while. True: its circuit opened.
        bool failed();

    private:
        friend class Balancer;
        void release();
        void do_work(double work);   // so much of all is done by now
        Balancer* balancer_ = nullptr;
        Load* load_ = nullptr;
        InstanceId instance_;
        Demand demand_;
        double expected_ = 0;        // work
        double done_ = 0;
        bool tries_ = false;         // it is what a half open circuit let pass
        bool answered_ = false;
        bool failed_ = false;
    };

    struct Choice {
        enum class Why { kChosen, kTried, kFull, kBroken };
        Why why = Why::kTried;
        size_t index = 0;            // kChosen
        int retry_after_s = 1;       // kFull, kBroken
    };
    // `tried` has a flag for each target.
    Choice choose(const std::vector<Target>& targets, const std::vector<bool>& tried, const Demand& demand);
    Lease lease(const Target& target, const Demand& demand);
    // Tokens of an answer of these, on average.
    double mean_answer(const std::vector<Target>& targets);
    uint32_t in_flight(const InstanceId& instance) const;

private:
    struct Load {
        uint32_t in_flight = 0;
        double work = 0;                     // still to do
        double completion_tokens = 256;      // of an answer, on average
        Pace pace;
        SteadyTime pace_at{};                // up to when it is counted
        SteadyTime used_at{};
        SteadyTime suspect_until{};
        Breaker breaker;
        WallTime since{};                    // Target::since
    };
    Load& load_of(const Target& target);
    void count_pace(Load& load);
    double mean_pace(const std::vector<Target>& targets);
    void note_closed(const Breaker& before, const Breaker& after);

    const Clock& clock_;
    const uint32_t queue_limit_;
    std::unordered_map<InstanceId, Load> loads_;   // its elements stay where they are
    PrefixOwners owners_;
    std::vector<Candidate> scratch_;
    uint64_t turn_ = 0;
    prometheus::Gauge& open_;
};

}  // namespace gantry::gateway
