#include "models/model_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "models/config_parts.h"
#include "models/config_reader.h"
#include "models/gguf_names.h"
#include "models/gguf_reader.h"
#include "models/limits.h"
#include "models/safetensors_reader.h"
#include "models/whisper_reader.h"

namespace gantry::models {
namespace {

constexpr size_t kNamesMax = 20'000;
constexpr uint64_t kConfigBytesMax = 4ull << 20;
constexpr uint64_t kIndexBytesMax = 32ull << 20;
constexpr size_t kNamed = 4;   // of many, in an error

using Names = std::vector<std::string>;

bool holds(const Names& names, const std::string& name) { return std::binary_search(names.begin(), names.end(), name); }

Names ending_in(const Names& names, std::string_view ending) {
    Names out;
    std::copy_if(names.begin(), names.end(), std::back_inserter(out), [&](const auto& name) { return name.ends_with(ending); });
    return out;
}

// "a, b, c, d and 3 more"
std::string listed(const Names& names) {
    Names first;
    for (size_t i = 0; i < std::min(names.size(), kNamed); ++i) first.push_back(shown(names[i]));
    const std::string text = fmt::format("{}", fmt::join(first, ", "));
    return names.size() > kNamed ? fmt::format("{} and {} more", text, names.size() - kNamed) : text;
}

// A JSON file of the folder; its errors name it.
Result<json::object> json_of(Reading& reading, const std::string& folder, const std::string& name, uint64_t bytes_max) {
    auto read = reading.json_file(folder + "/" + name, bytes_max);
    return read ? std::move(read) : Result<json::object>(in_file(name, read.error()));
}

// The weights' files of a folder.
struct WeightFiles {
    Names files;                  // that are there
    uint64_t promised_bytes = 0;  // where none is: what the index says
};

// The files that an index names: each a plain name, so that none leads out of the folder.
Result<WeightFiles> indexed_files(Reading& reading, const std::string& folder, const std::string& index_name, const Names& names) {
    const auto index = json_of(reading, folder, index_name, kIndexBytesMax);
    if (!index) return index.error();
    Fields fields(*index);
    const json::object* const map = fields.object("weight_map");
    if (map == nullptr) return invalid_model(index_name + ": it has no weight_map");
    std::set<std::string> files;
    for (const auto& [tensor, file] : *map) {
        const std::string name = file.is_string() ? std::string(file.get_string()) : std::string();
        if (!plain_name(name)) {
            return invalid_model(fmt::format("{}: tensor '{}' is in '{}', which is no name of a file beside it", index_name,
                                             shown(tensor), shown(name)));
        }
        files.insert(name);
    }
    if (files.size() > kPartsMax) return invalid_model(fmt::format("{}: it names more than {} files", index_name, kPartsMax));
    Names missing;
    std::copy_if(files.begin(), files.end(), std::back_inserter(missing), [&](const auto& name) { return !holds(names, name); });
    if (missing.size() == files.size()) {   // not downloaded yet
        const json::object* const metadata = fields.object("metadata");
        return WeightFiles{{}, metadata != nullptr ? Fields(*metadata).number({"total_size"}, UINT64_MAX >> 1) : 0};
    }
    if (!missing.empty()) {
        return invalid_model(fmt::format("{} of the {} files that {} names are missing: {}", missing.size(), files.size(),
                                         index_name, listed(missing)));
    }
    return WeightFiles{Names(files.begin(), files.end()), 0};
}

Result<WeightFiles> weight_files(Reading& reading, const std::string& folder, const Names& names) {
    const Names indices = ending_in(names, ".safetensors.index.json");
    const std::string usual = "model.safetensors.index.json";
    if (!indices.empty()) return indexed_files(reading, folder, holds(indices, usual) ? usual : indices.front(), names);
    Names files = ending_in(names, ".safetensors");
    // Mistral's repositories hold the same weights twice; adapters are none of the model's.
    if (holds(files, "model.safetensors")) return WeightFiles{{"model.safetensors"}, 0};
    std::erase_if(files, [](const std::string& name) { return name.starts_with("adapter_"); });
    const auto twice = [](const std::string& name) { return name.starts_with("consolidated"); };
    if (!std::all_of(files.begin(), files.end(), twice)) std::erase_if(files, twice);
    if (files.size() > kPartsMax) return invalid_model(fmt::format("its folder holds more than {} safetensors files", kPartsMax));
    return WeightFiles{std::move(files), 0};
}

// Adds one file's tensors to `tally` and its size to `file_bytes`.
Status add_file(Reading& reading, const std::string& path, const WeightRules& rules, WeightTally& tally, uint64_t& file_bytes) {
    const auto source = reading.open(path);
    if (!source) return source.error();
    if (source->size > kModelBytesMax - file_bytes) return invalid_model("its files are larger than a pebibyte");
    file_bytes += source->size;
    return read_safetensors(*source, rules, tally);
}

// Sums the files up into `meta`. An error names the file.
Status add_weights(Reading& reading, const std::string& folder, const Names& files, const WeightRules& rules, ModelMeta& meta) {
    WeightTally tally;
    uint64_t file_bytes = 0;
    for (const std::string& name : files) {
        const Status added = add_file(reading, folder + "/" + name, rules, tally, file_bytes);
        if (!added) return in_file(shown(name), added.error());
    }
    if (meta.layers == 0) meta.layers = tally.layers_seen();
    meta.file_bytes = file_bytes;
    meta.parameter_count = tally.parameters();
    meta.weights = tally.by_place(meta.layers);
    meta.bytes_of_type = tally.bytes_of_type();
    if (meta.dtype.empty()) meta.dtype = tally.most_floats();
    return Ok{};
}

bool has_chat_template(Reading& reading, const std::string& folder, const Names& names) {
    if (holds(names, "chat_template.jinja") || holds(names, "chat_template.json")) return true;
    if (!holds(names, "tokenizer_config.json")) return false;
    const auto tokenizer = reading.json_file(folder + "/tokenizer_config.json", kConfigBytesMax);
    return tokenizer && Fields(*tokenizer).has("chat_template");   // a hint: a file that can't be read says no
}

// Beside the weights of Ascend's tools: "w8a8" of {"model_quant_type": "W8A8", ...}; of NVIDIA's: "nvfp4" of
// {"quantization": {"quant_algo": "NVFP4"}}.
Status take_description(Reading& reading, const std::string& folder, const Names& names, Config& config) {
    size_t descriptions = 0;
    for (const std::string& name : names) {
        const bool ascend = name.starts_with("quant_model_description") && name.ends_with(".json");
        if (!ascend && name != "hf_quant_config.json") continue;
        if (++descriptions > 4) return invalid_model("its folder holds more than 4 descriptions of its quantization");
        const auto description = json_of(reading, folder, name, kIndexBytesMax);
        if (!description) return description.error();
        const json::object* const inner = ascend ? &*description : Fields(*description).object("quantization");
        if (inner == nullptr) continue;
        const std::string type = lowered(Fields(*inner).text(ascend ? "model_quant_type" : "quant_algo"));
        if (type.empty() || type.size() > 32 || type == "float") continue;
        config.meta.quantization = type;
        config.rules.packed_bits = type.find('4') != std::string::npos ? 4 : 8;
        return Ok{};
    }
    return Ok{};
}

Result<ModelMeta> read_transformers(Reading& reading, const std::string& folder, const Names& names) {
    const auto json = json_of(reading, folder, "config.json", kConfigBytesMax);
    if (!json) return json.error();
    auto config = read_config(*json);
    if (!config) return config.error();
    ModelMeta& meta = config->meta;
    if (holds(names, "1_Pooling")) {
        const auto inner = list_model_folder(folder + "/1_Pooling", kNamesMax);   // a folder, and no link to one elsewhere
        if (!inner) return in_file("1_Pooling", inner.error());
        const auto pooling = json_of(reading, folder, "1_Pooling/config.json", kConfigBytesMax);
        if (!pooling) return pooling.error();
        const std::string mode = pooling_of_module(*pooling);
        meta.modality = "embedding";
        if (!mode.empty()) meta.pooling = mode;
    }
    GANTRY_TRY(take_description(reading, folder, names, *config));
    meta.has_chat_template = has_chat_template(reading, folder, names);
    const auto files = weight_files(reading, folder, names);
    if (!files) return files.error();
    if (!files->files.empty()) GANTRY_TRY(add_weights(reading, folder, files->files, config->rules, meta));
    if (files->promised_bytes > 0) meta.file_bytes = files->promised_bytes;
    return std::move(meta);
}

// diffusers: a pipeline of components, each in a folder of its own with its weights.
Result<ModelMeta> read_pipeline(Reading& reading, const std::string& folder) {
    const auto index = json_of(reading, folder, "model_index.json", kConfigBytesMax);
    if (!index) return index.error();
    ModelMeta meta;
    meta.format = "safetensors";
    meta.modality = "image";
    meta.architecture = Fields(*index).text("_class_name");
    WeightTally tally;
    uint64_t file_bytes = 0;
    size_t components = 0;
    for (const auto& [component, value] : *index) {
        if (component.starts_with('_') || !value.is_array()) continue;
        if (!plain_name(std::string(component)) || ++components > 64) {
            return invalid_model(fmt::format("model_index.json: '{}' is no component's name", shown(component)));
        }
        const std::string inner = folder + "/" + std::string(component);
        const auto names = list_model_folder(inner, kNamesMax);
        if (!names && names.error().code == ErrorCode::kNotFound) continue;   // the safety checker is often left out
        if (!names) return in_file(shown(component), names.error());
        auto files = weight_files(reading, inner, *names);
        if (!files) return in_file(shown(component), files.error());
        // Where several precisions lie side by side, the one without a name of its own is taken.
        const auto variant = [](const std::string& name) { return name.find(".fp16.") != std::string::npos; };
        if (!std::all_of(files->files.begin(), files->files.end(), variant)) std::erase_if(files->files, variant);
        for (const std::string& name : files->files) {
            const Status added = add_file(reading, inner + "/" + name, {}, tally, file_bytes);
            if (!added) return in_file(shown(component), added.error());
        }
    }
    meta.file_bytes = file_bytes;
    meta.parameter_count = tally.parameters();
    meta.weights = tally.by_place(0);
    meta.weights.other += std::exchange(meta.weights.embedding, 0) + std::exchange(meta.weights.output, 0);
    meta.bytes_of_type = tally.bytes_of_type();
    meta.dtype = tally.most_floats();
    return meta;
}

// The file at `path`, and what the tower at `tower` adds to it; empty: none.
Result<ModelMeta> read_with_tower(Reading& reading, const std::string& path, const std::string& tower) {
    auto meta = read_gguf_file(reading, path);
    if (!meta || tower.empty()) return meta;
    const auto read = read_gguf_file(reading, tower);
    if (!read) return in_file(shown(tower.substr(tower.rfind('/') + 1)), read.error());
    add_tower(*read, *meta);
    return meta;
}

// One GGUF model, in one file or split; a tower for pictures beside it counts with it.
Result<ModelMeta> read_gguf_folder(Reading& reading, const std::string& folder, const Names& ggufs) {
    Names models = ggufs;
    std::erase_if(models, [](const std::string& name) {
        const auto part = part_of(name);
        return is_tower(name) || is_statistics(name) || (part && part->number != 1);
    });
    if (models.empty()) {
        return invalid_model("its folder holds no whole model: the first part, or the file beside mmproj, is missing");
    }
    if (models.size() > 1) {
        return invalid_model(fmt::format("its folder holds several models: {}; give the path of one of them", listed(models)));
    }
    const auto tower = tower_of(models[0], ggufs);
    const auto meta = read_with_tower(reading, folder + "/" + models[0], tower ? folder + "/" + *tower : std::string());
    return meta ? meta : Result<ModelMeta>(in_file(shown(models[0]), meta.error()));
}

Result<ModelMeta> read_folder(Reading& reading, const std::string& folder) {
    const auto names = list_model_folder(folder, kNamesMax);
    if (!names) return names.error();
    const Names ggufs = ending_in(*names, ".gguf");
    if (holds(*names, "model_index.json")) return read_pipeline(reading, folder);
    if (holds(*names, "config.json") && (ggufs.empty() || !ending_in(*names, ".safetensors").empty())) {
        return read_transformers(reading, folder, *names);
    }
    if (!ggufs.empty()) return read_gguf_folder(reading, folder, ggufs);
    return invalid_model("its folder holds neither config.json, model_index.json nor a .gguf file");
}

bool is_folder(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Result<ModelMeta> read_any(Reading& reading, const std::string& path) {
    if (path.find('\0') == std::string::npos && is_folder(path)) return read_folder(reading, path);
    if (!path.ends_with(".safetensors")) {
        const auto source = reading.open(path);
        if (!source) return source.error();
        if (is_whisper(*source)) return read_whisper(*source);
        const auto files = path.find('\0') == std::string::npos ? gguf_files_at(path) : std::nullopt;
        return read_with_tower(reading, path, files ? files->tower : std::string());
    }
    const size_t slash = path.rfind('/');
    ModelMeta meta;
    meta.format = "safetensors";
    GANTRY_TRY(add_weights(reading, slash == std::string::npos ? "." : path.substr(0, slash), {path.substr(slash + 1)}, {}, meta));
    return meta;
}

}  // namespace

void add_tower(const ModelMeta& tower, ModelMeta& meta) {
    meta.modality = "vision";
    meta.vision_heads = tower.vision_heads;
    meta.tower = tower.tower;
    meta.file_bytes += tower.file_bytes;
    meta.parameter_count += tower.parameter_count;
    meta.weights.other += tower.weights.total();
    for (const auto& [type, bytes] : tower.bytes_of_type) meta.bytes_of_type[type] += bytes;
}

Result<ModelMeta> read_model(const std::string& path, ReadLimits limits) {
    Reading reading(std::move(limits));
    Result<ModelMeta> meta = read_any(reading, path);
    GANTRY_TRY(reading.within());
    return meta;
}

}  // namespace gantry::models
