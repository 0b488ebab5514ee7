// `gantry completion`: scripts for shells, made from the very tree that parses the command line.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

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

bool takes_deployment(const CLI::App& verb) {
    static const std::vector<std::string> kVerbs = {"run", "start", "stop", "scale", "rm", "logs", "compare", "bench"};
    return std::find(kVerbs.begin(), kVerbs.end(), verb.get_name()) != kVerbs.end();
}

std::string joined(const std::vector<const CLI::App*>& verbs) {
    std::string names;
    for (const CLI::App* verb : verbs) {
        names += (names.empty() ? "" : " ") + verb->get_name();
    }
    return names;
}

std::string bash(const CLI::App& app) {
    std::string cases;
    for (const CLI::App* verb : verbs_of(app)) {
        std::string words = flags_of(*verb);
        const std::string inner = joined(verbs_of(*verb));
        words += inner.empty() ? "" : " " + inner;
        const char* names = takes_deployment(*verb) ? " $(gantry ps -q 2>/dev/null)" : "";
        cases += fmt::format("    {}) words=\"{}{}\" ;;\n", verb->get_name(), words, names);
    }
    return fmt::format(R"(# bash completion of gantry: source <(gantry completion bash)
_gantry() {{
  local words= current=${{COMP_WORDS[COMP_CWORD]}}
  if [ "$COMP_CWORD" -eq 1 ]; then words="{} --help --version"
  else case ${{COMP_WORDS[1]}} in
{}    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _gantry gantry
)",
                       joined(verbs_of(app)), cases);
}

// Single quotes in a single-quoted text of a shell.
std::string quoted(std::string text) {
    for (size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) {
        text.replace(at, 1, "'\\''");
    }
    return "'" + text + "'";
}

std::string zsh(const CLI::App& app) {
    std::string described;
    std::string cases;
    for (const CLI::App* verb : verbs_of(app)) {
        described += fmt::format("    {}\n", quoted(verb->get_name() + ":" + verb->get_description()));
        std::string words = flags_of(*verb);
        const std::string inner = joined(verbs_of(*verb));
        words += inner.empty() ? "" : " " + inner;
        const char* names = takes_deployment(*verb) ? " ${(f)\"$(gantry ps -q 2>/dev/null)\"}" : "";
        cases += fmt::format("    {}) compadd -- {}{} ;;\n", verb->get_name(), words, names);
    }
    return fmt::format(R"(#compdef gantry
# zsh completion of gantry: gantry completion zsh > "${{fpath[1]}}/_gantry", or source <(gantry completion zsh)
_gantry() {{
  local -a verbs
  verbs=(
{}  )
  if (( CURRENT == 2 )); then _describe 'verb' verbs; return; fi
  case $words[2] in
{}  esac
  _files
}}
compdef _gantry gantry
)",
                       described, cases);
}

std::string fish(const CLI::App& app) {
    std::string out = "# fish completion of gantry: gantry completion fish | source\ncomplete -c gantry -f\n";
    for (const CLI::App* verb : verbs_of(app)) {
        out += fmt::format("complete -c gantry -n __fish_use_subcommand -a {} -d {}\n", verb->get_name(),
                           quoted(verb->get_description()));
        const std::string seen = fmt::format("-n '__fish_seen_subcommand_from {}'", verb->get_name());
        for (const CLI::Option* option : verb->get_options()) {
            for (const std::string& name : option->get_lnames()) {
                out += fmt::format("complete -c gantry {} -l {} -d {}\n", seen, name, quoted(option->get_description()));
            }
        }
        const std::string inner = joined(verbs_of(*verb));
        if (!inner.empty()) {
            out += fmt::format("complete -c gantry {} -a {}\n", seen, quoted(inner));
        }
        if (takes_deployment(*verb)) {
            out += fmt::format("complete -c gantry {} -a '(gantry ps -q 2>/dev/null)'\n", seen);
        }
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
