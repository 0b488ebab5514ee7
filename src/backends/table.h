#pragma once
// One line a backend; each is defined in the file of its name.

#include "backends/backends.h"

namespace gantry::backends {

const Backend& engine_backend();
const Backend& llama_server_backend();
const Backend& vllm_backend();
const Backend& sglang_backend();
const Backend& mindie_backend();
const Backend& custom_backend();

}  // namespace gantry::backends
