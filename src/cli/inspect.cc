// `gantry inspect`: what a model's files on this machine say, and what they would take. No server is asked.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "base/platform/files.h"
#include "cli/context.h"
#include "cli/output.h"
#include "cli/words.h"
#include "models/gguf_keys.h"
#include "models/gguf_names.h"
#include "models/model_reader.h"
#include "placement/estimate.h"
#include "protocol/management/objects.h"

namespace gantry::cli {
namespace {

constexpr const char* kTemplateKey = "tokenizer.chat_template";
constexpr size_t kValueShown = 120;
constexpr size_t kTemplateFileMax = 4u << 20;

struct Options {
    std::string path;
    std::string backend = "engine";
    std::string vendor = "cpu";
    std::string kv_type;
    uint32_t context_tokens = 0;
    uint32_t max_sequences = 0;
    uint32_t device_count = 1;
    bool keys = false;
    bool chat_template = false;
};

Result<std::string> template_of(const std::string& path, const std::vector<models::GgufKey>& keys) {
    for (const models::GgufKey& key : keys) {
        if (key.key == kTemplateKey) {
            return key.value;
        }
    }
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
        const auto file = platform::read_file(path + "/chat_template.jinja", kTemplateFileMax);
        if (file) {
            return *file;
        }
        const auto config = platform::read_file(path + "/tokenizer_config.json", kTemplateFileMax);
        const auto value = config ? parse_json(*config) : Result<json::value>(config.error());
        if (value && value->is_object() && !text_at(value->get_object(), "chat_template").empty()) {
            return text_at(value->get_object(), "chat_template");
        }
    }
    return not_found("the model's files hold no chat template");
}

placement::Shape shape_of(const Options& options, const ModelMeta& meta) {
    placement::Shape shape;
    shape.backend = *backend_kind_from(options.backend);
    shape.options.kv_type = options.kv_type;
    shape.options.context_tokens = options.context_tokens;
    shape.options.max_sequences = options.max_sequences;
    shape.vendor = options.vendor;
    shape.ranks = options.vendor == "cpu" ? 1 : options.device_count;
    shape.layers_on_devices = options.vendor == "cpu" ? 0 : meta.layers;
    shape.context_tokens = options.context_tokens != 0 ? options.context_tokens : std::min(meta.context_length, 8192u);
    shape.sequences = options.max_sequences != 0 ? options.max_sequences : 1;
    return shape;
}

json::object json_of(const ModelMeta& meta, const std::vector<models::GgufKey>& keys, const placement::Shape& shape, const Estimate& estimate) {
    json::object types;
    for (const auto& [type, bytes] : meta.bytes_of_type) {
        types[type] = bytes;
    }
    json::array all;
    for (const models::GgufKey& key : keys) {
        all.push_back(json::object{{"key", key.key}, {"type", key.type}, {"value", printable(key.value)}});
    }
    json::array terms;
    for (const Term& term : estimate.terms) {
        terms.push_back(json::object{{"name", term.name}, {"where", to_string(term.where)}, {"bytes", term.bytes}, {"formula", term.formula}});
    }
    return {{"model", protocol::management::to_json(meta)},
            {"bytes_of_type", std::move(types)},
            {"keys", std::move(all)},
            {"estimate", json::object{{"backend", to_string(shape.backend)}, {"vendor", shape.vendor}, {"context_tokens", shape.context_tokens},
                                      {"sequences", shape.sequences}, {"total_bytes", estimate.total()}, {"terms", std::move(terms)},
                                      {"unknown", json::value_from(estimate.unknown)}}}};
}

void print_model(const Context& context, const Options& options, const std::string& path, const ModelMeta& meta,
                 const std::vector<models::GgufKey>& keys, const placement::Shape& shape, const Estimate& estimate) {
    const uint32_t columns = stdout_is_terminal() ? terminal_columns() : 0;
    print(printable(describe(meta)) + "\n");
    if (!meta.name.empty()) {
        print(printable("called " + meta.name) + "\n");
    }
    print(fmt::format("{} bytes in its files; {} chat template{}\n", meta.file_bytes, meta.has_chat_template ? "a" : "no",
                      meta.brings_code ? "; names Python code, which Gantry never runs" : ""));
    if (const auto files = models::gguf_files_at(path); files && !files->tower.empty()) {
        print(printable("with the tower for pictures in " + files->tower.substr(files->tower.rfind('/') + 1)) + "\n");
    }
    const auto all = static_cast<double>(std::max<uint64_t>(meta.weights.total(), 1));
    Table types({"WEIGHTS", "BYTES", "SHARE"});
    for (const auto& [type, bytes] : meta.bytes_of_type) {
        types.add({type, {human_bytes(bytes), Colour::kNone, true},
                   {fmt::format("{:.1f} %", 100 * static_cast<double>(bytes) / all), Colour::kNone, true}});
    }
    print("\n" + types.text(!context.no_headers, colours(), columns));
    if (options.keys) {
        Table table({"KEY", "TYPE", "VALUE"});
        for (const models::GgufKey& key : keys) {
            table.add({printable(key.key), key.type, printable(key.value.substr(0, kValueShown))});
        }
        print("\n" + table.text(!context.no_headers, colours(), columns));
    }
    print(fmt::format("\nWith the backend {} on {}, a context of {} and {} sequence{} it takes:\n", options.backend, shape.vendor,
                      shape.context_tokens, shape.sequences, shape.sequences == 1 ? "" : "s"));
    Table terms({"WHAT", "WHERE", "BYTES", "HOW"});
    for (const Term& term : estimate.terms) {
        terms.add({term.name, to_string(term.where), {human_bytes(term.bytes), Colour::kNone, true}, term.formula});
    }
    for (const std::string& unknown : estimate.unknown) {
        terms.add({unknown, "", {"unknown", Colour::kYellow, true}, "the model's files do not say"});
    }
    terms.add({{"total", Colour::kBold}, "", {human_bytes(estimate.total()), Colour::kBold, true}, estimate.unknown.empty() ? "" : "at least"});
    print(terms.text(!context.no_headers, colours(), columns));
}

int inspect(const Context& context, const Options& options) {
    std::error_code ignored;
    const std::string path = std::filesystem::absolute(options.path.starts_with("file:") ? options.path.substr(5) : options.path, ignored).string();
    const Result<ModelMeta> meta = models::read_model(path);
    if (!meta) {
        return fail(meta.error());
    }
    std::vector<models::GgufKey> keys;
    if (meta->format == "gguf" && !std::filesystem::is_directory(path, ignored)) {
        Result<std::vector<models::GgufKey>> read = models::read_gguf_keys(path);
        if (!read) {
            return fail(read.error());
        }
        keys = *std::move(read);
    }
    if (options.chat_template) {
        const Result<std::string> text = template_of(path, keys);
        if (!text) {
            return fail(text.error());
        }
        print(*text + (text->ends_with('\n') ? "" : "\n"));
        return flushed(kDone);
    }
    const placement::Shape shape = shape_of(options, *meta);
    const Estimate estimate = placement::estimate(*meta, shape);
    if (context.json) {
        print(json::serialize(json_of(*meta, keys, shape, estimate)) + "\n");
    } else {
        print_model(context, options, path, *meta, keys, shape, estimate);
    }
    return flushed(kDone);
}

}  // namespace

