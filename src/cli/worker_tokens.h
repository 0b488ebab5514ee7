#pragma once
// The part of `gantry workers` that makes, lists and revokes join tokens.

#include "cli/context.h"

namespace gantry::cli {

void add_worker_tokens(CLI::App& workers, Context& context);

}  // namespace gantry::cli
