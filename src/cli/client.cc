#include "cli/client.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/edit_distance.h"
#include "base/url.h"
#include "base/version.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

// "key = value" lines; # starts a comment.
std::string config_value(const std::string& path, const std::string& wanted) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        const size_t equals = line.find('=');
        if (equals == std::string::npos || line.starts_with('#')) {
            continue;
        }
        const auto trimmed = [](std::string text) {
            text.erase(0, text.find_first_not_of(" \t\""));
            text.erase(text.find_last_not_of(" \t\r\"") + 1);
            return text;
        };
        if (trimmed(line.substr(0, equals)) == wanted) {
            return trimmed(line.substr(equals + 1));
        }
    }
    return {};
}

std::string config_path() {
    const std::string config_home = environment("XDG_CONFIG_HOME");
    const std::string base = config_home.empty() ? environment("HOME") + "/.config" : config_home;
    return base + "/gantry/config";
}

Result<ServerAddress> address_of_url(const std::string& url, const std::string& token, const char* where) {
    ServerAddress address;
    address.token = token;
    address.shown = url;
    if (url.starts_with("unix:")) {
        address.endpoint = url;
        return address;
    }
    const auto parsed = parse_url(url);
    if (!parsed) {
        return invalid_argument(fmt::format("{} is \"{}\": write it as https://HOST:PORT or http://HOST:PORT; it {}", where, url,
                                            parsed.error().message));
    }
    address.endpoint = parsed->endpoint();
    return address;
}

std::optional<ServerAddress> admin_socket(const std::string& data_dir) {
    std::error_code ignored;
    const std::string path = (fs::absolute(data_dir, ignored) / kAdminSocket).lexically_normal().string();
    if (!fs::exists(path, ignored)) {
        return std::nullopt;
    }
    ServerAddress address;
    address.endpoint = "unix:" + path;
    address.shown = fmt::format("the server of {}", data_dir);
    return address;
}

// By flag, environment or file, the first that names one; nullopt: none does.
Result<std::optional<ServerAddress>> server_by_url(const Context& context) {
    const std::string config = config_path();
    const std::string in_file = config_value(config, "server");
    const std::string in_environment = environment("GANTRY_SERVER");
    const std::string& url = !context.server.empty() ? context.server : !in_environment.empty() ? in_environment : in_file;
    if (url.empty()) {
        return std::optional<ServerAddress>();
    }
    const char* where = !context.server.empty() ? "--server" : !in_environment.empty() ? "GANTRY_SERVER" : "server in the configuration file";
    const bool of_file = url == in_file;
    std::string token = environment("GANTRY_TOKEN");
    if (token.empty() && of_file) {
        token = config_value(config, "token");
    }
    Result<ServerAddress> address = address_of_url(url, token, where);
    if (!address) {
        return address.error();
    }
    address->ca_file = context.ca_file.empty() && of_file ? config_value(config, "ca") : context.ca_file;
    return std::optional<ServerAddress>(std::move(*address));
}

Error no_server(const std::string& looked_in) {
    return unavailable(fmt::format("no server found: none is running on {}. Start one with `gantry serve`, or point GANTRY_SERVER "
                                   "(and GANTRY_TOKEN) at a running one",
                                   looked_in));
}

ErrorCode code_of(int status) {
    switch (status) {
        case 400: return ErrorCode::kInvalidArgument;
        case 401: return ErrorCode::kUnauthenticated;
        case 403: return ErrorCode::kPermissionDenied;
        case 404: return ErrorCode::kNotFound;
        case 409: return ErrorCode::kConflict;
        case 503: return ErrorCode::kUnavailable;
        case 507: return ErrorCode::kStorageFull;
        default: return ErrorCode::kInternal;
    }
}

}  // namespace

std::string default_data_dir() {
    if (const std::string set = environment("GANTRY_DATA_DIR"); !set.empty()) {
        return set;
    }
    if (geteuid() == 0) {
        return "/var/lib/gantry";
    }
    const std::string data_home = environment("XDG_DATA_HOME");
    return (data_home.empty() ? environment("HOME") + "/.local/share" : data_home) + "/gantry";
}

std::string default_cache_dir() {
    if (geteuid() == 0) {
        return "/var/cache/gantry";
    }
    const std::string cache_home = environment("XDG_CACHE_HOME");
    return (cache_home.empty() ? environment("HOME") + "/.cache" : cache_home) + "/gantry";
}

Result<ServerAddress> find_server(const Context& context) {
    if (context.server.empty() && !context.data_dir.empty()) {
        const std::optional<ServerAddress> found = admin_socket(context.data_dir);
        return found ? Result<ServerAddress>(*found) : no_server(context.data_dir);
    }
    Result<std::optional<ServerAddress>> far = server_by_url(context);
    if (!far) {
        return far.error();
    }
    if (far->has_value()) {
        return **far;
    }
    if (!environment("GANTRY_DATA_DIR").empty()) {
        const std::optional<ServerAddress> found = admin_socket(default_data_dir());
        return found ? Result<ServerAddress>(*found) : no_server(default_data_dir());
    }
    for (const std::string& folder : {std::string(".gantry"), default_data_dir()}) {
        if (const std::optional<ServerAddress> found = admin_socket(folder)) {
            return *found;
        }
    }
    return no_server(fmt::format("./.gantry or {}", default_data_dir()));
}

