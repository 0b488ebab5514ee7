#pragma once
// Columns that hold JSON texts: a deployment's options, an instance's placement, a route's targets, a worker's devices and labels, a
// model's meta, limits, lists of names, what an audit event changed. Which fields each has: domain/fields.h; they may come or go without
// a migration (base/json_fields.h).

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "domain/audit.h"
#include "domain/deployment.h"
#include "domain/device.h"
#include "domain/model.h"
#include "domain/route.h"
#include "domain/user.h"
#include "store/statement.h"

namespace gantry::store {

// kInvalidArgument for text that is no UTF-8, which JSON could not give back.
Result<std::string> to_json_text(const BackendOptions& options);
Result<std::string> to_json_text(const PlacementOptions& options);
Result<std::string> to_json_text(const RolloutOptions& options);
Result<std::string> to_json_text(const Placement& placement);
Result<std::string> to_json_text(const std::vector<Device>& devices);
Result<std::string> to_json_text(const ModelMeta& meta);
Result<std::string> to_json_text(const std::vector<RouteTarget>& targets);
Result<std::string> to_json_text(const Limits& limits);
Result<std::string> to_json_text(const std::vector<std::string>& names);
Result<std::string> to_json_text(const std::map<std::string, std::string>& labels);
Result<std::string> to_json_text(const std::vector<AuditChange>& changes);

// The columns that keys and users share.
struct UseTexts {
    std::string limits, models;
};
template <class KeyOrUser>
Result<UseTexts> use_texts(const KeyOrUser& of) {
    auto limits = to_json_text(of.limits);
    if (!limits) return limits.error();
    auto models = to_json_text(of.models);
    if (!models) return models.error();
    return UseTexts{*std::move(limits), *std::move(models)};
}

Columns& operator>>(Columns& columns, BackendOptions& out);
Columns& operator>>(Columns& columns, PlacementOptions& out);
Columns& operator>>(Columns& columns, RolloutOptions& out);
Columns& operator>>(Columns& columns, Placement& out);
Columns& operator>>(Columns& columns, std::vector<Device>& out);
Columns& operator>>(Columns& columns, ModelMeta& out);
Columns& operator>>(Columns& columns, std::vector<RouteTarget>& out);
Columns& operator>>(Columns& columns, Limits& out);
Columns& operator>>(Columns& columns, std::vector<std::string>& out);
Columns& operator>>(Columns& columns, std::map<std::string, std::string>& out);
Columns& operator>>(Columns& columns, std::vector<AuditChange>& out);

}  // namespace gantry::store
