#include "backends/backends.h"

#include "backends/table.h"

namespace gantry::backends {

const Backend& backend(BackendKind kind) {
    switch (kind) {
        case BackendKind::kEngine: return engine_backend();
        case BackendKind::kLlamaServer: return llama_server_backend();
        case BackendKind::kVllm: return vllm_backend();
        case BackendKind::kSglang: return sglang_backend();
        case BackendKind::kMindie: return mindie_backend();
        case BackendKind::kCustom: return custom_backend();
    }
    GANTRY_ASSERT(false, "a backend of every kind is in the table");
    return engine_backend();
}

}  // namespace gantry::backends
