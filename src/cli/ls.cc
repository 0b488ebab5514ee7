// `gantry ls`: models.

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

}  // namespace

void add_ls(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("ls", "list models");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context] { context.action = [&context] { return list_models(context); }; });
}

}  // namespace gantry::cli
