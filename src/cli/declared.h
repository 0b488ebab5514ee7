#pragma once
// A declared set of deployments (`gantry apply`, `diff`, `export`): a JSON file {"deployments": [{"name": ..., "source": ..., ...}]} whose
// objects have the fields that the API takes. It declares each deployment as a whole: a field that is left out has its default. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace gantry::cli {

// The file's deployments, each with all fields (those of PATCH, and name), in its order. kInvalidArgument says which is wrong
// and how: no JSON, an unknown field, a name twice. A source without a scheme is a path, as in `gantry deploy`.
Result<std::vector<json::object>> read_declared(std::string_view text);

struct FieldChange {
    std::string field;            // "replicas", "options.threads"
    json::value from, to;
};
struct DeploymentChange {
    json::object wanted;          // as read_declared gives it
    json::object is;              // what the server has; empty: there is none, it is created
    std::vector<FieldChange> changes{};
};
struct Difference {
    std::vector<DeploymentChange> created{}, changed{};
    std::vector<std::string> unchanged{};
    std::vector<json::object> undeclared{};   // what the server has besides
};
Difference compare(const std::vector<json::object>& declared, const json::array& there);

// The file that declares what is there: what differs from the defaults only.
std::string export_text(const json::array& there);

}  // namespace gantry::cli
