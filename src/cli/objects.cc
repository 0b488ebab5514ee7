#include "cli/objects.h"

#include <fmt/format.h>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {

Result<json::array> list_of(const Context& context, const std::string& collection) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return client.error();
    }
    return client->list(collection);
}

int print_changed(const Context& context, const Result<json::value>& answer, const char* kind,
                  const std::function<std::string(const json::object&)>& told) {
    if (!answer) {
        return fail(answer.error());
    }
    if (!answer->is_object()) {
        return fail(fmt::format("the server's answer holds no {}", kind));
    }
    const json::object& object = answer->get_object();
    if (context.json) {
        print(json::serialize(object) + "\n");
    } else if (!context.quiet) {
        note(told(object));
    }
    return flushed(kDone);
}

int remove_each(const Context& context, const std::string& collection, const std::vector<std::string>& names, const char* lost) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    int status = kDone;
    for (const std::string& name : names) {
        const Result<json::value> removed = client->call("DELETE", collection + "/" + encode_segment(name));
        if (!removed) {
            status = fail(removed.error());
        } else if (!context.quiet) {
            note(fmt::format("{} is removed{}", printable(name), lost));
        }
    }
    return status;
}

Result<std::string> path_of_model_files(const ApiClient& client, const std::string& source, const std::string& worker, const char* action) {
    const std::string query = worker.empty() ? "" : "?worker=" + encode_segment(worker);
    const Result<json::array> sets = client.list("/api/v1/model-files" + query);
    if (!sets) {
        return sets.error();
    }
    for (const json::value& item : *sets) {
        const std::string id = text_at(item.as_object(), "id");
        if (id == source || text_at(item.as_object(), "source") == source) {
            return "/api/v1/model-files/" + encode_segment(id) + action + query;
        }
    }
    return not_found(fmt::format("there are no files of {} on {}; `gantry ls --files` lists those that there are", printable(source),
                                 worker.empty() ? "the server's machine" : printable(worker)));
}

}  // namespace gantry::cli
