// Outside providers. What goes in as api_key never comes out.
#include <fmt/format.h>

#include <algorithm>

#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

constexpr size_t kKeyBytesMax = 4096;
constexpr size_t kModelBytesMax = 126;

// It becomes a header field: nothing in it may end one.
bool valid_key(const std::string& key) {
    return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::optional<std::vector<std::string>> read_models(FieldReader& reader) {
    auto models = reader.strings("models", kProviderModelsMax, kModelBytesMax);
    if (models && models->empty()) reader.fail("models", "\"models\" must hold 1 to 64 names");
    for (size_t i = 0; models && i < models->size(); ++i) {
        const std::string& model = (*models)[i];
        const std::string path = fmt::format("models[{}]", i);
        if (model.empty() || !valid_deployment_name("p/" + model)) {
            reader.fail(path, fmt::format("\"{}\" must be 1 to 126 characters of letters, digits and . _ : / -, without \"..\" or \"//\"", path));
        }
        if (std::count(models->begin(), models->end(), model) > 1) reader.fail(path, fmt::format("\"{}\" is named twice", path));
    }
    return models;
}

// What creating and editing share.
ProviderInput read_provider(FieldReader& reader) {
    ProviderInput input;
    if (const auto text = reader.string("base_url", 1024)) {
        const Result<BaseUrl> url = parse_base_url(*text);
        if (url) input.base_url = *url;
        else reader.fail(url.error());
    }
    input.api_key = reader.string("api_key", kKeyBytesMax);
    if (input.api_key && !valid_key(*input.api_key)) {
        reader.fail("api_key", "\"api_key\" must be 1 to 4096 visible ASCII characters without a space");
    }
    if (reader.is_null("api_key")) input.api_key = "";
    input.models = read_models(reader);
    input.disabled = reader.boolean("disabled");
    return input;
}

}  // namespace

json::object to_json(const Provider& p) {
    return {{"id", p.id.text},
            {"name", p.name},
            {"base_url", p.base_url},
            {"has_api_key", !p.sealed_key.empty()},
            {"models", json::array(p.models.begin(), p.models.end())},
            {"disabled", p.disabled},
            {"version", p.version},
            {"created_at", to_rfc3339(p.created_at)},
            {"updated_at", to_rfc3339(p.updated_at)}};
}

Result<ProviderInput> parse_provider_create(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    for (const char* field : {"name", "base_url", "models"}) reader.require(field);
    auto name = reader.string("name", 1024);
    if (name && !valid_provider_name(*name)) {
        reader.fail("name", "\"name\" must be 1 to 64 characters of a-z, 0-9, _ and -, beginning with a letter or digit");
    }
    ProviderInput input = read_provider(reader);
    input.name = std::move(name);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<ProviderInput> parse_provider_patch(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    ProviderInput input = read_provider(reader);
    input.version = reader.integer("version", 1, INT64_MAX);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

}  // namespace gantry::protocol::management
