#pragma once
// Which architectures, as config.json names them ("Qwen2ForCausalLM"), a backend has code for: data, a file a backend, with
// its source and version.

#include <string_view>

namespace gantry::backends {

bool vllm_knows(std::string_view architecture);
bool mindie_knows(std::string_view architecture);

}  // namespace gantry::backends
