#pragma once
// Finds rows by id or by name, as /api/v1's {id} allows. All may block. kNotFound says what was looked for.

#include <optional>
#include <string>

#include "control/api/api.h"

namespace gantry::control {

Result<Deployment> find_deployment(store::Store& store, const std::string& id_or_name);
Result<Model> find_model(store::Store& store, const std::string& id_or_name);
Result<Route> find_route(store::Store& store, const std::string& id_or_name);
Result<Provider> find_provider(store::Store& store, const std::string& id_or_name);
Result<User> find_user(store::Store& store, const std::string& id_or_name);
Result<Worker> find_worker(ApiContext& api, const std::string& id_or_name);   // with what was observed

// The model of a source that the catalogue does not have yet, its header read: slow. nullopt: it is there, or can't be read, which
// is no error here: the instance's state will say so.
std::optional<Model> unknown_model_of(ApiContext& api, const std::string& source);
void add_model(ApiContext& api, Model model);   // under its name, or that with a number
// "/m/SmolLM2.Q4_1.gguf" -> "smollm2.q4_1"
std::string model_name_of(const std::string& path);

}  // namespace gantry::control
