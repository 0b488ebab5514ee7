// Workers and their devices; the server itself.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

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
    json::array links;
    for (const DeviceLink& link : d.links) links.emplace_back(json::object{{"to", link.to}, {"kind", link.kind}});
    json::array processes;
    for (const DeviceProcess& process : d.processes) {
        processes.emplace_back(json::object{{"pid", process.pid},
                                            {"name", process.name},
                                            {"memory_bytes", process.memory_bytes},
                                            {"instance_id", process.instance_id.text}});
    }
    json::array nodes;
    for (const NumaNode& node : d.numa_nodes) {
        const auto known = [](const auto& number) { return number ? json::value(*number) : json::value(); };
        nodes.emplace_back(json::object{{"node", node.node},
                                        {"cores", node.cores},
                                        {"core_count", known(node.core_count)},
                                        {"memory_total_bytes", known(node.memory_total_bytes)},
                                        {"memory_free_bytes", known(node.memory_free_bytes)},
                                        {"distances", json::value_from(node.distances)}});
    }
    return {{"vendor", d.vendor},
            {"index", d.index},
            {"name", d.name},
            {"uuid", d.uuid},
            {"chip", d.chip},
            {"unified_memory", d.unified_memory},
            {"temperature_celsius", d.temperature_celsius ? json::value(*d.temperature_celsius) : json::value()},
            {"driver_version", d.driver_version},
            {"runtime_version", d.runtime_version},
            {"bus_address", d.bus_address},
            {"numa_node", d.numa_node ? json::value(*d.numa_node) : json::value()},
            {"numa_nodes", std::move(nodes)},
            {"partition", d.partition},
            {"links", std::move(links)},
            {"processes", std::move(processes)},
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

json::object to_json(const DeviceCourses& courses, const Worker& worker, WallTime to) {
    const auto rounded = [](const std::optional<double>& value, double parts) {
        return value ? json::value(std::round(*value * parts) / parts) : json::value(nullptr);
    };
    json::array items;
    for (const DeviceCourses::Course& course : courses.devices) {
        json::array memory, utilization, utilization_max, temperature;
        for (const DeviceFigures& step : course.steps) {
            memory.push_back(step.memory_used_bytes ? json::value(*step.memory_used_bytes) : json::value(nullptr));
            utilization.push_back(rounded(step.utilization, 10'000));
            utilization_max.push_back(rounded(step.utilization_max, 10'000));
            temperature.push_back(rounded(step.temperature_celsius, 10));
        }
        const auto device = std::find_if(worker.devices.begin(), worker.devices.end(), [&](const Device& d) {
            return d.vendor == course.vendor && d.index == course.index;
        });
        items.emplace_back(json::object{{"id", fmt::format("{}/{}/{}", worker.id.text, course.vendor, course.index)},
                                        {"vendor", course.vendor},
                                        {"index", course.index},
                                        {"name", device == worker.devices.end() ? "" : device->name},
                                        {"memory_used_bytes", std::move(memory)},
                                        {"utilization", std::move(utilization)},
                                        {"utilization_max", std::move(utilization_max)},
                                        {"temperature_celsius", std::move(temperature)}});
    }
    json::value since;
    if (courses.measured_since) since = to_rfc3339(*courses.measured_since);
    return {{"worker_id", worker.id.text},
            {"worker_name", worker.name},
            {"from", to_rfc3339(courses.from)},
            {"to", to_rfc3339(to)},
            {"step_seconds", std::chrono::seconds(courses.step).count()},
            {"measured_since", std::move(since)},
            {"items", std::move(items)}};
}

json::object to_json(const Worker& w) {
    json::array devices;
    for (const Device& device : w.devices) devices.emplace_back(to_json(w.id, w.name, device));
    json::array backends;
    for (const BackendProgram& program : w.programs) {
        if (!program.path.empty()) backends.emplace_back(json::object{{"name", program.backend}, {"version", program.version}});
    }
    json::object labels;
    for (const auto& [name, value] : w.labels) labels[name] = value;
    json::value last_report;
    if (w.last_report_at != WallTime{}) last_report = to_rfc3339(w.last_report_at);
    json::value drain_by;
    if (w.drain_by) drain_by = to_rfc3339(*w.drain_by);
    return {{"id", w.id.text},
            {"name", w.name},
            {"address", w.address},
            {"gantry_version", w.version},
            {"cordoned", w.cordoned},
            {"drain_by", std::move(drain_by)},
            {"state", gantry::to_string(w.state)},
            {"last_report_at", std::move(last_report)},
            {"os", w.os},
            {"arch", w.arch},
            {"labels", std::move(labels)},
            {"devices", std::move(devices)},
            {"data_address", w.data_address},
            {"backends", std::move(backends)},
            {"device_notes", json::array(w.device_notes.begin(), w.device_notes.end())},
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
    input.labels = reader.string_map("labels", kLabelsMax, kLabelBytesMax);
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
    input.drain_seconds = reader.integer("drain_seconds", 0, kDrainSecondsMax);
    if (input.drain_seconds && input.cordoned) {
        reader.fail("drain_seconds", "\"drain_seconds\" cordons by itself: give one of the two");
    }
    input.labels = reader.string_map("labels", kLabelsMax, kLabelBytesMax);
    input.version = reader.integer("version", 1, INT64_MAX);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

}  // namespace gantry::protocol::management
