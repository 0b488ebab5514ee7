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

// What the catalogue lacks of a source's model: all of it, or what its files say since (a tower for pictures lies beside it now). Its
// header is read: slow, so before the first write. nullopt: nothing, or it can't be read, which is no error here: the instance's state will say so.
struct ModelChange {
    Model model;
    std::optional<int64_t> seen{};   // the version that it replaces; nullopt: it is new
};
std::optional<ModelChange> model_change_of(ApiContext& api, const std::string& source);
void carry_out(ApiContext& api, ModelChange change);   // a new one under its name, or that with a number
// "file:/m/SmolLM2.Q4_1.gguf" -> "smollm2.q4_1", "hf:Org/SmolLM2-GGUF:Q4_1" -> "smollm2-gguf-q4_1"
std::string model_name_of(const Source& source);
// Refuses a source that its hub will never give: a repository, revision or file that isn't there or may not be read, or no model. A hub
// that does not answer now refuses nothing: the files may be on a worker already. May take many seconds.
Status check_source(ApiContext& api, const std::string& source);

}  // namespace gantry::control
