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

std::vector<BackendProgram> find_programs(const std::vector<Device>& devices) {
    const BackendOptions plain;
    std::vector<BackendProgram> out;
    for (const BackendKind kind : kBackendKinds) {
        if (kind == BackendKind::kCustom) continue;   // its program is the deployment's to name
        const Backend& one = backend(kind);
        BackendProgram& found = out.emplace_back();
        found.backend = to_string(kind);
        const Result<std::string> path = one.program(plain);
        if (!path.ok()) continue;
        found.path = *path;
        found.version = one.version(plain);
        for (const Device& device : devices) {
            if (auto refusal = one.program_refuses(plain, device)) found.refusals.push_back({device.vendor, device.index, refusal->reason});
        }
    }
    return out;
}

bool takes_pictures(BackendKind kind, const BackendOptions& options, const ModelMeta& meta) {
    if (kind == BackendKind::kEngine) return false;
    if (kind != BackendKind::kLlamaServer || meta.format.empty()) return true;
    return meta.modality == "vision" && !flag_text(options, {"--no-mmproj", "--no-mmproj-auto"});
}

}  // namespace gantry::backends
