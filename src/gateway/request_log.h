#pragma once
// What the gateway adds to a request's line in the log (http::Exchange::log_fields): whose it was, where it went, what it took.
// Never a word of a prompt or an answer. Pure.

#include <string>
#include <string_view>

#include "domain/usage.h"
#include "domain/user.h"

namespace gantry::gateway {

// "trace=0af7... user=ann key=key_1 model=tiny instance=ins_0 op=chat tokens=11+2 cached=8 ttft=12ms error=...": fields that are
// empty are left out. `error`: the code of the answer's error; empty: none.
std::string log_fields(const Principal& who, const UsageRecord& record, std::string_view traceparent, std::string_view error);

}  // namespace gantry::gateway
