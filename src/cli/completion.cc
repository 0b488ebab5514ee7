// `gantry completion`: scripts for shells, made from the very tree that parses the command line.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>

#include "cli/completion.h"
#include "cli/context.h"
#include "cli/output.h"

namespace gantry::cli {
namespace {

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App*) { return true; });
}

// "--json -q --quiet": all ways to write the options of a verb.
std::string flags_of(const CLI::App& verb) {
    std::string flags;
    for (const CLI::Option* option : verb.get_options()) {
        for (const std::string& name : option->get_lnames()) {
            flags += (flags.empty() ? "--" : " --") + name;
        }
        for (const std::string& name : option->get_snames()) {
            flags += (flags.empty() ? "-" : " -") + name;
        }
    }
    return flags;
}

// Where the names that a verb takes come from: the server is asked, which answers in milliseconds or not at all.
struct Names {
    const char* verb;      // with the verb that it is in: "keys edit"
    const char* command;   // prints a name a line
};
constexpr Names kNames[] = {
    {"run", "gantry ps -q"},          {"start", "gantry ps -q"},         {"stop", "gantry ps -q"},          {"sleep", "gantry ps -q"},
    {"scale", "gantry ps -q"},        {"rm", "gantry ps -q"},            {"logs", "gantry ps -q"},
    {"instances events", "gantry ps -q"}, {"instances metrics", "gantry ps -q"},
    {"rollout status", "gantry ps -q"},  {"rollout history", "gantry ps -q"}, {"rollout undo", "gantry ps -q"},
    {"compare", "gantry ps -q"},      {"bench", "gantry ps -q"},         {"requests cancel", "gantry requests -q"},
    {"backends", "gantry backends -q"},
    {"keys edit", "gantry keys list -q"},    {"keys rm", "gantry keys list -q"},       {"users edit", "gantry users list -q"},
    {"users rm", "gantry users list -q"},    {"users passwd", "gantry users list -q"}, {"reset-password", "gantry users list -q"},
    {"routes edit", "gantry routes list -q"},         {"routes rm", "gantry routes list -q"},
    {"benchmarks start", "gantry ps -q"},             {"benchmarks show", "gantry benchmarks list -q"},
    {"benchmarks compare", "gantry benchmarks list -q"}, {"benchmarks cancel", "gantry benchmarks list -q"},
    {"benchmarks rm", "gantry benchmarks list -q"},
    {"providers edit", "gantry providers list -q"},   {"providers rm", "gantry providers list -q"},
    {"providers test", "gantry providers list -q"},
};

// What may stand behind a verb.
struct Words {
    std::string path;          // "keys edit"
    std::string words;         // flags and inner verbs
    const char* names = "";    // a command; empty: no names
};

std::string joined(const std::vector<const CLI::App*>& verbs) {
    std::string names;
    for (const CLI::App* verb : verbs) {
        names += (names.empty() ? "" : " ") + verb->get_name();
    }
    return names;
}

const char* names_of(const std::string& path) {
    const auto found = std::find_if(std::begin(kNames), std::end(kNames), [&](const Names& names) { return path == names.verb; });
    return found == std::end(kNames) ? "" : found->command;
}

void add_words(const CLI::App& verb, const std::string& before, std::vector<Words>& out) {
    const std::string path = before + verb.get_name();
    const std::string inner = joined(verbs_of(verb));
    out.push_back({path, flags_of(verb) + (inner.empty() ? "" : " " + inner), names_of(path)});
    for (const CLI::App* deeper : verbs_of(verb)) {
        add_words(*deeper, path + " ", out);
    }
}

std::vector<Words> all_words(const CLI::App& app) {
    std::vector<Words> all;
    for (const CLI::App* verb : verbs_of(app)) {
        add_words(*verb, "", all);
    }
    return all;
}

// "\"keys list\"|\"keys edit\"": a pattern of all verbs within verbs.
std::string inner_paths(const std::vector<Words>& all) {
    std::string paths;
    for (const Words& verb : all) {
        if (verb.path.find(' ') != std::string::npos) {
            paths += fmt::format("{}\"{}\"", paths.empty() ? "" : "|", verb.path);
        }
    }
    return paths;
}

