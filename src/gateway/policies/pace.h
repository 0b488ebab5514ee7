#pragma once
// How long an instance will take for its work, by what it was seen to do. Pure values, no clock.
//
// Work is counted in tokens to write; a token to read costs a tenth of one. An instance with n requests is taken to be sqrt(n)
// times as fast as with one: batches help, though not all the way. So the pace of an instance that had little to do and that
// of a busy one can be compared.

#include <cstdint>

namespace gantry::gateway {

double work_of(uint64_t prompt_tokens, uint64_t completion_tokens);
// `pace`: work a second of one request alone, > 0.
double seconds_to_drain(double work, uint32_t requests, double pace);

class Pace {
public:
    // So many ran for so long. With none it is forgotten by and by: an instance that was slow for a while (a neighbour's load, a cut in
    // the network) gets no requests while others are idle, and could never show that it is as fast as they are again.
    void busy(uint32_t requests, double seconds);
    void done(double work) { work_ += work; }
    // Work a second of one request alone; 0: not known yet.
    double of_one() const;

private:
    // Sums that are halved now and then, so that what is long ago counts less.
    double work_ = 0;
    double effort_ = 0;   // seconds times sqrt(requests)
};

}  // namespace gantry::gateway
