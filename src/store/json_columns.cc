#include "store/json_columns.h"

#include <cmath>
#include <concepts>
#include <type_traits>

#include "base/json.h"

namespace gantry::store {
namespace {

// A type's fields, once for both directions: `visit` sees ("key", field) of each. A type that has such a list may stand in another's.
template <class T, class Of>
concept Is = std::same_as<std::remove_const_t<T>, Of>;

template <Is<BackendOptions> T, class Visit>
void fields(T& o, Visit&& visit) {
    visit("context_tokens", o.context_tokens);
    visit("max_sequences", o.max_sequences);
    visit("threads", o.threads);
    visit("extra_args", o.extra_args);
    visit("env", o.env);
    visit("kv_type", o.kv_type);
    visit("binary", o.binary);
    visit("command", o.command);
    visit("health_path", o.health_path);
}

template <Is<PlacementOptions> T, class Visit>
void fields(T& o, Visit&& visit) {
    visit("strategy", o.strategy);
    visit("devices", o.devices);
    visit("device_count", o.device_count);
    visit("device_types", o.device_types);
    visit("worker_labels", o.worker_labels);
    visit("cpu_offload", o.cpu_offload);
    visit("across_workers", o.across_workers);
}

template <Is<DeviceClaim> T, class Visit>
void fields(T& c, Visit&& visit) {
    visit("worker_id", c.worker_id.text);
    visit("vendor", c.device.vendor);
    visit("index", c.device.index);
    visit("bytes", c.bytes);
    visit("layers", c.layers);
    visit("memory_fraction", c.memory_fraction);
}

template <Is<Placement> T, class Visit>
void fields(T& p, Visit&& visit) {
    visit("claims", p.claims);
    visit("ranks", p.ranks);
    visit("context_tokens", p.context_tokens);
    visit("sequences", p.sequences);
    visit("layers", p.layers);
    visit("layers_on_devices", p.layers_on_devices);
    visit("kv_bytes", p.kv_bytes);
    visit("estimate_bytes", p.estimate_bytes);
}

template <Is<DeviceLink> T, class Visit>
void fields(T& l, Visit&& visit) {
    visit("to", l.to);
    visit("kind", l.kind);
}

template <Is<DeviceProcess> T, class Visit>
void fields(T& p, Visit&& visit) {
    visit("pid", p.pid);
    visit("name", p.name);
    visit("memory_bytes", p.memory_bytes);
    visit("instance_id", p.instance_id.text);
}

template <Is<Device> T, class Visit>
void fields(T& d, Visit&& visit) {
    visit("vendor", d.vendor);
    visit("index", d.index);
    visit("name", d.name);
    visit("uuid", d.uuid);
    visit("chip", d.chip);
    visit("memory_total_bytes", d.memory_total_bytes);
    visit("memory_free_bytes", d.memory_free_bytes);
    visit("unified_memory", d.unified_memory);
    visit("cores", d.cores);
    visit("utilization", d.utilization);
    visit("temperature_celsius", d.temperature_celsius);
    visit("driver_version", d.driver_version);
    visit("runtime_version", d.runtime_version);
    visit("bus_address", d.bus_address);
    visit("numa_node", d.numa_node);
    visit("partition", d.partition);
    visit("links", d.links);
    visit("processes", d.processes);
    visit("details", d.details);
    visit("problem", d.problem);
}

template <Is<WeightBytes> T, class Visit>
void fields(T& w, Visit&& visit) {
    visit("embedding", w.embedding);
    visit("output", w.output);
    visit("layers", w.layers);
    visit("other", w.other);
}

template <Is<ModelMeta> T, class Visit>
void fields(T& m, Visit&& visit) {
    visit("format", m.format);
    visit("architecture", m.architecture);
    visit("name", m.name);
    visit("quantization", m.quantization);
    visit("dtype", m.dtype);
    visit("modality", m.modality);
    visit("parameter_count", m.parameter_count);
    visit("file_bytes", m.file_bytes);
    visit("layers", m.layers);
    visit("context_length", m.context_length);
    visit("embedding_length", m.embedding_length);
    visit("feed_forward_length", m.feed_forward_length);
    visit("heads", m.heads);
    visit("heads_kv", m.heads_kv);
    visit("key_length", m.key_length);
    visit("value_length", m.value_length);
    visit("vocabulary", m.vocabulary);
    visit("experts", m.experts);
    visit("experts_used", m.experts_used);
    visit("sliding_window", m.sliding_window);
    visit("kv_lora_rank", m.kv_lora_rank);
    visit("rope_head_length", m.rope_head_length);
    visit("state_bytes", m.state_bytes);
    visit("vision_heads", m.vision_heads);
    visit("layer_memory", m.layer_memory);
    visit("layer_heads_kv", m.layer_heads_kv);
    visit("weights", m.weights);
    visit("bytes_of_type", m.bytes_of_type);
    visit("has_chat_template", m.has_chat_template);
    visit("pooling", m.pooling);
}

template <Is<Limits> T, class Visit>
void fields(T& l, Visit&& visit) {
    visit("requests_per_minute", l.requests_per_minute);
    visit("tokens_per_minute", l.tokens_per_minute);
    visit("concurrent_requests", l.concurrent_requests);
    visit("tokens_per_month", l.tokens_per_month);
}

template <Is<AuditChange> T, class Visit>
void fields(T& c, Visit&& visit) {
    visit("field", c.field);
    visit("from", c.from);
    visit("to", c.to);
}

template <Is<RouteTarget> T, class Visit>
void fields(T& t, Visit&& visit) {
    visit("model", t.model);
    visit("weight", t.weight);
}

struct AnyVisitor {
    template <class T>
    void operator()(const char*, T&) {}
};
template <class T>
concept HasFields = requires(T& value) { fields(value, AnyVisitor{}); };

struct Writer {
    json::object object;

