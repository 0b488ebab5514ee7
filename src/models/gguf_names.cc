#include "models/gguf_names.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <tuple>

namespace gantry::models {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNamesMax = 20'000;   // of a folder; beyond it nothing is looked for

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return text;
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }
std::string folder_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

bool is_quantization(std::string_view word) {
    for (const std::string_view whole : {"F16", "BF16", "F32", "FP16", "FP32", "MXFP4", "FP8"}) {
        if (word == whole) return true;
    }
    if (word.starts_with('I') || word.starts_with('T')) word.remove_prefix(1);
    return word.size() >= 3 && word[0] == 'Q' && word[1] >= '1' && word[1] <= '8' && word[2] == '_';
}

// The lower the better: every device computes with F16, not every one with BF16; a tower is small, so F32 is no harm.
int worth_of(const std::string& tower) {
    const std::string type = quantization_of(base_name(tower));
    return type == "F16" || type == "FP16" ? 0 : type == "BF16" ? 1 : type == "Q8_0" ? 2 : 3;
}

}  // namespace

bool is_gguf(const std::string& path) { return upper(path).ends_with(".GGUF"); }
bool is_tower(const std::string& path) { return is_gguf(path) && upper(base_name(path)).find("MMPROJ") != std::string::npos; }
bool is_statistics(const std::string& path) { return upper(path).ends_with("IMATRIX.GGUF"); }

std::string quantization_of(const std::string& path) {
    // From the end of the name to its beginning, then of its folder: "Q4_K_M", "IQ2_XXS", "UD-Q4_K_XL", "BF16", "F16", "MXFP4".
    std::string text = upper(path);
    if (text.ends_with(".GGUF")) text.resize(text.size() - 5);
    while (!text.empty()) {
        const size_t cut = text.find_last_of("-./");
        const std::string word = text.substr(cut == std::string::npos ? 0 : cut + 1);
        if (is_quantization(word)) return word;
        if (cut == std::string::npos) break;
        text.resize(cut);
    }
    return {};
}

std::string core_of(const std::string& path) {
    const auto part = part_of(path);
    std::string text = upper(base_name(part ? part->stem : path));
    if (text.ends_with(".GGUF")) text.resize(text.size() - 5);
    std::string core;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find_first_of("-.", begin), text.size());
        const std::string word = text.substr(begin, end - begin);
        const bool says_nothing = word.empty() || word == "MMPROJ" || word == "MODEL" || word == "UD" || is_quantization(word);
        if (!says_nothing) core += (core.empty() ? "" : "-") + word;
        begin = end + 1;
    }
    return core;
}

std::optional<GgufPart> part_of(const std::string& path) {
    constexpr size_t kTail = std::string_view("-00001-of-00005.gguf").size();
    if (!is_gguf(path) || path.size() <= kTail) return std::nullopt;
    const std::string tail = path.substr(path.size() - kTail);
    const auto digits = [&](size_t at) { return tail.substr(at, 5).find_first_not_of("0123456789") == std::string::npos; };
    if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || !digits(1) || !digits(10)) return std::nullopt;
    return GgufPart{static_cast<unsigned>(std::stoul(tail.substr(1, 5))), static_cast<unsigned>(std::stoul(tail.substr(10, 5))),
                    path.substr(0, path.size() - kTail)};
}

std::optional<std::string> tower_of(const std::string& model, const std::vector<std::string>& paths) {
    if (is_tower(model)) return std::nullopt;
    std::set<std::string> cores;   // of the models that there are
    std::vector<std::string> towers;
    for (const std::string& path : paths) {
        const std::string folder = folder_of(path);
        const bool near = folder.empty() || folder == folder_of(model);
        if (is_tower(path) && near) towers.push_back(path);
        if (is_gguf(path) && !is_tower(path) && !is_statistics(path)) cores.insert(core_of(path));
    }
    const std::string own = core_of(model);
    cores.insert(own);
    if (cores.size() > 1) {
        std::erase_if(towers, [&](const std::string& tower) {
            const std::string core = core_of(tower);
            return core.empty() || own.find(core) == std::string::npos;
        });
    }
    if (towers.empty()) return std::nullopt;
    const auto key = [&](const std::string& tower) {
        const size_t said = cores.size() > 1 ? core_of(tower).size() : 0;   // of two names the one that says more
        return std::tuple(folder_of(tower) != folder_of(model), std::string::npos - said, worth_of(tower), tower);
    };
    return *std::min_element(towers.begin(), towers.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
}

std::optional<GgufFiles> gguf_files_at(const std::string& path) {
    std::error_code failed;
    const bool folder = fs::is_directory(path, failed);
    if (!folder && !is_gguf(path)) return std::nullopt;
    const std::string root = folder ? path : folder_of(path).empty() ? "." : folder_of(path);
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(root, failed)) {
        std::string name = entry.path().filename().string();
        if (is_gguf(name)) names.push_back(std::move(name));
        if (names.size() > kNamesMax) return std::nullopt;
    }
    std::string model = base_name(path);
    if (folder) {
        std::vector<std::string> models = names;
        std::erase_if(models, [](const std::string& name) {
            const auto part = part_of(name);
            return is_tower(name) || is_statistics(name) || (part && part->number != 1);
        });
        if (models.size() != 1) return std::nullopt;
        model = models.front();
    }
    const auto tower = tower_of(model, names);
    return GgufFiles{folder ? root + "/" + model : path, tower ? root + "/" + *tower : std::string()};
}

}  // namespace gantry::models
