#pragma once
// How far an engine is with loading, from what it writes into its log. Pure.
//
// A table of marks a backend: a piece of a line, and the share of the way that it stands for; of lines that count by
// themselves ("checkpoint shards:  56% Completed") the share between two. The times behind the shares differ by model and
// machine: it is a bar that moves forward, not a clock. tests/data/backends/ has recorded logs of each.

#include <string_view>

#include "domain/deployment.h"

namespace gantry::backends {

// 0..1, of the furthest mark in `log`, which may be the end of a longer one; 0: none, or the backend has no marks (the
// embedded engine tells its progress by /health, and of "custom" nothing is known).
double progress_of(BackendKind kind, std::string_view log);

}  // namespace gantry::backends
