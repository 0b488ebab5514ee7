#include "sources/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/ascii.h"
#include "base/json.h"
#include "base/platform/files.h"
#include "models/config_reader.h"
#include "models/gguf_of_config.h"
#include "models/model_file.h"
#include "models/whisper_reader.h"
#include "models/whisper_shape.h"

namespace gantry::sources {
namespace {

constexpr uint64_t kFileBytesMax = 4ull << 20;
constexpr size_t kEntriesMax = 2'000, kVariantsMax = 64, kTextBytesMax = 200;

// Fields of one object, each of one type; the first that is wrong is kept, and so is one that was never asked for.
class Reading {
public:
    Reading(const json::object& object, std::string where) : object_(object), where_(std::move(where)) {}

    std::string text(const char* name, bool must = true) {
        const json::value* const value = find(name, must);
        if (value == nullptr) return {};
        if (!value->is_string() || value->get_string().empty() || value->get_string().size() > kTextBytesMax) {
            fail(fmt::format("\"{}\" must be a text of 1 to {} bytes", name, kTextBytesMax));
            return {};
        }
        return std::string(value->get_string());
    }
    bool flag(const char* name) {
        const json::value* const value = find(name, false);
        if (value != nullptr && !value->is_bool()) fail(fmt::format("\"{}\" must be true or false", name));
        return value != nullptr && value->is_bool() && value->get_bool();
    }
    uint64_t number(const char* name, uint64_t most) {
        const json::value* const value = find(name, false);
        if (value == nullptr) return 0;
        json::error_code wrong;
        const auto number = value->to_number<uint64_t>(wrong);
        if (wrong || number == 0 || number > most) fail(fmt::format("\"{}\" must be a whole number from 1 to {}", name, most));
        return wrong ? 0 : number;
    }
    std::vector<std::string> texts(const char* name) {
        std::vector<std::string> out;
        const json::array* const list = array(name, false);
        if (list == nullptr) return out;
        for (const json::value& item : *list) {
            const bool good = item.is_string() && !item.get_string().empty() && item.get_string().size() <= kTextBytesMax;
            if (good) out.emplace_back(item.get_string());
            else fail(fmt::format("\"{}\" must be a list of texts", name));
        }
        return out;
    }
    const json::array* array(const char* name, bool must) {
        const json::value* const value = find(name, must);
        if (value != nullptr && !value->is_array()) fail(fmt::format("\"{}\" must be a list", name));
        return value == nullptr ? nullptr : value->if_array();
    }
    const json::object* object(const char* name, bool must) {
        const json::value* const value = find(name, must);
        if (value != nullptr && !value->is_object()) fail(fmt::format("\"{}\" must be an object", name));
        return value == nullptr ? nullptr : value->if_object();
    }
    void fail(const std::string& what) {
        if (!problem_) problem_ = invalid_argument(where_ + ": " + what, "catalogue", "invalid_catalogue");
    }
    Status done() {
        for (const auto& field : object_) {
            if (!known_.contains(std::string(field.key()))) fail(fmt::format("there is no field \"{}\"", models::shown(field.key(), 60)));
        }
        if (problem_) return *problem_;
        return Ok{};
    }

private:
    const json::value* find(const char* name, bool must) {
        known_.insert(name);
        const json::value* const value = object_.if_contains(name);
        if (value == nullptr && must) fail(fmt::format("\"{}\" is missing", name));
        return value;
    }

    const json::object& object_;
    const std::string where_;
    std::set<std::string> known_;
    std::optional<Error> problem_;
};

bool plain_id(const std::string& id) {
    return !id.empty() && id.size() <= 100 && id.front() != '-' && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    });
}

