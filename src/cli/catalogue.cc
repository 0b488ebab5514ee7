// `gantry catalogue`: models that are worth serving, and which of them fit these workers.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"
#include "sources/catalogue.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string id;
    std::string modality;
    std::string family;
    std::string check;
    bool fits = false;
};

Colour colour_of(const std::string& verdict) {
    return verdict == "fits" ? Colour::kGreen : verdict == "unknown" ? Colour::kYellow : Colour::kDim;
}
Table::Cell verdict_of(const json::object& object) {
    const std::string verdict = text_at(object, "verdict");
    return {verdict == "does_not_fit" ? "does not fit" : verdict, colour_of(verdict)};
}
Table::Cell bytes_of(const json::object& object, const char* key) {
    const auto bytes = static_cast<uint64_t>(number_at(object, key));
    return {bytes == 0 ? "?" : human_bytes(bytes), Colour::kNone, true};
}

int list(const Context& context, const Options& options) {
    std::string path = "/api/v1/catalogue";
    const auto ask = [&path](const char* name, const std::string& value) {
        if (!value.empty()) {
            path += fmt::format("{}{}={}", path.find('?') == std::string::npos ? '?' : '&', name, encode_segment(value));
        }
    };
    ask("modality", options.modality);
    ask("family", options.family);
    ask("fits", options.fits ? "true" : "");
    const Result<ApiClient> client = ApiClient::connect(context);
    const Result<json::object> page = client ? client->get(path) : Result<json::object>(client.error());
    if (!page) {
        return fail(page.error());
    }
    Table table({"ID", "PARAMETERS", "CONTEXT", "FOR", "LICENCE", "BEST", "SIZE", "HERE", "WHY"});
    const json::array& entries = array_at(*page, "items");
    for (const json::value& item : entries) {
        const json::object& entry = item.get_object();
        const json::object& best = array_at(entry, "variants").at(static_cast<size_t>(number_at(entry, "recommended"))).as_object();
        table.add({text_at(entry, "id"), {human_count(static_cast<uint64_t>(number_at(entry, "parameters"))), Colour::kNone, true},
                   {std::to_string(number_at(entry, "context_length")), Colour::kNone, true}, text_at(entry, "modality"),
                   text_at(entry, "licence"), fmt::format("{} {}", text_at(best, "backend"), text_at(best, "quantization")), bytes_of(best, "bytes"),
                   verdict_of(entry), text_at(entry, "reason")});
    }
    return print_list(context, entries, "id", table,
                      options.fits ? "nothing of the catalogue fits these workers now" : "the catalogue has nothing of that kind");
}

int show(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    const Result<json::object> entry = client ? client->get("/api/v1/catalogue/" + encode_segment(options.id)) : Result<json::object>(client.error());
    if (!entry) {
        return fail(entry.error());
    }
    if (context.json) {
        print(json::serialize(*entry) + "\n");
        return flushed(kDone);
    }
    Table table({"SOURCE", "BACKEND", "SIZE", "NEEDS", "HERE", "WHY"});
    for (const json::value& item : array_at(*entry, "variants")) {
        const json::object& variant = item.get_object();
        for (const json::value& source : array_at(variant, "sources")) {
            table.add({std::string(source.as_string()), text_at(variant, "backend"), bytes_of(variant, "bytes"), bytes_of(variant, "needs_bytes"),
                       verdict_of(variant), text_at(variant, "reason")});
        }
    }
    std::string abilities;
    for (const json::value& one : array_at(*entry, "abilities")) {
        abilities += ", " + std::string(one.as_string());
    }
    if (!context.quiet) {
        print(printable(fmt::format("{}: {} parameters, context {}, {}{}, licence {}{}", text_at(*entry, "name"),
                                    human_count(static_cast<uint64_t>(number_at(*entry, "parameters"))), number_at(*entry, "context_length"),
                                    text_at(*entry, "modality"), abilities, text_at(*entry, "licence"),
                                    flag_at(*entry, "gated") ? "; its makers ask for consent first" : "")) + "\n\n");
    }
    print(table.text(!context.no_headers, colours(), stdout_is_terminal() ? terminal_columns() : 0));
    return flushed(kDone);
}

// Without a server: whether it would take the file.
int check(const Context& context, const std::string& path) {
    const Result<sources::Catalogue> all = sources::load_catalogue(path);
    if (!all) {
        return fail(all.error());
    }
    if (!context.quiet) {
        note(fmt::format("{} is a catalogue; with what is built in there are {} models", path, all->entries.size()));
    }
    return kDone;
}

int catalogue(const Context& context, const Options& options) {
    if (!options.check.empty()) {
        return check(context, options.check);
    }
    return options.id.empty() ? list(context, options) : show(context, options);
}

}  // namespace

void add_catalogue(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("catalogue", "models worth serving, and which of them fit these workers");
    Options& options = context.own<Options>();
    verb->add_option("ID", options.id, "one of them: all its variants");
    verb->add_flag("--fits", options.fits, "those only that fit now");
    verb->add_option("--modality", options.modality, "text, vision, embedding or rerank")->type_name("KIND");
    verb->add_option("--family", options.family, "as Qwen3 or Llama")->type_name("NAME");
    verb->add_option("--check", options.check, "check a file for `gantry serve --catalogue`; no server is asked")->type_name("FILE");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return catalogue(context, options); }; });
}

}  // namespace gantry::cli
