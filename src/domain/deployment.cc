#include "domain/deployment.h"

#include <cctype>

namespace gantry {

const char* to_string(BackendKind kind) {
    switch (kind) {
        case BackendKind::kEngine: return "engine";
        case BackendKind::kLlamaServer: return "llama-server";
        case BackendKind::kVllm: return "vllm";
        case BackendKind::kSglang: return "sglang";
        case BackendKind::kMindie: return "mindie";
        case BackendKind::kCustom: return "custom";
    }
    return "engine";
}

std::optional<BackendKind> backend_kind_from(const std::string& text) {
    for (const BackendKind kind : kBackendKinds) {
        if (text == to_string(kind)) return kind;
    }
    return std::nullopt;
}

bool valid_deployment_name(const std::string& name) {
    if (name.empty() || name.size() > 128 || !std::isalnum(static_cast<unsigned char>(name[0]))) return false;
    for (const char c : name) {
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != ':' && c != '/' && c != '-') {
            return false;
        }
    }
    return name.find("..") == std::string::npos && name.find("//") == std::string::npos && name.back() != '/';
}

}  // namespace gantry
