// Evaluations: what a model needs and where it fits.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

// Of the workers that were not chosen a kept decision shows so many, the best first.
constexpr size_t kOthersKept = 15;
// Of an imagined fleet.
constexpr size_t kWorkersMax = 1000;
constexpr size_t kDevicesMax = 256;   // of a worker
constexpr size_t kTextMax = 256;      // bytes

json::object shown(const Term& term);
json::object shown(const DeviceVerdict& verdict);
json::object shown(const ScorePart& part);
json::object shown(const WorkerVerdict& verdict);
json::object shown(const Suggestion& suggestion);

template <class T>
json::array list_of(const std::vector<T>& items) {
    json::array out;
    for (const T& item : items) out.emplace_back(shown(item));
    return out;
}

json::object shown(const Term& term) {
    return {{"name", term.name}, {"where", gantry::to_string(term.where)}, {"bytes", term.bytes}, {"formula", term.formula}};
}

json::object shown(const Estimate& e) {
    return {{"total_bytes", e.total()},
            {"memory_bytes", e.memory_bytes},
            {"rank_bytes", json::array(e.rank_bytes.begin(), e.rank_bytes.end())},
            {"bytes_per_token", e.bytes_per_token},
            {"terms", list_of(e.terms)},
            {"unknown", json::array(e.unknown.begin(), e.unknown.end())}};
}

json::object shown(const DeviceVerdict& d) {
    return {{"device", gantry::to_string(d.device)},
            {"name", d.name},
            {"allocatable_bytes", d.allocatable_bytes},
            {"needed_bytes", d.needed_bytes},
            {"chosen", d.chosen},
            {"rule", d.rule},
            {"reason", d.reason}};
}

json::object shown(const ScorePart& s) {
    return {{"scorer", s.scorer}, {"score", s.score}, {"weight", s.weight}, {"reason", s.reason}};
}

json::object shown(const WorkerVerdict& w) {
    return {{"worker_id", w.worker_id.text},
            {"worker_name", w.name},
            {"rule", w.rule},
            {"reason", w.reason},
            {"devices", list_of(w.devices)},
            {"candidate", w.candidate ? json::value(to_json(*w.candidate)) : json::value()},
            {"scores", list_of(w.scores)},
            {"total", w.total}};
}

// Of what a list of workers shows the fields that placement looks at; others are passed over, absent ones keep their defaults.
template <class T>
void take(const json::object& object, const char* key, T& out) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr) return;
    if constexpr (std::is_same_v<T, std::string>) {
        if (value->is_string()) out = std::string(value->get_string().subview(0, kTextMax));
    } else if constexpr (std::is_same_v<T, bool>) {
        if (value->is_bool()) out = value->get_bool();
    } else {
        json::error_code failure;
        const T number = value->to_number<T>(failure);
        if (!failure) out = number;
    }
}

const json::array& array_at(const json::object& object, const char* key) {
    static const json::array kNone;
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_array() ? value->get_array() : kNone;
}

Device device_from(const json::object& object) {
    Device d;
    take(object, "vendor", d.vendor);
    take(object, "index", d.index);
    take(object, "name", d.name);
    take(object, "chip", d.chip);
    take(object, "uuid", d.uuid);
    take(object, "partition", d.partition);
    take(object, "memory_total_bytes", d.memory_total_bytes);
    d.memory_free_bytes = d.memory_total_bytes;
    take(object, "memory_free_bytes", d.memory_free_bytes);
    take(object, "unified_memory", d.unified_memory);
    take(object, "cores", d.cores);
    take(object, "driver_version", d.driver_version);
    take(object, "runtime_version", d.runtime_version);
    take(object, "problem", d.problem);
    return d;
}

Worker worker_from(const json::object& object, size_t number) {
    Worker w;
    w.name = fmt::format("worker-{}", number);
    w.os = "linux";
    w.arch = "x86_64";
    w.state = WorkerState::kReady;
    take(object, "name", w.name);
    take(object, "os", w.os);
    take(object, "arch", w.arch);
    w.id = WorkerId(w.name);
    w.data_address = w.name;   // of machines that are not here: taken to reach each other
    take(object, "data_address", w.data_address);
    if (const json::value* labels = object.if_contains("labels"); labels != nullptr && labels->is_object()) {
        for (const auto& label : labels->get_object()) {
            if (label.value().is_string()) w.labels[std::string(label.key())] = std::string(label.value().get_string());
        }
    }
    for (const json::value& device : array_at(object, "devices")) {
        if (device.is_object()) w.devices.push_back(device_from(device.get_object()));
    }
    return w;
}

