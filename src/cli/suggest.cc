#include "cli/suggest.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/edit_distance.h"

namespace gantry::cli {
namespace {

// The verb of a verb that was named last.
const CLI::App& deepest(const CLI::App& app) {
    const CLI::App* verb = &app;
    while (!verb->get_subcommands().empty()) {
        verb = verb->get_subcommands()[0];
    }
    return *verb;
}

std::vector<std::string> flags_of(const CLI::App& verb) {
    std::vector<std::string> names;
    for (const CLI::Option* option : verb.get_options()) {
        names.insert(names.end(), option->get_lnames().begin(), option->get_lnames().end());
    }
    return names;
}

std::vector<std::string> verbs_of(const CLI::App& verb) {
    std::vector<std::string> names;
    for (const CLI::App* inner : verb.get_subcommands([](const CLI::App*) { return true; })) {
        names.push_back(inner->get_name());
    }
    return names;
}

}  // namespace

std::string suggestion(const CLI::App& app) {
    const CLI::App& verb = deepest(app);
    for (const std::string& word : app.remaining(true)) {
        const bool flag = word.starts_with("--");
        const std::string name = flag ? word.substr(2, word.find('=') - 2) : word;
        const std::optional<std::string> near = did_you_mean(name, flag ? flags_of(verb) : verbs_of(verb));
        if (near) {
            const char* const dashes = flag ? "--" : "";
            return fmt::format("; did you mean \"{}{}\" instead of \"{}{}\"?", dashes, *near, dashes, name);
        }
    }
    return {};
}

}  // namespace gantry::cli
