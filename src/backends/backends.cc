#include "backends/backends.h"

#include "backends/flags.h"
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

bool takes_pictures(BackendKind kind, const BackendOptions& options, const ModelMeta& meta) {
    if (kind == BackendKind::kEngine) return false;
    if (kind != BackendKind::kLlamaServer || meta.format.empty()) return true;
    return meta.modality == "vision" && !flag_text(options, {"--no-mmproj", "--no-mmproj-auto"});
}

}  // namespace gantry::backends
