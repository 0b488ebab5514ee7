#include "cli/change.h"

#include <fmt/format.h>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/waiting.h"
#include "cli/words.h"

namespace gantry::cli {

int change_deployments(const Context& context, const std::vector<std::string>& names, const Change& change) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    int status = kDone;
    for (const std::string& name : names) {
        const Result<json::object> found = client->deployment(name);  // for the suggestion when there is none
        if (!found) {
            status = fail(found.error());
            continue;
        }
        const std::string path = "/api/v1/deployments/" + encode_segment(text_at(*found, "id"));
        const Result<json::value> changed = change.act.empty() ? client->call("PATCH", path, change.body)
                                                               : client->call("POST", path + "/" + change.act, change.body);
        if (!changed) {
            status = fail(changed.error());
            continue;
        }
        if (change.wait) {
            const Status waited = wait_until_running(*client, text_at(*found, "name"), !context.quiet);
            if (!waited) {
                status = fail(waited.error());
                continue;
            }
        }
        if (!context.quiet) {
            note(fmt::format("{} {}", printable(text_at(*found, "name")), change.wait ? "is running" : change.done));
        }
    }
    return status;
}

}  // namespace gantry::cli
