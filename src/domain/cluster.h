#pragma once
// How machines become workers: the tokens they join with, and what a worker that joined is known by (ADR 11).

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

using JoinTokenId = Id<struct JoinTokenTag>;   // 12 characters, the first part of the token's text

struct JoinToken {
    JoinTokenId id{};
    std::string name{};              // for a person: what it is for; may be empty
    std::string secret_digest{};     // hex SHA-256; the secret itself is shown once and kept nowhere
    uint32_t uses = 1;               // machines that may join with it,
    uint32_t uses_left = 1;          // and how many of these still may
    bool revoked = false;
    WallTime created_at{};
    WallTime expires_at{};
};
inline constexpr uint32_t kJoinTokenUsesMax = 1'000;

// "usable", or why not: "revoked", "used", "expired".
inline const char* state_of(const JoinToken& token, WallTime now) {
    if (token.revoked) return "revoked";
    if (token.uses_left == 0) return "used";
    return now >= token.expires_at ? "expired" : "usable";
}

// Of a worker that joined over the network. The server's own has none.
struct Membership {
    WorkerId worker_id{};
    JoinTokenId token_id{};          // it joined with
    std::string key_digest{};        // hex SHA-256 of the public key it joined with
    std::string machine_id{};        // of the machine it last ran on
    std::string address{};           // it last came from
    // The lease: instances are the worker's as long as it lasts. Ended, by counting up, once the worker was unreachable for long.
    int64_t epoch = 1;
    WallTime joined_at{};
};

}  // namespace gantry
