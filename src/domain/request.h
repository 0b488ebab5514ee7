#pragma once
// A request to a model while it is answered.

#include <cstdint>
#include <optional>
#include <string>

#include "base/ids.h"

namespace gantry {

// kQueued: no engine has it yet. kWaiting: an engine has it, and nothing of its answer has come. kStreaming: tokens come.
enum class RequestState { kQueued, kWaiting, kStreaming };
inline const char* to_string(RequestState state) {
    switch (state) {
        case RequestState::kQueued: return "queued";
        case RequestState::kWaiting: return "waiting";
        case RequestState::kStreaming: return "streaming";
    }
    return "";
}

struct LiveRequest {
    std::string id;
    uint64_t age_ms = 0;
    UserId user_id;
    std::string user_name;
    ApiKeyId key_id;                            // empty: a session's
    std::string peer;
    std::string model;                          // empty: not known yet, as the body has not been read
    InstanceId instance_id;                     // empty: none yet
    std::string operation;
    bool stream = false;
    RequestState state = RequestState::kQueued;
    uint64_t body_bytes = 0;                    // as sent to the engine
    std::optional<uint32_t> prompt_tokens{};    // where the engine has told it
    uint32_t completion_tokens = 0;             // passed on so far, of a stream
};

}  // namespace gantry
