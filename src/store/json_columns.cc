#include "store/json_columns.h"

#include <cmath>

#include "base/json.h"

namespace gantry::store {
namespace {

// One list of fields a type serves both directions: `visit` sees ("key", field) of each.
template <class Options, class Visit>
void visit_options(Options& o, Visit&& visit) {
    visit("context_tokens", o.context_tokens);
    visit("max_sequences", o.max_sequences);
    visit("threads", o.threads);
    visit("extra_args", o.extra_args);
    visit("env", o.env);
    visit("binary", o.binary);
    visit("command", o.command);
    visit("health_path", o.health_path);
}

template <class DeviceType, class Visit>
void visit_device(DeviceType& d, Visit&& visit) {
    visit("vendor", d.vendor);
    visit("index", d.index);
    visit("name", d.name);
    visit("memory_total_bytes", d.memory_total_bytes);
    visit("memory_free_bytes", d.memory_free_bytes);
    visit("cores", d.cores);
    visit("utilization", d.utilization);
    visit("details", d.details);
    visit("problem", d.problem);
}

template <class Meta, class Visit>
void visit_meta(Meta& m, Visit&& visit) {
    visit("format", m.format);
    visit("architecture", m.architecture);
    visit("name", m.name);
    visit("quantization", m.quantization);
    visit("parameter_count", m.parameter_count);
    visit("file_bytes", m.file_bytes);
    visit("layers", m.layers);
    visit("context_length", m.context_length);
    visit("embedding_length", m.embedding_length);
    visit("heads", m.heads);
    visit("heads_kv", m.heads_kv);
    visit("key_length", m.key_length);
    visit("value_length", m.value_length);
    visit("vocabulary", m.vocabulary);
    visit("has_chat_template", m.has_chat_template);
    visit("pooling", m.pooling);
}

template <class LimitsType, class Visit>
void visit_limits(LimitsType& l, Visit&& visit) {
    visit("requests_per_minute", l.requests_per_minute);
    visit("tokens_per_minute", l.tokens_per_minute);
    visit("concurrent_requests", l.concurrent_requests);
    visit("tokens_per_month", l.tokens_per_month);
}

template <class Change, class Visit>
void visit_change(Change& c, Visit&& visit) {
    visit("field", c.field);
    visit("from", c.from);
    visit("to", c.to);
}

template <class Target, class Visit>
void visit_target(Target& t, Visit&& visit) {
    visit("model", t.model);
    visit("weight", t.weight);
}

struct Writer {
    json::object object;

    void operator()(const char* key, double value) { object[key] = std::isfinite(value) ? value : 0.0; }
    void operator()(const char* key, const std::vector<std::string>& values) {
        object[key] = json::array(values.begin(), values.end());
    }
    void operator()(const char* key, const std::map<std::string, std::string>& values) {
        json::object entries;
        for (const auto& [name, value] : values) entries[name] = value;
        object[key] = std::move(entries);
    }
    template <class T>
    void operator()(const char* key, const std::optional<T>& value) {
        if (value) object[key] = *value;
    }
    template <class T>
    void operator()(const char* key, const T& value) { object[key] = value; }
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
    static bool read(const json::value& value, std::optional<std::string>& out) { return read(value, out.emplace()); }
    static bool read(const json::value& value, std::vector<std::string>& out) {
        if (!value.is_array()) return false;
        out.clear();
        for (const json::value& item : value.get_array()) {
            if (!read(item, out.emplace_back())) return false;
        }
        return true;
    }
    static bool read(const json::value& value, std::map<std::string, std::string>& out) {
        if (!value.is_object()) return false;
        out.clear();
        for (const auto& entry : value.get_object()) {
            if (!read(entry.value(), out[std::string(entry.key())])) return false;
        }
        return true;
    }
    static bool read(const json::value& value, std::optional<uint64_t>& out) { return read(value, out.emplace()); }
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

template <class Visit>
Result<std::string> object_text(Visit&& visit) {
    Writer writer;
    visit(writer);
    return checked(json::serialize(writer.object));
}

template <class T, class Visit>
Result<std::string> list_text(const std::vector<T>& items, Visit&& visit) {
    json::array list;
    for (const T& item : items) {
        Writer writer;
        visit(item, writer);
        list.push_back(std::move(writer.object));
    }
    return checked(json::serialize(list));
}

template <class Visit>
bool read_object(const json::value& value, Visit&& visit) {
    if (!value.is_object()) return false;
    Reader reader{value.get_object()};
    visit(reader);
    return reader.ok;
}

// False where the column's text is no JSON of the kind that `use` takes.
template <class Use>
void read_json(Columns& columns, Use&& use) {
    auto value = parse_json(columns.text());
    if (!value || !use(*value)) columns.fail();
}

template <class T, class Visit>
void read_list(Columns& columns, std::vector<T>& out, Visit&& visit) {
    read_json(columns, [&](const json::value& value) {
        if (!value.is_array()) return false;
        for (const json::value& item : value.get_array()) {
            if (!read_object(item, [&](Reader& reader) { visit(out.emplace_back(), reader); })) return false;
        }
        return true;
    });
}

}  // namespace

Result<std::string> to_json_text(const BackendOptions& options) {
    return object_text([&](Writer& writer) { visit_options(options, writer); });
}

Result<std::string> to_json_text(const std::vector<Device>& devices) {
    return list_text(devices, [](const Device& device, Writer& writer) { visit_device(device, writer); });
}

Result<std::string> to_json_text(const std::vector<AuditChange>& changes) {
    return list_text(changes, [](const AuditChange& change, Writer& writer) { visit_change(change, writer); });
}

Result<std::string> to_json_text(const std::vector<RouteTarget>& targets) {
    return list_text(targets, [](const RouteTarget& target, Writer& writer) { visit_target(target, writer); });
}

Result<std::string> to_json_text(const ModelMeta& meta) {
    return object_text([&](Writer& writer) { visit_meta(meta, writer); });
}

Result<std::string> to_json_text(const Limits& limits) {
    return object_text([&](Writer& writer) { visit_limits(limits, writer); });
}

Result<std::string> to_json_text(const std::vector<std::string>& names) {
    return checked(json::serialize(json::array(names.begin(), names.end())));
}

Columns& operator>>(Columns& columns, BackendOptions& out) {
    read_json(columns, [&](const json::value& value) { return read_object(value, [&](Reader& reader) { visit_options(out, reader); }); });
    return columns;
}

Columns& operator>>(Columns& columns, std::vector<Device>& out) {
    read_list(columns, out, [](Device& device, Reader& reader) { visit_device(device, reader); });
    return columns;
}

Columns& operator>>(Columns& columns, std::vector<AuditChange>& out) {
    read_list(columns, out, [](AuditChange& change, Reader& reader) { visit_change(change, reader); });
    return columns;
}

Columns& operator>>(Columns& columns, std::vector<RouteTarget>& out) {
    read_list(columns, out, [](RouteTarget& target, Reader& reader) { visit_target(target, reader); });
    return columns;
}

Columns& operator>>(Columns& columns, ModelMeta& out) {
    read_json(columns, [&](const json::value& value) { return read_object(value, [&](Reader& reader) { visit_meta(out, reader); }); });
    return columns;
}

Columns& operator>>(Columns& columns, Limits& out) {
    read_json(columns, [&](const json::value& value) { return read_object(value, [&](Reader& reader) { visit_limits(out, reader); }); });
    return columns;
}

Columns& operator>>(Columns& columns, std::vector<std::string>& out) {
    read_json(columns, [&](const json::value& value) { return Reader::read(value, out); });
    return columns;
}

}  // namespace gantry::store