Error error_of(int status, const std::string& body) {
    Error error;
    error.code = code_of(status);
    const Result<json::value> value = parse_json(body);
    const json::object& object = value && value->is_object() ? object_at(value->get_object(), "error") : json::object();
    error.message = text_at(object, "message");
    error.param = text_at(object, "param");
    error.reason = text_at(object, "code");
    if (error.message.empty()) {
        error.message = fmt::format("the server answered with status {}", status);
    }
    return error;
}

Result<ApiClient> ApiClient::connect(const Context& context) {
    Result<ServerAddress> address = find_server(context);
    if (!address) {
        return address.error();
    }
    return ApiClient(std::move(address).value());
}

http::Headers ApiClient::headers() const {
    http::Headers headers;
    headers.set("user-agent", std::string("gantry/") + kVersion);
    if (!server_.token.empty()) {
        headers.set("authorization", "Bearer " + server_.token);
    }
    return headers;
}

http::ClientOptions ApiClient::client_options() const {
    http::ClientOptions options;
    options.ca_file = server_.ca_file;
    return options;
}

Error ApiClient::explained(const Error& error) const {
    if (error.reason == http::kTlsFailed) {
        return unavailable(fmt::format("{} answers, but {}. Name the authority that signed its certificate with --ca FILE, and the server "
                                       "as the certificate does; or use http:// if it speaks no TLS",
                                       server_.shown, error.message),
                           error.reason);
    }
    if (error.code != ErrorCode::kUnavailable) {
        return error;
    }
    return unavailable(fmt::format("{} does not answer ({}). If it isn't running, start it with `gantry serve`", server_.shown,
                                   error.message));
}

Result<json::value> ApiClient::call(const std::string& method, const std::string& target, const json::value& body) const {
    http::Client::Call call;
    call.method = method;
    call.target = target;
    call.headers = headers();
    if (!body.is_null()) {
        call.headers.set("content-type", "application/json");
        call.body = json::serialize(body);
    }
    const Result<http::SimpleResponse> response = http::fetch(server_.endpoint, call, client_options());
    if (!response) {
        return explained(response.error());
    }
    if (response->status >= 400) {
        return error_of(response->status, response->body);
    }
    if (response->body.empty()) {
        return json::value(nullptr);
    }
    return parse_json(response->body);
}

Result<json::object> ApiClient::get(const std::string& target) const {
    Result<json::value> value = call("GET", target);
    if (!value) {
        return value.error();
    }
    if (!value->is_object()) {
        return internal_error("the server's answer is no JSON object; is this a gantry server?");
    }
    return std::move(value->get_object());
}

Result<json::array> ApiClient::list(const std::string& target) const {
    json::array all;
    std::string cursor;
    do {
        const char joint = target.find('?') == std::string::npos ? '?' : '&';
        Result<json::object> page = get(fmt::format("{}{}limit=200&cursor={}", target, joint, encode_segment(cursor)));
        if (!page) {
            return page.error();
        }
        for (const json::value& item : array_at(*page, "items")) {
            all.push_back(item);
        }
        cursor = text_at(*page, "next_cursor");
    } while (!cursor.empty());
    return all;
}

Status ApiClient::stream(const std::string& target, const std::function<bool(std::string_view)>& sink) const {
    http::Client::Call call;
    call.target = target;
    call.headers = headers();
    http::ClientOptions options = client_options();
    options.idle_timeout = std::chrono::hours(24 * 365);  // A quiet log is no broken one.
    const Result<http::SimpleResponse> response = http::fetch_stream(server_.endpoint, call, sink, options);
    if (!response) {
        return explained(response.error());
    }
    if (response->status >= 400) {
        return error_of(response->status, response->body);
    }
    return Ok{};
}

Status ApiClient::events(const std::string& target,
                         const std::function<bool(const std::string&, const json::object&)>& sink) const {
    http::SseReader reader;
    Status failure = Ok{};
    const Status streamed = stream(target, [&](std::string_view bytes) {
        const Result<std::vector<http::SseEvent>> events = reader.feed(bytes);
        if (!events) {
            failure = events.error();
            return false;
        }
        for (const http::SseEvent& event : *events) {
            const Result<json::value> data = parse_json(event.data);
            if (data && data->is_object() && !sink(event.event, data->get_object())) {
                return false;
            }
        }
        return true;
    });
    return failure ? streamed : failure;
}

Result<json::object> ApiClient::deployment(const std::string& name) const {
    Result<json::object> found = get("/api/v1/deployments/" + encode_segment(name));
    if (found || found.error().code != ErrorCode::kNotFound) {
        return found;
    }
    std::vector<std::string> names;
    if (const Result<json::array> all = list("/api/v1/deployments")) {
        for (const json::value& item : *all) {
            names.push_back(item.is_object() ? text_at(item.get_object(), "name") : std::string());
        }
    }
    std::string message = fmt::format("there is no deployment \"{}\"", printable(name));
    if (const std::optional<std::string> near = did_you_mean(name, names)) {
        message += fmt::format("; did you mean \"{}\"?", *near);
    } else {
        message += names.empty() ? "; make one with `gantry deploy NAME --source file:PATH`" : "; `gantry ps` lists them";
    }
    return not_found(std::move(message));
}

}  // namespace gantry::cli
