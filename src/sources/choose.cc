#include "sources/choose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <string_view>

#include "models/gguf_names.h"
#include "models/model_file.h"
#include "models/whisper_reader.h"

namespace gantry::sources {
namespace {

constexpr size_t kNamed = 12;   // of many, in an error
constexpr const char* kUsual = "Q4_K_M";

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return text;
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// One model of a repository in files of its own: a GGUF file, the parts of one, or a file of whisper.cpp.
struct Single {
    std::string name;                     // of the file, or what its parts' names have in common
    std::vector<const HubFile*> files;    // the first part first
    unsigned parts = 1;
};

std::vector<Single> ggufs_of(const std::vector<const HubFile*>& files) {
    std::map<std::string, Single> models;
    for (const HubFile* const file : files) {
        if (!models::is_gguf(file->path) || models::is_tower(file->path) || models::is_statistics(file->path)) continue;
        const auto part = models::part_of(file->path);
        Single& model = models[part ? fmt::format("{} of {}", part->stem, part->count) : file->path];
        model.name = part ? part->stem : file->path;
        model.parts = part ? part->count : 1;
        model.files.push_back(file);
    }
    std::vector<Single> out;
    for (auto& [key, model] : models) {
        std::sort(model.files.begin(), model.files.end(), [](const HubFile* a, const HubFile* b) { return a->path < b->path; });
        out.push_back(std::move(model));
    }
    return out;
}

// By their names; what is in them fetch_job.cc looks at before it takes them.
std::vector<Single> whispers_of(const std::vector<const HubFile*>& files) {
    std::vector<Single> out;
    for (const HubFile* const file : files) {
        if (models::is_whisper_name(file->path)) out.push_back({file->path, {file}, 1});
    }
    return out;
}

// GGUF files, or where there are none those of whisper.cpp.
std::vector<Single> singles_of(const std::vector<const HubFile*>& files) {
    std::vector<Single> ggufs = ggufs_of(files);
    return ggufs.empty() ? whispers_of(files) : ggufs;
}

Result<Chosen> take(const Single& model) {
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

std::string listed(const std::vector<Single>& models) {
    std::map<std::string, unsigned> of_quantization;
    for (const Single& model : models) ++of_quantization[models::quantization_of(model.name)];
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min(models.size(), kNamed); ++i) {
        const std::string quantization = models::quantization_of(models[i].name);
        const bool says_which = !quantization.empty() && of_quantization[quantization] == 1;
        names.push_back(says_which ? ":" + quantization : models::shown(models[i].name));
    }
    const std::string text = fmt::format("{}", fmt::join(names, ", "));
    return models.size() > kNamed ? fmt::format("{} and {} more", text, models.size() - kNamed) : text;
}

Result<Chosen> take_quantized(const std::vector<Single>& models, const std::string& wanted) {
    std::vector<Single> fitting;
    std::copy_if(models.begin(), models.end(), std::back_inserter(fitting),
                 [&](const Single& m) { return models::quantization_of(m.name) == upper(wanted); });
    if (fitting.size() == 1) return take(fitting[0]);
    if (fitting.empty()) {
        return Error{ErrorCode::kNotFound,
                     models.empty() ? "the repository holds no GGUF file and none of whisper.cpp, so no quantization of one"
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

// Weights that may be a program: whoever unpickles them runs what stands in them.
bool may_be_pickled(const std::string& path) {
    if (models::is_whisper_name(path)) return false;
    constexpr std::array<std::string_view, 6> kEndings = {".BIN", ".PT", ".PTH", ".PKL", ".CKPT", ".PY"};
    const std::string name = upper(path);
    return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

Result<Chosen> take_named(const std::vector<Single>& models, const HubFile& file) {
    if (may_be_pickled(file.path)) {
        return invalid_argument(fmt::format("{} may hold code that runs when it is loaded, so it is not fetched; take GGUF, safetensors or "
                                            "whisper.cpp's ggml-*.bin",
                                            models::shown(file.path)),
                                "source", "unsafe_file");
    }
    for (const Single& model : models) {
        if (model.parts > 1 && std::any_of(model.files.begin(), model.files.end(),
                                           [&](const HubFile* f) { return f->path == file.path; })) return take(model);
    }
    const std::string local = base_name(file.path);
    return Chosen{{{file, local}}, local};
}

// The folder that a source is about, with its slash; empty: the whole repository.
std::string root_of(const Source& source) { return source.file.empty() ? std::string() : source.file + "/"; }

std::vector<const HubFile*> files_within(const Listing& listing, const std::string& root) {
    std::vector<const HubFile*> files;
    for (const HubFile& file : listing.files) {
        if (file.path.starts_with(root)) files.push_back(&file);
    }
    return files;
}

Result<Chosen> choose_model(const Listing& listing, const Source& source) {
    const std::string root = root_of(source);
    const std::vector<const HubFile*> files = files_within(listing, root);
    if (!source.file.empty()) {
        const std::vector<Single> all = singles_of(files_within(listing, ""));
        for (const HubFile& file : listing.files) {
            if (file.path == source.file) return take_named(all, file);
        }
        if (files.empty()) {
            return Error{ErrorCode::kNotFound,
                         fmt::format("{} has no file \"{}\"{}{}", source.repository, models::shown(source.file), all.empty() ? "" : "; there are ",
                                     listed(all)),
                         "source", "file_not_found"};
        }
    }
    const std::vector<Single> models = singles_of(files);
    if (!source.quantization.empty()) return take_quantized(models, source.quantization);
    if (models.empty() || !models::is_gguf(models[0].files[0]->path)) {   // what every engine serves comes before what whisper.cpp does
        const auto folder = take_safetensors(files, root);
        if (folder || models.empty()) return folder;
    }
    if (models.size() == 1) return take(models[0]);
    const auto usual = take_quantized(models, kUsual);
    if (usual) return usual;
    return invalid_argument(fmt::format("the repository holds {} models; choose one by its quantization or its file: {}", models.size(),
                                        listed(models)), "source",
                            "several_models");
}

}  // namespace

uint64_t Chosen::bytes() const {
    return std::accumulate(files.begin(), files.end(), uint64_t{0}, [](uint64_t sum, const ChosenFile& f) { return sum + f.file.bytes; });
}

Result<Chosen> choose_files(const Listing& listing, const Source& source) {
    auto chosen = choose_model(listing, source);
    if (!chosen || !models::is_gguf(chosen->serve)) return chosen;
    std::vector<std::string> paths;
    for (const HubFile& file : listing.files) paths.push_back(file.path);
    const auto tower = models::tower_of(chosen->files.front().file.path, paths);
    if (!tower) return chosen;
    const auto found = std::find_if(listing.files.begin(), listing.files.end(), [&](const HubFile& file) { return file.path == *tower; });
    chosen->tower = base_name(*tower);
    chosen->files.push_back({*found, chosen->tower});
    return chosen;
}

std::vector<Offer> offers(const Listing& listing, const Source& source) {
    if (!source.quantization.empty()) return {};
    std::vector<Offer> out;
    std::set<std::string> names, quantizations;
    for (const Single& model : ggufs_of(files_within(listing, root_of(source)))) {
        if (model.files.size() != model.parts) continue;
        const std::string quantization = models::quantization_of(model.name);
        names.insert(models::core_of(model.name));
        const bool says = !quantization.empty() && quantizations.insert(quantization).second;
        if (!says || names.size() > 1) return {};
        Source one = source;
        if (source.file.empty()) one.quantization = quantization;
        else one.file = model.files.front()->path;
        Offer offer{one.text(), quantization, 0};
        for (const HubFile* const file : model.files) offer.bytes += file->bytes;
        out.push_back(std::move(offer));
    }
    return out.size() > 1 ? out : std::vector<Offer>();
}

bool is_offer_of(const Source& open, const Source& chosen) {
    const bool same = open.from_hub() && open.kind == chosen.kind && open.repository == chosen.repository && open.revision == chosen.revision;
    if (!same || !open.quantization.empty()) return false;
    return open.file.empty() ? !chosen.quantization.empty() : chosen.file.starts_with(open.file + "/");
}

}  // namespace gantry::sources
