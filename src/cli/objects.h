#pragma once
// What the verbs of named objects (routes, providers, users, keys, ...) share: a list of them, what a change made of one, and removing some.

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/context.h"

namespace gantry::cli {

// All of a list, as "/api/v1/routes".
Result<json::array> list_of(const Context& context, const std::string& collection);

// One object as a change made it (`kind`: "route"), as --json and --quiet want it. `told`: the line for a person.
int print_changed(const Context& context, const Result<json::value>& answer, const char* kind,
                  const std::function<std::string(const json::object&)>& told);

// Each by name or id, going on after one that can't be; `lost` follows "NAME is removed".
int remove_each(const Context& context, const std::string& collection, const std::vector<std::string>& names, const char* lost);

// "/api/v1/model-files/<id><action>" of a source, or of an id, on the machine of the worker; empty: the server's own. kNotFound.
class ApiClient;
Result<std::string> path_of_model_files(const ApiClient& client, const std::string& source, const std::string& worker, const char* action = "");

}  // namespace gantry::cli