Result<BackendOptions> read_options(const json::object& object, const std::string& where) {
    Reading fields(object, where + ", options");
    BackendOptions options;
    options.context_tokens = static_cast<uint32_t>(fields.number("context_tokens", 1u << 30));
    options.max_sequences = static_cast<uint32_t>(fields.number("max_sequences", 65'536));
    options.extra_args = fields.texts("extra_args");
    GANTRY_TRY(fields.done());
    return options;
}

// What the files will say. What can't be computed of them (a tower for pictures) has `bytes`, as published.
Result<ModelMeta> meta_of(const json::object& config, const CatalogueVariant& variant, uint64_t bytes) {
    if (variant.format == "gguf") return models::gguf_of_config(config, variant.quantization);
    if (variant.format == "ggml") return models::whisper_of_config(config, variant.quantization);
    auto read = models::read_config(config);
    if (!read) return read.error();
    ModelMeta meta = std::move(read->meta);
    if (meta.file_bytes == 0 && bytes > 0) {
        meta.file_bytes = bytes;
        meta.bytes_of_type = {{meta.dtype == "float16" ? "F16" : meta.dtype == "float32" ? "F32" : "BF16", bytes}};
    }
    return meta;
}

// One object of "variants": as many variants as it has quantizations.
class VariantReader {
public:
    VariantReader(const json::object& object, const json::object& config, std::string where)
        : fields_(object, where), config_(config), where_(std::move(where)) {}

    Result<std::vector<CatalogueVariant>> read() {
        CatalogueVariant common;
        common.format = fields_.text("format");
        static const std::set<std::string> kFormats = {"gguf", "safetensors", "ggml"};
        if (!kFormats.contains(common.format)) fields_.fail("\"format\" must be \"gguf\", \"safetensors\" or \"ggml\"");
        file_ = fields_.text("file", common.format == "ggml");
        const bool named = models::is_whisper_name(file_ + ".bin") && models::plain_name(file_ + ".bin");
        if (!file_.empty() && (common.format != "ggml" || !named)) {
            fields_.fail("\"file\" must be what the files of whisper.cpp have in common, as \"ggml-base\"");
        }
        const std::string backend = fields_.text("backend");
        if (const auto kind = backend_kind_from(backend); kind && *kind != BackendKind::kCustom) common.backend = *kind;
        else fields_.fail(fmt::format("there is no backend \"{}\" that knows what a model takes", models::shown(backend, 60)));
        if (const json::object* const options = fields_.object("options", false)) {
            auto read = read_options(*options, where_);
            if (!read) return read.error();
            common.options = *std::move(read);
        }
        const std::vector<std::string> repositories = this->repositories();
        const std::vector<std::string> quantizations = fields_.texts("quantizations");
        const uint64_t bytes = fields_.number("bytes", 1ull << 50);
        json::object config = config_;
        if (const json::object* const more = fields_.object("config", false)) {
            for (const auto& field : *more) config[field.key()] = field.value();
        }
        const bool files = common.format != "safetensors";
        if (files && quantizations.empty()) fields_.fail("\"quantizations\" must name some, as the files are called");
        if (!files && quantizations.size() > 1) fields_.fail("safetensors have one quantization, or none");
        GANTRY_TRY(fields_.done());
        return with_each(common, repositories, quantizations, config, bytes);
    }

private:
    std::vector<std::string> repositories() {
        std::vector<std::string> out;
        for (const char* const hub : {"hf", "modelscope"}) {
            const std::string name = fields_.text(hub, false);
            if (name.empty()) continue;
            out.push_back(std::string(hub) + ":" + name);
            const auto source = parse_source(out.back());
            if (!source) fields_.fail(source.error().message);
            else if (source->text() != out.back() || !source->quantization.empty()) fields_.fail(fmt::format("\"{}\" must be ORG/NAME", hub));
        }
        if (out.empty()) fields_.fail("\"hf\" or \"modelscope\" must name a repository");
        return out;
    }

    Result<std::vector<CatalogueVariant>> with_each(const CatalogueVariant& common, const std::vector<std::string>& repositories,
                                                    std::vector<std::string> quantizations, json::object config, uint64_t bytes) const {
        if (quantizations.empty()) quantizations.emplace_back();
        std::vector<CatalogueVariant> out;
        for (const std::string& quantization : quantizations) {
            CatalogueVariant variant = common;
            variant.quantization = quantization;
            if (common.format == "safetensors" && !quantization.empty()) {
                config["quantization_config"] = json::object{{"quant_method", quantization}};
            }
            for (const std::string& repository : repositories) variant.sources.push_back(repository + selector(common.format, quantization));
            auto meta = meta_of(config, variant, bytes);
            if (!meta) return invalid_argument(where_ + ": " + meta.error().message, "catalogue", "invalid_catalogue");
            variant.meta = *std::move(meta);
            if (quantization.empty()) variant.quantization = variant.meta.dtype;
            out.push_back(std::move(variant));
        }
        return out;
    }

    // What follows a repository's name.
    std::string selector(const std::string& format, const std::string& quantization) const {
        if (format == "gguf") return ":" + quantization;
        if (format != "ggml") return {};
        const std::string ending = quantization == "F16" ? "" : "-" + lowered(quantization);   // whisper.cpp's own names
        return "/" + file_ + ending + ".bin";
    }

    Reading fields_;
    const json::object& config_;
    const std::string where_;
    std::string file_;   // of "ggml"
};

Result<CatalogueEntry> read_entry(const json::object& object, size_t number) {
    const json::value* const named = object.if_contains("id");
    const std::string where = named != nullptr && named->is_string() ? models::shown(named->get_string(), 100) : fmt::format("model {}", number + 1);
    Reading fields(object, where);
    CatalogueEntry entry;
    entry.id = fields.text("id");
    if (!plain_id(entry.id)) fields.fail("\"id\" must be of small letters, digits, dots and hyphens");
    entry.name = fields.text("name");
    entry.family = fields.text("family");
    entry.modality = fields.text("modality");
    static const std::set<std::string> kModalities = {"text", "vision", "embedding", "rerank", "transcription", "speech", "image"};
    if (!kModalities.contains(entry.modality)) fields.fail("\"modality\" must be text, vision, embedding, rerank, transcription, speech or image");
    entry.licence = fields.text("licence");
    entry.gated = fields.flag("gated");
    entry.abilities = fields.texts("abilities");
    entry.parameters = fields.number("parameters", 1ull << 50);
    const json::object* const config = fields.object("config", true);
    const json::array* const variants = fields.array("variants", true);
    if (variants != nullptr && (variants->empty() || variants->size() > kVariantsMax)) {
        fields.fail(fmt::format("there must be 1 to {} variants", kVariantsMax));
    }
    GANTRY_TRY(fields.done());
    for (size_t i = 0; i < variants->size(); ++i) {
        const std::string here = fmt::format("{}, variant {}", where, i + 1);
        const json::object* const one = (*variants)[i].if_object();
        if (one == nullptr) return invalid_argument(here + ": it must be an object", "catalogue", "invalid_catalogue");
        auto read = VariantReader(*one, *config, here).read();
        if (!read) return read.error();
        std::move(read->begin(), read->end(), std::back_inserter(entry.variants));
    }
    entry.context_length = entry.variants.front().meta.context_length;
    if (entry.parameters == 0) entry.parameters = entry.variants.front().meta.parameter_count;
    return entry;
}

}  // namespace

const CatalogueEntry* Catalogue::find(std::string_view id) const {
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const CatalogueEntry& e) { return e.id == id; });
    return found == entries.end() ? nullptr : &*found;
}

