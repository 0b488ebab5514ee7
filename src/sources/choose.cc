#include "sources/choose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <optional>
#include <string_view>

#include "models/model_file.h"

namespace gantry::sources {
namespace {

constexpr size_t kNamed = 12;   // of many, in an error
constexpr const char* kUsual = "Q4_K_M";

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return text;
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_gguf(const std::string& path) { return upper(path).ends_with(".GGUF"); }
bool is_tower(const std::string& path) { return upper(base_name(path)).find("MMPROJ") != std::string::npos; }

// "NAME-00002-of-00005.gguf": the part's number, how many there are, and NAME with its folder.
struct Part {
    unsigned number = 0, count = 0;
    std::string stem;
};
std::optional<Part> part_of(const std::string& path) {
    constexpr size_t kTail = std::string_view("-00001-of-00005.gguf").size();
    if (!is_gguf(path) || path.size() <= kTail) return std::nullopt;
    const std::string tail = path.substr(path.size() - kTail);
    const auto digits = [&](size_t at) { return tail.substr(at, 5).find_first_not_of("0123456789") == std::string::npos; };
    if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || !digits(1) || !digits(10)) return std::nullopt;
    return Part{static_cast<unsigned>(std::stoul(tail.substr(1, 5))), static_cast<unsigned>(std::stoul(tail.substr(10, 5))),
        path.substr(0, path.size() - kTail)};
}

// One GGUF model of a repository: a file, or the parts of one.
struct Gguf {
    std::string name;                     // of the file, or what its parts' names have in common
    std::vector<const HubFile*> files;    // the first part first
    unsigned parts = 1;
};

std::vector<Gguf> ggufs_of(const std::vector<const HubFile*>& files) {
    std::map<std::string, Gguf> models;
    for (const HubFile* const file : files) {
        if (!is_gguf(file->path) || is_tower(file->path)) continue;
        const auto part = part_of(file->path);
        Gguf& model = models[part ? fmt::format("{} of {}", part->stem, part->count) : file->path];
        model.name = part ? part->stem : file->path;
        model.parts = part ? part->count : 1;
        model.files.push_back(file);
    }
    std::vector<Gguf> out;
    for (auto& [key, model] : models) {
        std::sort(model.files.begin(), model.files.end(), [](const HubFile* a, const HubFile* b) { return a->path < b->path; });
        out.push_back(std::move(model));
    }
    return out;
}

Result<Chosen> take(const Gguf& model) {
    const bool whole = model.files.size() == model.parts;
    if (!whole) {
        return invalid_argument(fmt::format("{} is in {} parts, of which the repository holds {}", models::shown(model.name), model.parts,
                                            model.files.size()), "source",
                                "parts_missing");
    }
    Chosen chosen;
    for (const HubFile* const file : model.files) chosen.files.push_back({*file, base_name(file->path)});
    chosen.serve = chosen.files.front().local;
    return chosen;
}

std::string listed(const std::vector<Gguf>& models) {
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min(models.size(), kNamed); ++i) {
        const std::string quantization = quantization_of(models[i].name);
        names.push_back(quantization.empty() ? models::shown(models[i].name) : ":" + quantization);
    }
    const std::string text = fmt::format("{}", fmt::join(names, ", "));
    return models.size() > kNamed ? fmt::format("{} and {} more", text, models.size() - kNamed) : text;
}

Result<Chosen> take_quantized(const std::vector<Gguf>& models, const std::string& wanted) {
    std::vector<Gguf> fitting;
    std::copy_if(models.begin(), models.end(), std::back_inserter(fitting), [&](const Gguf& m) { return quantization_of(m.name) == upper(wanted); });
    if (fitting.size() == 1) return take(fitting[0]);
    if (fitting.empty()) {
        return Error{ErrorCode::kNotFound,
                     models.empty() ? "the repository holds no GGUF file, so no quantization of one"
                                    : fmt::format("the repository holds no {}; there are {}", upper(wanted), listed(models)),
                     "source", "file_not_found"};
    }
    return invalid_argument(fmt::format("several models there are {}: name the file, as {}", upper(wanted),
                                        models::shown(fitting[0].files[0]->path)), "source",
                            "several_models");
}

