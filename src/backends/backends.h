#pragma once
// A backend is an engine product: how to start one for an instance, and how to see that it is ready. A file each; one line
// each in the table in backends.cc. Pure: no process is started here.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "domain/deployment.h"

namespace gantry::backends {

struct LaunchInput {
    std::string gantry_binary;      // for the embedded engine: /proc/self/exe of the worker
    std::string model_path;         // absolute, checked
    std::string name;               // the deployment's
    std::string socket_path;        // free to listen on, if the backend can
    uint16_t port = 0;              // a free loopback port, if it can't
    std::string api_key;            // random, for backends that take one
    std::string exit_file;
    BackendOptions options;
};

struct LaunchPlan {
    std::vector<std::string> argv;              // argv[0] an absolute path or a name looked up in PATH; no shell, ever
    std::map<std::string, std::string> env;     // added to PATH, HOME, LANG, TMPDIR
    std::string endpoint;                       // "unix:..." or "tcp:127.0.0.1:PORT"
    std::string api_key;                        // what the gateway must send; empty: none
    std::string health_path;
    bool writes_exit_file = false;
};

class Backend {
public:
    virtual ~Backend() = default;
    // kInvalidArgument with the field in `param` when the options can't work: an unknown placeholder, a flag that would open the
    // engine to others (--host, --port, --api-key in extra_args), LD_PRELOAD and the like in env; last, with the reason
    // "backend_missing", a binary that isn't there.
    virtual Status validate(const BackendOptions& options) const = 0;
    virtual Result<LaunchPlan> launch(const LaunchInput& input) const = 0;
};

const Backend& backend(BackendKind kind);

}  // namespace gantry::backends
