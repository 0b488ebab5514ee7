#include "engine/sequence.h"

namespace gantry::engine {

Timings timings_of(const Sequence& sequence, SteadyTime now) {
    const auto ms = [](SteadyTime from, SteadyTime to) {
        return std::chrono::duration<double, std::milli>(to - from).count();
    };
    Timings timings;
    if (sequence.first_row_at == SteadyTime{}) {
        timings.queue_ms = ms(sequence.submitted_at, now);
        return timings;
    }
    timings.queue_ms = ms(sequence.submitted_at, sequence.first_row_at);
    if (sequence.first_token_at == SteadyTime{}) {
        timings.prefill_ms = ms(sequence.first_row_at, now);
        return timings;
    }
    timings.prefill_ms = ms(sequence.first_row_at, sequence.first_token_at);
    timings.decode_ms = ms(sequence.first_token_at, sequence.last_token_at);
    return timings;
}

}  // namespace gantry::engine