std::string bash(const CLI::App& app) {
    const std::vector<Words> all = all_words(app);
    std::string cases;
    for (const Words& verb : all) {
        const std::string names = *verb.names != '\0' ? fmt::format(" $({} 2>/dev/null)", verb.names) : "";
        cases += fmt::format("      \"{}\") words=\"{}{}\" ;;\n", verb.path, verb.words, names);
    }
    return fmt::format(R"(# bash completion of gantry: source <(gantry completion bash)
_gantry() {{
  local words= verb=${{COMP_WORDS[1]}} current=${{COMP_WORDS[COMP_CWORD]}}
  if [ "$COMP_CWORD" -eq 1 ]; then words="{} --help --version"
  else
    if [ "$COMP_CWORD" -gt 2 ]; then
      case "$verb ${{COMP_WORDS[2]}}" in {}) verb="$verb ${{COMP_WORDS[2]}}" ;; esac
    fi
    case $verb in
{}    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _gantry gantry
)",
                       joined(verbs_of(app)), inner_paths(all), cases);
}

// Single quotes in a single-quoted text of a shell.
std::string quoted(std::string text) {
    for (size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) {
        text.replace(at, 1, "'\\''");
    }
    return "'" + text + "'";
}

std::string zsh(const CLI::App& app) {
    const std::vector<Words> all = all_words(app);
    std::string described;
    for (const CLI::App* verb : verbs_of(app)) {
        described += fmt::format("    {}\n", quoted(verb->get_name() + ":" + verb->get_description()));
    }
    std::string cases;
    for (const Words& verb : all) {
        const std::string names = *verb.names != '\0' ? fmt::format(" ${{(f)\"$({} 2>/dev/null)\"}}", verb.names) : "";
        cases += fmt::format("    \"{}\") compadd -- {}{} ;;\n", verb.path, verb.words, names);
    }
    return fmt::format(R"(#compdef gantry
# zsh completion of gantry: gantry completion zsh > "${{fpath[1]}}/_gantry", or source <(gantry completion zsh)
_gantry() {{
  local verb=$words[2]
  local -a verbs
  verbs=(
{}  )
  if (( CURRENT == 2 )); then _describe 'verb' verbs; return; fi
  if (( CURRENT > 3 )); then
    case "$verb $words[3]" in {}) verb="$verb $words[3]" ;; esac
  fi
  case $verb in
{}  esac
  _files
}}
compdef _gantry gantry
)",
                       described, inner_paths(all), cases);
}

void add_fish(const CLI::App& verb, const std::string& path, const std::string& seen, std::string& out) {
    const std::string inner = joined(verbs_of(verb));
    const std::string here = seen + (inner.empty() ? "" : "; and not __fish_seen_subcommand_from " + inner);
    const auto add = [&](const std::string& what) { out += fmt::format("complete -c gantry -n '{}' {}\n", here, what); };
    for (const CLI::Option* option : verb.get_options()) {
        for (const std::string& name : option->get_lnames()) {
            add(fmt::format("-l {} -d {}", name, quoted(option->get_description())));
        }
    }
    for (const CLI::App* deeper : verbs_of(verb)) {
        add(fmt::format("-a {} -d {}", deeper->get_name(), quoted(deeper->get_description())));
        add_fish(*deeper, path + " " + deeper->get_name(), seen + "; and __fish_seen_subcommand_from " + deeper->get_name(), out);
    }
    if (const char* names = names_of(path); *names != '\0') {
        add(fmt::format("-a '({} 2>/dev/null)'", names));
    }
}

std::string fish(const CLI::App& app) {
    std::string out = "# fish completion of gantry: gantry completion fish | source\ncomplete -c gantry -f\n";
    for (const CLI::App* verb : verbs_of(app)) {
        out += fmt::format("complete -c gantry -n __fish_use_subcommand -a {} -d {}\n", verb->get_name(), quoted(verb->get_description()));
        add_fish(*verb, verb->get_name(), "__fish_seen_subcommand_from " + verb->get_name(), out);
    }
    return out;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
    return shell == "bash" ? bash(app) : shell == "zsh" ? zsh(app) : fish(app);
}

void add_completion(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("completion", "print the completion script of a shell");
    auto& shell = context.own<std::string>();
    verb->add_option("SHELL", shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
    verb->callback([&app, &context, &shell] {
        context.action = [&app, &shell] {
            print(completion_script(app, shell));
            return flushed(kDone);
        };
    });
}

}  // namespace gantry::cli
