#include "cli/waiting.h"

#include <fmt/format.h>

#include <optional>
#include <thread>

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

// What one watched event says about the wait: nothing yet, or its end.
std::optional<Status> outcome(const std::string& event, const json::object& deployment) {
    const std::string name = text_at(deployment, "name");
    if (event == "deleted") {
        return not_found(fmt::format("{} was deleted meanwhile", name));
    }
    const json::object& status = object_at(deployment, "status");
    const std::string state = text_at(status, "state");
    if (state == "error") {
        const std::string reason = text_at(status, "reason");
        return internal_error(fmt::format("{} did not start: {}. `gantry logs {}` shows what it wrote", name,
                                          reason.empty() ? "no reason is known" : reason, name));
    }
    if (state == "stopped") {
        return unavailable(fmt::format("{} is stopped; start it with `gantry start {}`", name, name));
    }
    if (state == "asleep") {   // it served, and will when somebody asks
        return Status(Ok{});
    }
    if (state == "running" && number_at(status, "ready_replicas") >= number_at(deployment, "replicas")) {
        return Status(Ok{});
    }
    return std::nullopt;
}

// The same of an update.
std::optional<Status> outcome_of_rollout(const std::string& event, const json::object& deployment) {
    const json::object& status = object_at(deployment, "status");
    const json::object& rollout = object_at(status, "rollout");
    const std::string state = text_at(rollout, "state");
    if (event != "deleted" && state == "complete") {
        return Status(Ok{});
    }
    if (event != "deleted" && state == "reverted") {
        return unavailable(fmt::format("{} was updated in vain: {}", text_at(deployment, "name"), text_at(rollout, "reason")));
    }
    const bool goes_on = event != "deleted" && state != "stopped" && text_at(status, "state") == "running";
    return goes_on ? std::nullopt : outcome(event, deployment);   // with nothing to go back to it may fail as a new one does
}

using Outcome = std::optional<Status> (*)(const std::string& event, const json::object& deployment);

void show(Progress& progress, const std::string& name, const json::object& status) {
    const std::string state = text_at(status, "state");
    const std::string reason = text_at(status, "reason");
    const double fraction = real_at(status, "progress");
    const bool loading = (state == "starting" || state == "downloading") && fraction > 0;
    const json::object& rollout = object_at(status, "rollout");
    if (state == "running" && number_at(rollout, "old_replicas") > 0) {
        progress.show(fmt::format("{}: {} updated, {} old left{}{}", name, number_at(rollout, "updated_replicas"),
                                  number_at(rollout, "old_replicas"), reason.empty() ? "" : ": ", reason));
        return;
    }
    progress.show(fmt::format("{}: {}{}{}", name, state, reason.empty() ? "" : ": ", reason), loading ? fraction : -1);
}

}  // namespace

namespace {

Status follow(const ApiClient& client, const std::string& name, bool show_progress, std::chrono::seconds timeout, Outcome outcome) {
    Progress progress(show_progress, true);
    const Deadline deadline = Deadline::after(timeout);
    std::optional<Status> end;
    while (!end) {
        const Status watched = client.events("/api/v1/watch?kinds=deployments", [&](const std::string& event, const json::object& data) {
            const json::object& object = object_at(data, "object");
            if (text_at(object, "name") == name) {
                end = outcome(event, object);
                if (!end) {
                    show(progress, name, object_at(object, "status"));
                }
            }
            return !end && !deadline.passed(std::chrono::steady_clock::now());
        });
        if (!end && !watched) {
            return watched;
        }
        if (!end && deadline.passed(std::chrono::steady_clock::now())) {
            return Error{ErrorCode::kDeadlineExceeded,
                         fmt::format("{} was not running after {}; `gantry ps` shows its state", name, human_period(timeout.count())),
                         {},
                         {}};
        }
        // The stream ended in good order (the server asked us to come again): the next one begins with the state as it is.
        if (!end) {
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }
    return *end;
}

}  // namespace

Status wait_until_running(const ApiClient& client, const std::string& name, bool show_progress, std::chrono::seconds timeout) {
    return follow(client, name, show_progress, timeout, outcome);
}

Status wait_for_rollout(const ApiClient& client, const std::string& name, bool show_progress, std::chrono::seconds timeout) {
    return follow(client, name, show_progress, timeout, outcome_of_rollout);
}

}  // namespace gantry::cli
