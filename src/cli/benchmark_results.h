#pragma once
// How a benchmark of the server is told to a person: its state, its figures, several side by side.

#include <string>
#include <vector>

#include "cli/client.h"
#include "cli/output.h"

namespace gantry::cli {

Colour colour_of_benchmark(const std::string& state);
std::string state_of_benchmark(const json::object& benchmark);   // "running 42 %", "queued, 2 before it"

// What was asked, what serves, the figures, what went wrong; kFailed where it has failed.
int print_benchmark(const Context& context, const json::object& benchmark);
// Follows it to its end; its last state, with its result.
Result<json::object> follow_benchmark(const Context& context, const ApiClient& client, const std::string& id);
// Figures side by side: a column a run.
int print_benchmarks(const Context& context, const json::array& benchmarks);

}  // namespace gantry::cli
