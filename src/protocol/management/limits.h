#pragma once
// The fields that keys and users share: limits, scopes, models. Internal to the folder.

#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {

LimitsInput read_limits(FieldReader& reader);
std::optional<Scopes> read_scopes(FieldReader& reader);                     // at least one
std::optional<std::vector<std::string>> read_models(FieldReader& reader);   // public names; they need not exist (yet)

}  // namespace gantry::protocol::management
