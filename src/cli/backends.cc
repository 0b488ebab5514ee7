// `gantry backends`: which engine products there are, on which workers each works now, and what to do where it does not.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/edit_distance.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
};

// "cpu/0, nvidia/0": which it can use; "-": none.
std::string device_names(const json::object& worker) {
    std::string names;
    for (const json::value& item : array_at(worker, "devices")) {
        const json::object& device = item.get_object();
        if (!flag_at(device, "works")) {
            continue;
        }
        names += fmt::format("{}{}/{}", names.empty() ? "" : ", ", text_at(device, "vendor"), number_at(device, "index"));
    }
    return names.empty() ? "-" : names;
}

std::string joined(const json::array& items, const char* key = nullptr) {
    std::string text;
    for (const json::value& item : items) {
        text += (text.empty() ? "" : ", ") + (key == nullptr ? std::string(item.as_string()) : text_at(item.get_object(), key));
    }
    return text;
}

// Its program is there, or will be.
bool is_there(const json::object& worker) {
    const std::string state = text_at(worker, "state");
    return state == "ready" || state == "by_command";
}

// "by_command" -> "by command"
Table::Cell state_of(const json::object& worker) {
    std::string state = text_at(worker, "state");
    const Colour colour = state == "ready" ? Colour::kGreen : state == "missing" ? Colour::kYellow : Colour::kDim;
    std::replace(state.begin(), state.end(), '_', ' ');
    const bool reached = text_at(worker, "worker_state") != "unreachable";
    return {reached ? state : state + ", unreachable", reached ? colour : Colour::kRed};
}

int list(const Context& context, const json::array& backends) {
    Table table({"BACKEND", "WORKER", "STATE", "VERSION", "WORKS ON", "DEPLOYMENTS"});
    for (const json::value& item : backends) {
        const json::object& backend = item.get_object();
        const std::string name = text_at(backend, "name");
        const std::string deployments = joined(array_at(backend, "deployments"), "name");
        for (const json::value& one : array_at(backend, "workers")) {
            const json::object& worker = one.get_object();
            table.add({name, text_at(worker, "worker_name"), state_of(worker), text_at(worker, "version"),
                       is_there(worker) ? device_names(worker) : "-", deployments});
        }
        if (array_at(backend, "workers").empty()) {
            table.add({name, "-", "no worker", "", "-", deployments});
        }
    }
    return print_list(context, backends, "name", table, "this server knows no backends");
}

void print_fact(const char* name, const std::string& value) {
    if (!value.empty()) {
        print(printable(fmt::format("  {:<12} {}", name, value)) + "\n");
    }
}

void print_facts(const json::object& backend) {
    print(printable(fmt::format("{} ({}): {}", text_at(backend, "name"), text_at(backend, "title"), text_at(backend, "summary"))) + "\n");
    const json::array& formats = array_at(backend, "formats");
    print_fact("models", formats.empty() ? "whatever the program takes" : joined(formats) + "; for " + joined(array_at(backend, "modalities")));
    const bool offloads = flag_at(backend, "can_offload");
    print_fact("memory", offloads ? "layers that find no room on devices may stay in memory" : "a model must fit on its devices whole");
    const std::string spanning = text_at(backend, "spanning");
    print_fact("workers", spanning.empty() ? "an instance is on one worker" : "one instance may span several, by " + spanning);
    print_fact("kv types", joined(array_at(backend, "kv_types")));
    print_fact("flags", joined(array_at(backend, "flags"), "name"));
    print_fact("deployments", joined(array_at(backend, "deployments"), "name"));
    print_fact("homepage", text_at(backend, "homepage"));
}

// Where the same is wrong with several devices it is said once.
void print_refusals(const json::object& worker) {
    std::vector<std::pair<std::string, std::string>> reasons;   // with the devices
    for (const json::value& item : array_at(worker, "devices")) {
        const json::object& device = item.get_object();
        if (flag_at(device, "works")) {
            continue;
        }
        const std::string reason = text_at(device, "reason");
        const std::string name = fmt::format("{}/{}", text_at(device, "vendor"), number_at(device, "index"));
        const auto known = std::find_if(reasons.begin(), reasons.end(), [&](const auto& one) { return one.first == reason; });
        if (known == reasons.end()) {
            reasons.emplace_back(reason, name);
        } else {
            known->second += ", " + name;
        }
    }
    for (const auto& [reason, names] : reasons) {
        print(printable(fmt::format("  not on {}: {}", names, reason)) + "\n");
    }
}

int show(const Context& context, const json::object& backend) {
    if (context.json) {
        print(json::serialize(backend) + "\n");
        return flushed(kDone);
    }
    if (context.quiet) {
        print(text_at(backend, "name") + "\n");
        return flushed(kDone);
    }
    print_facts(backend);
    for (const json::value& item : array_at(backend, "workers")) {
        const json::object& worker = item.get_object();
        const Table::Cell state = state_of(worker);
        const std::string version = text_at(worker, "version"), path = text_at(worker, "path");
        const std::string program = version + (version.empty() || path.empty() ? "" : ", ") + path;
        print(fmt::format("\n{}: {}{}\n", printable(text_at(worker, "worker_name")), colours() ? coloured(state.text, state.colour) : state.text,
                          program.empty() ? "" : printable(" (" + program + ")")));
        print_fact(is_there(worker) ? "works on" : "could use", device_names(worker));
        print_refusals(worker);
        const bool refused = text_at(worker, "state") == "refused";   // the devices say why
        print_fact("why", refused ? "" : text_at(worker, "reason"));
        print_fact("next", text_at(worker, "next_step"));
    }
    return flushed(kDone);
}

int backends(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    const Result<json::object> page = client ? client->get("/api/v1/backends") : Result<json::object>(client.error());
    if (!page) {
        return fail(page.error());
    }
    const json::array& all = array_at(*page, "items");
    if (options.name.empty()) {
        return list(context, all);
    }
    std::vector<std::string> names;
    for (const json::value& item : all) {
        names.push_back(text_at(item.get_object(), "name"));
        if (names.back() == options.name) {
            return show(context, item.get_object());
        }
    }
    const std::optional<std::string> near = did_you_mean(options.name, names);
    return fail(fmt::format("there is no backend \"{}\"{}", printable(options.name),
                            near ? fmt::format("; did you mean \"{}\"?", *near) : "; `gantry backends -q` lists them"));
}

}  // namespace

void add_backends(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("backends", "which backends there are, where each works now, and what to do where it does not");
    Options& options = context.own<Options>();
    verb->add_option("NAME", options.name, "one of them: what it takes, and each worker with reasons and next steps");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return backends(context, options); }; });
}

}  // namespace gantry::cli
