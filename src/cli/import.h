#pragma once
// `gantry import`.

#include "cli/context.h"

namespace gantry::cli {

void add_import(CLI::App& app, Context& context);

}  // namespace gantry::cli