json::value shown(const std::optional<QuantizationChoice>& choice) {
    if (!choice) return {};
    json::array considered;
    for (const QuantizationChoice::Considered& one : choice->considered) {
        considered.emplace_back(json::object{{"source", one.source},
                                             {"quantization", one.quantization},
                                             {"bytes", one.bytes},
                                             {"verdict", gantry::to_string(one.verdict)},
                                             {"reason", one.reason}});
    }
    return json::object{{"source", choice->source}, {"reason", choice->reason}, {"considered", std::move(considered)}};
}

json::object shown(const Suggestion& s) { return {{"change", s.change}, {"value", s.value}, {"text", s.text}}; }

std::optional<std::vector<Worker>> read_workers(FieldReader& reader) {
    const json::array* list = reader.array("workers");
    if (list == nullptr) return std::nullopt;
    std::vector<Worker> workers;
    std::set<std::string> names;
    for (const json::value& item : *list) {
        if (!item.is_object() || workers.size() == kWorkersMax) {
            reader.fail("workers", fmt::format("\"workers\" must be at most {} objects, as GET /api/v1/workers shows them", kWorkersMax));
            return std::nullopt;
        }
        workers.push_back(worker_from(item.get_object(), workers.size() + 1));
        const Worker& w = workers.back();
        if (!names.insert(w.name).second) reader.fail("workers", fmt::format("\"workers\" has two named \"{}\"", w.name));
        std::set<DeviceName> devices;
        for (const Device& d : w.devices) {
            if (d.vendor.empty()) reader.fail("workers", fmt::format("a device of \"{}\" has no \"vendor\"", w.name));
            if (!devices.insert({d.vendor, d.index}).second || devices.size() > kDevicesMax) {
                reader.fail("workers", fmt::format("\"{}\" has the device {}/{} twice, or over {} of them", w.name, d.vendor, d.index, kDevicesMax));
            }
        }
    }
    return workers;
}

}  // namespace

Result<EvaluationInput> parse_evaluation(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    reader.require("source");
    EvaluationInput input;
    input.deployment = read_deployment(reader);
    input.workers = read_workers(reader);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

json::object to_json(const Placement& p) {
    json::array claims;
    for (const DeviceClaim& claim : p.claims) {
        claims.emplace_back(json::object{{"worker_id", claim.worker_id.text},
                                         {"device", gantry::to_string(claim.device)},
                                         {"bytes", claim.bytes},
                                         {"layers", claim.layers},
                                         {"memory_fraction", claim.memory_fraction}});
    }
    return {{"claims", std::move(claims)},
            {"ranks", p.ranks},
            {"context_tokens", p.context_tokens},
            {"sequences", p.sequences},
            {"layers", p.layers},
            {"layers_on_devices", p.layers_on_devices},
            {"kv_bytes", p.kv_bytes},
            {"estimate_bytes", p.estimate_bytes}};
}

json::object to_json(const Decision& d) {
    return {{"verdict", gantry::to_string(d.verdict)},
            {"reason", d.reason},
            {"placement", d.placement ? json::value(to_json(*d.placement)) : json::value()},
            {"estimate", shown(d.estimate)},
            {"correction", {{"factor", d.correction.factor}, {"runs", d.correction.runs}}},
            {"workers", list_of(d.workers)},
            {"suggestions", list_of(d.suggestions)}};
}

json::object to_json_kept(const Decision& decision) {
    Decision kept = decision;
    const WorkerId chosen = kept.placement ? kept.placement->leader() : WorkerId{};
    std::stable_sort(kept.workers.begin(), kept.workers.end(), [&chosen](const WorkerVerdict& a, const WorkerVerdict& b) {
        const auto rank = [&chosen](const WorkerVerdict& w) {
            return std::tuple(w.worker_id != chosen, !w.candidate.has_value(), -w.total);
        };
        return rank(a) < rank(b);
    });
    const size_t others = kept.workers.size() > kOthersKept + 1 ? kept.workers.size() - kOthersKept - 1 : 0;
    kept.workers.resize(kept.workers.size() - others);
    json::object out = to_json(kept);
    out["workers_left_out"] = others;
    return out;
}

json::object to_json(const Evaluation& evaluation) {
    json::object out{{"source", evaluation.source},
                     {"backend", gantry::to_string(evaluation.backend)},
                     {"model", evaluation.meta ? json::value(to_json(*evaluation.meta)) : json::value()},
                     {"choice", shown(evaluation.choice)}};
    for (auto& field : to_json(evaluation.decision)) out[field.key()] = std::move(field.value());
    return out;
}

}  // namespace gantry::protocol::management