// The weights by their index, or the one file; with what says how they are used.
Result<Chosen> take_safetensors(const std::vector<const HubFile*>& files, const std::string& root) {
    const auto name_of = [&](const HubFile* file) { return file->path.substr(root.size()); };
    const auto has = [&](std::string_view name) { return std::any_of(files.begin(), files.end(),
                                                                     [&](const HubFile* f) { return name_of(f) == name; }); };
    const bool indexed = has("model.safetensors.index.json"), single = has("model.safetensors");
    constexpr std::array<std::string_view, 4> kTexts = {".json", ".txt", ".jinja", ".model"};
    Chosen chosen;
    size_t weights = 0;
    for (const HubFile* const file : files) {
        const std::string name = name_of(file);
        const bool nested = name.find('/') != std::string::npos;
        if (name.ends_with(".safetensors")) {
            const bool belongs = indexed ? name.starts_with("model-") : !single || name == "model.safetensors";
            if (nested || !belongs) continue;
            ++weights;
        } else if (nested ? name != "1_Pooling/config.json"
                          : std::none_of(kTexts.begin(), kTexts.end(), [&](std::string_view ending) { return name.ends_with(ending); })) {
            continue;
        }
        chosen.files.push_back({*file, name});
    }
    if (weights == 0 || !has("config.json")) {
        return Error{ErrorCode::kNotFound,
                     "the repository holds neither a GGUF file nor safetensors with their config.json at its top; name the file or the folder",
                     "source", "file_not_found"};
    }
    return chosen;
}

// Weights that are a program: whoever unpickles them runs what stands in them.
bool is_pickled(const std::string& path) {
    constexpr std::array<std::string_view, 6> kEndings = {".BIN", ".PT", ".PTH", ".PKL", ".CKPT", ".PY"};
    const std::string name = upper(path);
    return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

Result<Chosen> take_named(const std::vector<Gguf>& models, const HubFile& file) {
    if (is_pickled(file.path)) {
        return invalid_argument(fmt::format("{} may hold code that runs when it is loaded, so it is not fetched; take GGUF or safetensors",
                                            models::shown(file.path)),
                                "source", "unsafe_file");
    }
    for (const Gguf& model : models) {
        if (model.parts > 1 && std::any_of(model.files.begin(), model.files.end(),
                                           [&](const HubFile* f) { return f->path == file.path; })) return take(model);
    }
    const std::string local = base_name(file.path);
    return Chosen{{{file, local}}, local};
}

}  // namespace

uint64_t Chosen::bytes() const {
    return std::accumulate(files.begin(), files.end(), uint64_t{0}, [](uint64_t sum, const ChosenFile& f) { return sum + f.file.bytes; });
}

std::string quantization_of(const std::string& path) {
    // From the end of the name to its beginning, then of its folder: "Q4_K_M", "IQ2_XXS", "UD-Q4_K_XL", "BF16", "F16", "MXFP4".
    std::string text = upper(path);
    if (text.ends_with(".GGUF")) text.resize(text.size() - 5);
    const auto is_one = [](std::string_view word) {
        for (const std::string_view whole : {"F16", "BF16", "F32", "FP16", "FP32", "MXFP4", "FP8"}) {
            if (word == whole) return true;
        }
        if (word.starts_with('I') || word.starts_with('T')) word.remove_prefix(1);
        return word.size() >= 3 && word[0] == 'Q' && word[1] >= '1' && word[1] <= '8' && word[2] == '_';
    };
    while (!text.empty()) {
        const size_t cut = text.find_last_of("-./");
        const std::string word = text.substr(cut == std::string::npos ? 0 : cut + 1);
        if (is_one(word)) return word;
        if (cut == std::string::npos) break;
        text.resize(cut);
    }
    return {};
}

Result<Chosen> choose_files(const Listing& listing, const Source& source) {
    std::string root;
    std::vector<const HubFile*> files;
    for (const HubFile& file : listing.files) files.push_back(&file);
    if (!source.file.empty()) {
        const std::vector<Gguf> models = ggufs_of(files);
        for (const HubFile* const file : files) {
            if (file->path == source.file) return take_named(models, *file);
        }
        root = source.file + "/";
        std::erase_if(files, [&](const HubFile* file) { return !file->path.starts_with(root); });
        if (files.empty()) {
            return Error{ErrorCode::kNotFound,
                         fmt::format("{} has no file \"{}\"{}{}", source.repository, models::shown(source.file), models.empty() ? ""
                                     : "; there are ", listed(models)),
                         "source", "file_not_found"};
        }
    }
    const std::vector<Gguf> models = ggufs_of(files);
    if (!source.quantization.empty()) return take_quantized(models, source.quantization);
    if (models.size() == 1) return take(models[0]);
    if (models.empty()) return take_safetensors(files, root);
    const auto usual = take_quantized(models, kUsual);
    if (usual) return usual;
    return invalid_argument(fmt::format("the repository holds {} models; choose one by its quantization or its file: {}", models.size(),
                                        listed(models)), "source",
                            "several_models");
}

}  // namespace gantry::sources