    template <class T>
    void operator()(const char* key, const std::optional<T>& value) {
        if (value) object[key] = written(*value);
    }
    template <class T>
    void operator()(const char* key, const T& value) { object[key] = written(value); }

    static json::value written(double value) { return std::isfinite(value) ? value : 0.0; }
    static json::value written(PlacementStrategy strategy) { return to_string(strategy); }
    template <HasFields T>
    static json::value written(const T& value) {
        Writer writer;
        fields(value, writer);
        return std::move(writer.object);
    }
    template <class T>
    static json::value written(const std::vector<T>& values) {
        json::array out;
        for (const T& value : values) out.push_back(written(value));
        return out;
    }
    template <class T>
    static json::value written(const std::map<std::string, T>& values) {
        json::object out;
        for (const auto& [name, value] : values) out[name] = written(value);
        return out;
    }
    template <class T>
        requires(std::is_arithmetic_v<T> || std::same_as<T, std::string>)
    static json::value written(const T& value) { return json::value_from(value); }
};

struct Reader {
    const json::object& object;
    bool ok = true;

    template <class T>
    void operator()(const char* key, T& out) {
        if (const json::value* value = object.if_contains(key)) ok = read(*value, out) && ok;
    }

    static bool read(const json::value& value, bool& out) {
        if (value.is_bool()) out = value.get_bool();
        return value.is_bool();
    }
    static bool read(const json::value& value, std::string& out) {
        if (value.is_string()) out = std::string(value.get_string());
        return value.is_string();
    }
    static bool read(const json::value& value, PlacementStrategy& out) {
        std::string text;
        if (!read(value, text)) return false;
        out = text == to_string(PlacementStrategy::kBinpack) ? PlacementStrategy::kBinpack : PlacementStrategy::kSpread;
        return true;
    }
    template <class T>
    static bool read(const json::value& value, std::optional<T>& out) { return read(value, out.emplace()); }
    template <HasFields T>
    static bool read(const json::value& value, T& out) {
        if (!value.is_object()) return false;
        Reader reader{value.get_object()};
        fields(out, reader);
        return reader.ok;
    }
    template <class T>
    static bool read(const json::value& value, std::vector<T>& out) {
        if (!value.is_array()) return false;
        out.clear();
        for (const json::value& item : value.get_array()) {
            if (!read(item, out.emplace_back())) return false;
        }
        return true;
    }
    template <class T>
    static bool read(const json::value& value, std::map<std::string, T>& out) {
        if (!value.is_object()) return false;
        out.clear();
        for (const auto& entry : value.get_object()) {
            if (!read(entry.value(), out[std::string(entry.key())])) return false;
        }
        return true;
    }
    template <class T>
        requires std::is_arithmetic_v<T>
    static bool read(const json::value& value, T& out) {
        json::error_code failure;
        out = value.to_number<T>(failure);
        return !failure;
    }
};

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
    if (!value || !Reader::read(*value, out)) columns.fail();
    return columns;
}

template <class T>
Result<std::string> text_of(const T& value) {
    return checked(json::serialize(Writer::written(value)));
}

}  // namespace

Result<std::string> to_json_text(const BackendOptions& options) { return text_of(options); }
Result<std::string> to_json_text(const PlacementOptions& options) { return text_of(options); }
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
Columns& operator>>(Columns& columns, Placement& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::vector<Device>& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, ModelMeta& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::vector<RouteTarget>& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, Limits& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::vector<std::string>& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::map<std::string, std::string>& out) { return read_json(columns, out); }
Columns& operator>>(Columns& columns, std::vector<AuditChange>& out) { return read_json(columns, out); }

}  // namespace gantry::store
