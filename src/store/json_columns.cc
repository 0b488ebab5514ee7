#include "store/json_columns.h"

#include "domain/fields.h"

namespace gantry::store {
namespace {

// Strings come from people and from /proc: what JSON can't give back must not be stored.
Result<std::string> checked(std::string text) {
    if (auto back = parse_json(text); !back) {
        return invalid_argument("a text in it is not valid UTF-8, or a number is none: correct it and try again.");
    }
    return text;
}

// False where the column's text is no JSON of the kind that T is.
template <class T>
Columns& read_json(Columns& columns, T& out) {
    auto value = parse_json(columns.text());
    if (!value || !from_json_value(*value, out)) columns.fail();
    return columns;
}

template <class T>
Result<std::string> text_of(const T& value) {
    return checked(json::serialize(to_json_value(value)));
}

}  // namespace

Result<std::string> to_json_text(const BackendOptions& options) { return text_of(options); }
Result<std::string> to_json_text(const PlacementOptions& options) { return text_of(options); }
Result<std::string> to_json_text(const RolloutOptions& options) { return text_of(options); }
Result<std::string> to_json_text(const Placement& placement) { return text_of(placement); }
Result<std::string> to_json_text(const std::vector<Device>& devices) { return text_of(devices); }
Result<std::string> to_json_text(const ModelMeta& meta) { return text_of(meta); }
Result<std::string> to_json_text(const std::vector<RouteTarget>& targets) { return text_of(targets); }
Result<std::string> to_json_text(const Limits& limits) { return text_of(limits); }
Result<std::string> to_json_text(const std::vector<std::string>& names) { return text_of(names); }
Result<std::string> to_json_text(const std::map<std::string, std::string>& labels) { return text_of(labels); }
Result<std::string> to_json_text(const std::vector<AuditChange>& changes) { return text_of(changes); }

Columns& operator>>(Columns& columns, BackendOptions& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, PlacementOptions& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, RolloutOptions& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, Placement& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::vector<Device>& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, ModelMeta& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::vector<RouteTarget>& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, Limits& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::vector<std::string>& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::map<std::string, std::string>& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::vector<AuditChange>& out) { return read_json(columns, out); }

}  // namespace gantry::store
