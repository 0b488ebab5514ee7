#pragma once
// "catalogue:ID" and "catalogue:ID:QUANTIZATION" as a source: what the server's catalogue has under that id, as a hub's source, with the
// backend and the options that the catalogue recommends. Without a quantization it is the variant that suits these workers best.

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cli/client.h"
#include "cli/deployment_flags.h"

namespace gantry::cli {

// Sets "source" in the body of a deployment or an evaluation; of a source of the catalogue backend and options, too, where no flag said
// otherwise. kNotFound, kInvalidArgument: what there is to choose from.
Status take_source(const ApiClient& client, const DeploymentFlags& flags, const std::string& source, json::object& body);

// The source alone, as a hub's. `hub`: "hf", "modelscope"; empty: the first that the catalogue names.
Result<std::string> hub_source(const ApiClient& client, const std::string& source, const std::string& hub);

}  // namespace gantry::cli
