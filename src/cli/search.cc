// `gantry search`: models of a hub, as the server sees it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string words;
    std::string hub = "hf";
    uint32_t limit = 20;
};

int search(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::object> found =
        client->get(fmt::format("/api/v1/hub-models?search={}&hub={}&limit={}", encode_segment(options.words), options.hub, options.limit));
    if (!found) {
        return fail(found.error());
    }
    Table table({"SOURCE", "DOWNLOADS", "LIKES"});
    const json::array& models = array_at(*found, "items");
    for (const json::value& item : models) {
        const json::object& model = item.get_object();
        table.add({text_at(model, "source"), {std::to_string(number_at(model, "downloads")), Colour::kNone, true},
                   {std::to_string(number_at(model, "likes")), Colour::kNone, true}});
    }
    return print_list(context, models, "source", table, "the hub has no model of such a name");
}

}  // namespace

void add_search(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("search", "find models of a hub by name");
    Options& options = context.own<Options>();
    verb->add_option("WORDS", options.words, "a part of the name")->required();
    verb->add_option("--hub", options.hub, "hf or modelscope")->check(CLI::IsMember({"hf", "modelscope"}))->capture_default_str();
    verb->add_option("--limit", options.limit, "so many at most")->check(CLI::Range(1, 100))->capture_default_str()->type_name("N");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return search(context, options); }; });
}

}  // namespace gantry::cli
