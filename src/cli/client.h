#pragma once
// The way to a server: which one, with what credentials, and its management API as values. Blocking; one thread.

#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cli/context.h"
#include "http/http.h"

namespace gantry::cli {

struct ServerAddress {
    std::string endpoint;      // "tcp:HOST:PORT", "tls:HOST:PORT" or "unix:/path/admin.sock"
    std::string token;         // API key; empty on the admin socket
    std::string shown;         // how a person calls it: "http://host:9090", "the server of /var/lib/gantry"
    std::string ca_file{};     // of tls: whom to trust; empty: the system's authorities
};

// $GANTRY_DATA_DIR, else /var/lib/gantry for root, else ~/.local/share/gantry.
std::string default_data_dir();
// For what may be deleted at any time: /var/cache/gantry for root, else in the user's cache folder (XDG).
std::string default_cache_dir();
inline constexpr char kAdminSocket[] = "admin.sock";

// In this order: --server; --data-dir; GANTRY_SERVER; server= in ~/.config/gantry/config; the admin socket of GANTRY_DATA_DIR, or
// else of ./.gantry, or else of the default data folder. The token is GANTRY_TOKEN, or token= in that file, which goes to no
// other server than the file's. kUnavailable says what to do.
Result<ServerAddress> find_server(const Context& context);

class ApiClient {
public:
    // find_server().
    static Result<ApiClient> connect(const Context& context);
    explicit ApiClient(ServerAddress server) : server_(std::move(server)) {}
    const ServerAddress& server() const { return server_; }

    // The parsed body of a 2xx answer (null where it is empty). An error answer becomes an Error with the server's message.
    Result<json::value> call(const std::string& method, const std::string& target, const json::value& body = nullptr) const;
    Result<json::object> get(const std::string& target) const;
    // All pages of a list.
    Result<json::array> list(const std::string& target) const;
    // GET with the body as it comes; `sink` returns false to stop.
    Status stream(const std::string& target, const std::function<bool(std::string_view)>& sink) const;
    // The same as server-sent events: name and parsed data.
    Status events(const std::string& target, const std::function<bool(const std::string&, const json::object&)>& sink) const;

    // A deployment by name; kNotFound names the nearest one there is.
    Result<json::object> deployment(const std::string& name) const;
    // Every call carries these,
    http::Headers headers() const;
    // and is made with these.
    http::ClientOptions client_options() const;
    // What the error of a failed connection should say.
    Error explained(const Error& error) const;

private:
    ServerAddress server_;
};

// The error of an answer: its code by the status, its message from the four-key body.
Error error_of(int status, const std::string& body);

}  // namespace gantry::cli
