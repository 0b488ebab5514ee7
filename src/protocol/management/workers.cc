// Workers and their devices; the server itself.
#include <fmt/format.h>

#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

std::optional<std::string> worker_name(FieldReader& reader) {
    auto name = reader.string("name", 1024);
    if (!name) return name;
    // As host names, but for case; the name appears in terminals and labels.
    bool valid = !name->empty() && name->size() <= 128;
    for (const char c : *name) {
        valid = valid && (std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-');
    }
    if (!valid) reader.fail("name", "\"name\" must be 1 to 128 characters of letters, digits and . _ -");
    return name;
}

json::object device_fields(const Device& d) {
    return {{"vendor", d.vendor},
            {"index", d.index},
            {"name", d.name},
            {"memory_total_bytes", d.memory_total_bytes},
            {"memory_free_bytes", d.memory_free_bytes},
            {"cores", d.cores},
            {"utilization", d.utilization},
            {"details", d.details},
            {"problem", d.problem}};
}

}  // namespace

json::object to_json(const WorkerId& worker, const std::string& name, const Device& device) {
    json::object out{{"id", fmt::format("{}/{}/{}", worker.text, device.vendor, device.index)},
                     {"worker_id", worker.text},
                     {"worker_name", name}};
    for (auto& field : device_fields(device)) out[field.key()] = std::move(field.value());
    return out;
}

json::object to_json(const Worker& w) {
    json::array devices;
    for (const Device& device : w.devices) devices.emplace_back(to_json(w.id, w.name, device));
    json::value last_report;
    if (w.last_report_at != WallTime{}) last_report = to_rfc3339(w.last_report_at);
    return {{"id", w.id.text},
            {"name", w.name},
            {"address", w.address},
            {"gantry_version", w.version},
            {"cordoned", w.cordoned},
            {"state", gantry::to_string(w.state)},
            {"last_report_at", std::move(last_report)},
            {"devices", std::move(devices)},
            {"version", w.version_number},
            {"created_at", to_rfc3339(w.created_at)}};
}

json::object to_json(const ServerInfo& info) {
    json::object out{{"name", info.name},
                     {"version", info.version},
                     {"commit", info.commit},
                     {"started_at", to_rfc3339(info.started_at)},
                     {"url_hint", info.url_hint}};
    if (info.data_dir) out["data_dir"] = *info.data_dir;
    return out;
}

Result<WorkerInput> parse_worker_create(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    reader.require("name");
    WorkerInput input;
    input.name = worker_name(reader);
    input.address = reader.string("address", 512);
    input.cordoned = reader.boolean("cordoned");
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<WorkerInput> parse_worker_patch(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    WorkerInput input;
    input.name = worker_name(reader);
    input.cordoned = reader.boolean("cordoned");
    input.version = reader.integer("version", 1, INT64_MAX);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

}  // namespace gantry::protocol::management
