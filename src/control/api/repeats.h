#pragma once
// Idempotency-Key: a client that can't know whether its request was done (the answer never came) sends it again with the same
// key, and gets the answer of the first time, with `idempotent-replayed: true`, instead of a second key, token or deployment.
//
// A key is 1 to 255 printable characters, its owner's alone, and stands for one request: method, target and body. It is kept for
// kRepeatsKept, the newest store::kKeptAnswersMax of all owners, over restarts. Only successes are kept: what failed changed
// nothing, so that its repeat is tried anew. Answers may hold a secret that is shown once, so they are sealed. Blocks on the disk.

#include <optional>
#include <string>

#include "control/api/api.h"

namespace gantry::control {

inline constexpr std::chrono::hours kRepeatsKept{24};
inline constexpr char kIdempotencyKey[] = "idempotency-key";

// What a request's key says; lives as long as the request is worked on.
class Repeat {
public:
    Repeat(ApiContext& api, const Call& call);   // call.who is somebody
    ~Repeat();
    Repeat(const Repeat&) = delete;
    Repeat& operator=(const Repeat&) = delete;

    // The answer without doing anything: that of the first time, or what is wrong with the key. nullopt: go on.
    std::optional<Answer> answer();
    // In the transaction of the change itself.
    Status keep(const Answer& answer);

private:
    std::optional<Answer> kept() const;

    ApiContext& api_;
    const Call& call_;
    const std::string text_;       // empty: the request has no key
    std::string key_, request_;    // digests
    bool entered_ = false;
};

}  // namespace gantry::control
