#pragma once
// Which flags the embedded engine and llama-server take in extra_args. Those of the others stand in their own files.

#include "backends/flags.h"

namespace gantry::backends {

const FlagRules& engine_flags();         // of `gantry engine` (cli/engine.cc); cli/engine_flags_test.cc holds the two together
const FlagRules& llama_server_flags();   // of the tree pinned by third_party/sources.txt

}  // namespace gantry::backends
