// The files of hubs' models on this machine, and what a hub has.
#include "domain/source.h"
#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {

json::object to_json(const ModelFileSet& f) {
    return {{"id", f.id},
            {"worker_id", f.worker_id.text},
            {"worker_name", f.worker_name},
            {"source", f.source},
            {"commit", f.commit},
            {"state", gantry::to_string(f.state)},
            {"reason", f.reason},
            {"files", json::value_from(f.files)},
            {"bytes", f.bytes},
            {"bytes_done", f.bytes_done},
            {"bytes_per_second", f.bytes_per_second},
            {"used_by", json::value_from(f.used_by)},
            {"fetched_at", f.state == ModelFilesState::kReady ? json::value(to_rfc3339(f.fetched_at)) : json::value()}};
}

json::object to_json(const HubModel& m) { return {{"source", m.source}, {"downloads", m.downloads}, {"likes", m.likes}}; }

Result<std::string> parse_model_files_create(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    reader.require("source");
    const auto source = reader.string("source", kSourceBytesMax);
    if (source) {
        if (const auto parsed = parse_source(*source); !parsed) reader.fail(parsed.error());
    }
    if (Status status = reader.finish(); !status) return status.error();
    return *source;
}

}  // namespace gantry::protocol::management
