#pragma once
// The options of `gantry keys` and `gantry users` that say how much may be used, and how a list shows it.

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/context.h"

namespace gantry::cli {

struct LimitOptions {
    std::string rpm, tpm, concurrent, monthly_tokens;   // numbers, "none", or empty: not given
    std::vector<std::string> models;                    // "none" alone: all
};
void add_limit_options(CLI::App& verb, LimitOptions& options);

// Puts "limits" and "models" into a body, as far as they were given. kInvalidArgument says which one can't be read.
Status put_limits(const LimitOptions& options, json::object& body);

// "60", "10k", "2M", "1.5G" (of decimal thousands); from 1 on.
Result<uint64_t> parse_amount(std::string_view text);

// "60 rpm, 10k tpm, 2 at once, 2M a month, inference only, models a,b"; "none".
std::string limits_text(const json::object& key_or_user);

}  // namespace gantry::cli