Result<CatalogueFile> parse_catalogue(std::string_view text) {
    const auto parsed = parse_json(text);
    if (!parsed) return invalid_argument("the catalogue is no JSON: " + parsed.error().message, "catalogue", "invalid_catalogue");
    const json::object* const object = parsed->if_object();
    if (object == nullptr) return invalid_argument("the catalogue must be an object", "catalogue", "invalid_catalogue");
    Reading fields(*object, "the catalogue");
    if (fields.number("version", 1u << 30) != 1) fields.fail("\"version\" must be 1");
    CatalogueFile out;
    out.alone = fields.flag("alone");
    const json::array* const list = fields.array("models", true);
    if (list != nullptr && list->size() > kEntriesMax) fields.fail(fmt::format("it has more than {} models", kEntriesMax));
    GANTRY_TRY(fields.done());
    std::set<std::string> ids;
    for (size_t i = 0; i < list->size(); ++i) {
        const json::object* const one = (*list)[i].if_object();
        if (one == nullptr) return invalid_argument(fmt::format("model {}: it must be an object", i + 1), "catalogue", "invalid_catalogue");
        auto entry = read_entry(*one, i);
        if (!entry) return entry.error();
        if (!ids.insert(entry->id).second) return invalid_argument(entry->id + ": there are two of this id", "catalogue", "invalid_catalogue");
        out.catalogue.entries.push_back(*std::move(entry));
    }
    return out;
}

Result<Catalogue> load_catalogue(const std::string& path) {
    auto builtin = parse_catalogue(builtin_catalogue_json());
    if (!builtin) return builtin.error();
    if (path.empty()) return std::move(builtin->catalogue);
    const auto text = platform::read_file(path, kFileBytesMax);
    if (!text) return text.error();
    auto own = parse_catalogue(*text);
    if (!own) {
        Error error = own.error();
        error.message = path + ": " + error.message;
        return error;
    }
    if (own->alone) return std::move(own->catalogue);
    Catalogue all = std::move(builtin->catalogue);
    for (CatalogueEntry& entry : own->catalogue.entries) {
        const auto same = std::find_if(all.entries.begin(), all.entries.end(), [&](const CatalogueEntry& e) { return e.id == entry.id; });
        if (same != all.entries.end()) *same = std::move(entry);
        else all.entries.push_back(std::move(entry));
    }
    return all;
}

}  // namespace gantry::sources
