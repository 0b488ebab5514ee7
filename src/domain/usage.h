#pragma once
// One usage record a request, finished or not.

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

struct UsageRecord {
    std::string request_id;
    WallTime at{};
    UserId user_id;
    ApiKeyId key_id;
    std::string model;              // the public name
    InstanceId instance_id;
    std::string operation;          // gateway.cc's table of operations names them: "chat", "response", ...
    int status = 0;                 // HTTP status sent
    bool aborted = false;           // the client left before the end
    bool estimated = false;         // the engine gave no usage
    uint32_t prompt_tokens = 0;
    uint32_t cached_tokens = 0;
    uint32_t completion_tokens = 0;
    uint32_t reasoning_tokens = 0;
    uint32_t ttft_ms = 0;
    uint32_t duration_ms = 0;
};

}  // namespace gantry
