// Models.
#include "domain/source.h"
#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

std::optional<std::string> model_name(FieldReader& reader) {
    auto name = reader.string("name", 1024);
    if (name && !valid_deployment_name(*name)) {
        reader.fail("name", "\"name\" must be 1 to 128 characters of letters, digits and . _ : / -, beginning with a letter or "
                            "digit, without \"..\" or \"//\"");
    }
    return name;
}

}  // namespace

json::object to_json(const ModelMeta& meta) {
    return {{"format", meta.format},
            {"architecture", meta.architecture},
            {"name", meta.name},
            {"quantization", meta.quantization},
            {"dtype", meta.dtype},
            {"modality", meta.modality},
            {"parameter_count", meta.parameter_count},
            {"file_bytes", meta.file_bytes},
            {"layers", meta.layers},
            {"context_length", meta.context_length},
            {"embedding_length", meta.embedding_length},
            {"feed_forward_length", meta.feed_forward_length},
            {"heads", meta.heads},
            {"heads_kv", meta.heads_kv},
            {"key_length", meta.key_length},
            {"value_length", meta.value_length},
            {"vocabulary", meta.vocabulary},
            {"experts", meta.experts},
            {"experts_used", meta.experts_used},
            {"sliding_window", meta.sliding_window},
            {"kv_lora_rank", meta.kv_lora_rank},
            {"has_chat_template", meta.has_chat_template},
            {"brings_code", meta.brings_code},
            {"pooling", meta.pooling}};
}

json::object to_json(const Model& m) {
    return {{"id", m.id.text},
            {"name", m.name},
            {"source", m.source},
            {"path", m.path},
            {"meta", to_json(m.meta)},
            {"version", m.version},
            {"created_at", to_rfc3339(m.created_at)},
            {"updated_at", to_rfc3339(m.updated_at)}};
}

void hide_from_users(Model& model) {
    model.source = model.source.substr(0, model.source.find(':') + 1) +
                   model.source.substr(model.source.find_last_of("/:") + 1);
    model.path.clear();
}

Result<ModelInput> parse_model_create(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    reader.require("source");
    ModelInput input;
    input.name = model_name(reader);
    input.source = reader.string("source", kSourceBytesMax);
    if (input.source) {
        if (auto source = parse_source(*input.source); !source) reader.fail(source.error());
    }
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<ModelInput> parse_model_patch(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    ModelInput input;
    input.name = model_name(reader);
    input.version = reader.integer("version", 1, INT64_MAX);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

}  // namespace gantry::protocol::management
