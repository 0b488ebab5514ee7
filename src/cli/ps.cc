// `gantry ps`: deployments, and under each its instances.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

std::string since(const json::object& object, const char* key) {
    const std::string time = text_at(object, key);
    if (time.empty()) {
        return {};
    }
    return human_period((to_unix_ms(system_clock().wall()) - to_unix_ms(from_rfc3339(time))) / 1000);
}

std::string state_of(const json::object& object) {
    const std::string state = text_at(object, "state");
    const double progress = real_at(object, "progress");
    const bool loading = state == "starting" || state == "downloading";
    return loading && progress > 0 ? fmt::format("{} {:.0f} %", state, progress * 100) : state;
}

// "host nvidia/0 nvidia/1": the worker, and what is booked there.
std::string devices_on(const json::object& instance, const std::string& worker_id, const std::string& worker_name) {
    std::string text = worker_name;
    for (const json::value& claim : array_at(object_at(instance, "placement"), "claims")) {
        if (text_at(claim.as_object(), "worker_id") == worker_id) {
            text += " " + text_at(claim.as_object(), "device");
        }
    }
    return text;
}

// Of an instance that several workers run: the process of each.
void add_parts(Table& table, const json::object& instance) {
    for (const json::value& item : array_at(instance, "parts")) {
        const json::object& part = item.get_object();
        const int64_t pid = number_at(part, "pid");
        const uint64_t bytes = static_cast<uint64_t>(number_at(part, "memory_bytes"));
        table.add({{"    part", Colour::kDim},
                   {pid > 0 ? fmt::format("pid {}", pid) : "", Colour::kDim},
                   {state_of(part), colour_of_state(text_at(part, "state"))},
                   "",
                   {devices_on(instance, text_at(part, "worker_id"), text_at(part, "worker_name")), Colour::kDim},
                   {bytes > 0 ? human_bytes(bytes) : "", Colour::kNone, true},
                   "",
                   text_at(part, "reason")});
    }
}

void add_rows(Table& table, const json::object& deployment, const json::array& instances) {
    const json::object& status = object_at(deployment, "status");
    uint64_t memory = 0;
    const json::object* oldest = nullptr;  // running instance: the deployment has answered since then
    for (const json::value& item : instances) {
        const json::object& instance = item.get_object();
        memory += static_cast<uint64_t>(number_at(instance, "memory_bytes"));
        const bool older = oldest == nullptr || text_at(instance, "state_since") < text_at(*oldest, "state_since");
        if (text_at(instance, "state") == "running" && older) {
            oldest = &instance;
        }
    }
    table.add({text_at(deployment, "name"), text_at(deployment, "backend"),
               {state_of(status), colour_of_state(text_at(status, "state"))},
               {fmt::format("{}/{}", number_at(status, "ready_replicas"), number_at(deployment, "replicas")), Colour::kNone, true},
               "",
               {memory > 0 ? human_bytes(memory) : "", Colour::kNone, true},
               {oldest != nullptr ? since(*oldest, "state_since") : "", Colour::kNone, true},
               text_at(status, "reason")});
    for (const json::value& item : instances) {
        const json::object& instance = item.get_object();
        const uint64_t bytes = static_cast<uint64_t>(number_at(instance, "memory_bytes"));
        const int64_t pid = number_at(instance, "pid");
        const int64_t restarts = number_at(instance, "restarts");
        std::string reason = text_at(instance, "reason");
        if (restarts > 0) {
            reason += fmt::format("{}{} restart{}", reason.empty() ? "" : "; ", restarts, restarts == 1 ? "" : "s");
        }
        table.add({{"  " + text_at(instance, "id"), Colour::kDim},
                   {pid > 0 ? fmt::format("pid {}", pid) : "", Colour::kDim},
                   {state_of(instance), colour_of_state(text_at(instance, "state"))},
                   "",
                   {devices_on(instance, text_at(instance, "worker_id"), text_at(instance, "worker_name")), Colour::kDim},
                   {bytes > 0 ? human_bytes(bytes) : "", Colour::kNone, true},
                   {since(instance, "state_since"), Colour::kNone, true},
                   reason});
        add_parts(table, instance);
    }
}

int list_deployments(const Context& context) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    Result<json::array> deployments = client->list("/api/v1/deployments");
    const Result<json::array> instances = deployments ? client->list("/api/v1/instances") : Result<json::array>(json::array());
    if (!deployments || !instances) {
        return fail(deployments ? instances.error() : deployments.error());
    }
    Table table({"NAME", "BACKEND", "STATE", "READY", "DEVICES", "MEMORY", "UPTIME", "REASON"});
    for (json::value& item : *deployments) {
        json::object& deployment = item.as_object();
        json::array own;
        for (const json::value& instance : *instances) {
            if (text_at(instance.as_object(), "deployment_id") == text_at(deployment, "id")) {
                own.push_back(instance);
            }
        }
        add_rows(table, deployment, own);
        deployment["instances"] = std::move(own);
    }
    if (context.json) {
        json::object object;
        object["deployments"] = *deployments;
        print(json::serialize(object) + "\n");
        return flushed(kDone);
    }
    return print_list(context, *deployments, "name", table,
                      "nothing is deployed; `gantry deploy NAME --source file:PATH.gguf` starts a model");
}

}  // namespace

void add_ps(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("ps", "list deployments and their instances");
    add_client_options(*verb, context);
    add_list_options(*verb, context);
    verb->callback([&context] { context.action = [&context] { return list_deployments(context); }; });
}

}  // namespace gantry::cli