void add_inspect(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("inspect", "what a model's files on this machine say, and what they would take");
    Options& options = context.own<Options>();
    verb->add_option("PATH", options.path, "a GGUF or safetensors file, or a model's folder")->required();
    verb->add_flag("--keys", options.keys, "all keys of a GGUF file");
    verb->add_flag("--template", options.chat_template, "print the chat template alone");
    verb->add_option("--backend,-b", options.backend, "what it takes with: engine, llama-server, vllm, sglang or mindie")
        ->check(CLI::IsMember({"engine", "llama-server", "vllm", "sglang", "mindie"}))
        ->capture_default_str();
    verb->add_option("--vendor", options.vendor, "of the devices it computes on: cpu, nvidia, amd, ascend, ...")->capture_default_str();
    verb->add_option("--device-count", options.device_count, "devices that compute together")->check(CLI::Range(1, 64))->capture_default_str();
    verb->add_option("--ctx", options.context_tokens, "context in tokens; 0: the model's, 8192 at most")->type_name("N");
    verb->add_option("--max-sequences", options.max_sequences, "sequences at once; 0: one")->type_name("N");
    verb->add_option("--kv-type", options.kv_type, "how keys and values are kept: f16, q8_0 or fp8")->type_name("TYPE");
    verb->add_flag("--json", context.json, "print all as JSON");
    verb->add_flag("--no-headers", context.no_headers, "leave the headers of the tables out");
    verb->callback([&context, &options] { context.action = [&context, &options] { return inspect(context, options); }; });
}

}  // namespace gantry::cli
