// `gantry ls`: models, or the files of hubs' models, of all machines.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

int list_models(const Context& context) {
    const Result<json::array> models = list_of(context, "/api/v1/models");
    if (!models) {
        return fail(models.error());
    }
    Table table({"NAME", "ARCHITECTURE", "PARAMETERS", "QUANTIZATION", "CONTEXT", "SIZE", "SOURCE"});
    for (const json::value& item : *models) {
        const json::object& model = item.get_object();
        const json::object& meta = object_at(model, "meta");
        table.add({text_at(model, "name"), text_at(meta, "architecture"),
                   human_count(static_cast<uint64_t>(number_at(meta, "parameter_count"))), text_at(meta, "quantization"),
                   std::to_string(number_at(meta, "context_length")),
                   human_bytes(static_cast<uint64_t>(number_at(meta, "file_bytes"))), text_at(model, "source")});
    }
    return print_list(context, *models, "name", table,
                      "no models yet; `gantry deploy NAME --source file:PATH.gguf` adds one");
}

// "m-q4_k_m.gguf, mmproj-f16.gguf", "config.json and 7 more".
std::string files_text(const json::array& files) {
    constexpr size_t kShown = 2;
    std::string text;
    for (size_t i = 0; i < files.size() && (i == 0 || files.size() <= kShown); ++i) {
        text += (text.empty() ? "" : ", ") + std::string(files[i].as_string());
    }
    return files.size() > kShown ? fmt::format("{} and {} more", text, files.size() - 1) : text;
}

int list_files(const Context& context) {
    const Result<json::array> sets = list_of(context, "/api/v1/model-files");
    if (!sets) {
        return fail(sets.error());
    }
    Table table({"SOURCE", "WORKER", "STATE", "SIZE", "FILES", "USED BY", "REASON"});
    for (const json::value& item : *sets) {
        const json::object& set = item.get_object();
        std::string users;
        for (const json::value& user : array_at(set, "used_by")) {
            users += (users.empty() ? "" : ", ") + std::string(user.as_string());
        }
        const std::string state = text_at(set, "state");
        table.add({text_at(set, "source"), text_at(set, "worker_name"), {state, colour_of_state(state)},
            {human_bytes(static_cast<uint64_t>(number_at(set, "bytes"))), Colour::kNone, true},
                   files_text(array_at(set, "files")), users, text_at(set, "reason")});
    }
    return print_list(context, *sets, "source", table, "no hub's files are here; `gantry pull hf:ORG/NAME:QUANTIZATION` fetches some");
}

}  // namespace

void add_ls(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("ls", "list models");
    bool& files = context.own<bool>();
    verb->add_flag("--files", files, "the files of hubs' models instead, on the server's machine and on workers elsewhere");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context, &files] { context.action = [&context, &files] { return files ? list_files(context) : list_models(context); }; });
}

}  // namespace gantry::cli
