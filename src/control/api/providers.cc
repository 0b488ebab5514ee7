// /api/v1/providers. For admins, reading too: addresses of others' APIs are nobody else's business.
#include <fmt/format.h>

#include "control/api/api.h"
#include "control/api/lookup.h"
#include "gateway/body.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

constexpr std::chrono::seconds kTestTimeout{10};
constexpr size_t kTestBytesMax = 1 << 20;

// The key is sealed for the provider's id, which is there by now.
Status apply(ApiContext& api, const management::ProviderInput& input, Provider& p) {
    if (input.base_url) {
        const Result<BaseUrl> before = parse_base_url(p.base_url);
        const bool elsewhere = !p.base_url.empty() && !(before && before->same_origin(*input.base_url));
        if (elsewhere && !p.sealed_key.empty() && !input.api_key) {
            return invalid_argument("the key was given for another host: send \"api_key\" along, or null for none", "api_key");
        }
        p.base_url = input.base_url->text();
    }
    if (input.api_key) {
        p.sealed_key.clear();
        if (!input.api_key->empty()) {
            Result<std::string> sealed = api.secrets.seal(*input.api_key, p.id.text);
            if (!sealed) return std::move(sealed).error();
            p.sealed_key = *std::move(sealed);
        }
    }
    if (input.models) p.models = *input.models;
    for (size_t i = 0; i < p.models.size(); ++i) {
        if (valid_deployment_name(model_name(p, p.models[i]))) continue;
        return invalid_argument(fmt::format("\"{}\" is too long: a model's name has at most 128 characters", model_name(p, p.models[i])),
                                fmt::format("models[{}]", i));
    }
    if (input.disabled) p.disabled = *input.disabled;
    p.updated_at = api.clock.wall();
    return Ok{};
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    const auto rows = api.store.providers(*page);
    if (!rows) return rows.error();
    return list_answer(*rows, [](const Provider& p) { return management::to_json(p); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const auto provider = find_provider(api.store, call.param("id"));
    if (!provider) return provider.error();
    return json_answer(200, management::to_json(*provider));
}

Result<Answer> create(ApiContext& api, const Call& call) {
    const auto input = management::parse_provider_create(call.request.body);
    if (!input) return input.error();
    Provider provider;
    provider.id = new_id<ProviderId>(api.random, "prv");
    provider.name = *input->name;
    GANTRY_TRY(apply(api, *input, provider));
    provider.created_at = provider.updated_at;
    GANTRY_TRY(api.store.create_provider(provider));
    api.changed();
    return json_answer(201, management::to_json(provider));
}

Result<Answer> patch(ApiContext& api, const Call& call) {
    const auto input = management::parse_provider_patch(call.request.body);
    if (!input) return input.error();
    const auto edited = edit(
        input->version, +[](const Provider& p) { return p.version; }, [&] { return find_provider(api.store, call.param("id")); },
        [&](Provider& p, int64_t seen) -> Status {
            GANTRY_TRY(apply(api, *input, p));
            ++p.version;
            return api.store.update_provider(p, seen);
        });
    if (!edited) return edited.error();
    api.changed();
    return json_answer(200, management::to_json(*edited));
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto provider = find_provider(api.store, call.param("id"));
    if (!provider) return provider.error();
    GANTRY_TRY(api.store.delete_provider(provider->id));
    api.changed();
    return no_content();
}

json::array listed_models(const std::string& body) {
    json::array names;
    const auto parsed = parse_json(body);
    const json::value* data = parsed && parsed->is_object() ? parsed->get_object().if_contains("data") : nullptr;
    if (data == nullptr || !data->is_array()) return names;
    for (const json::value& model : data->get_array()) {
        const json::value* id = model.is_object() ? model.get_object().if_contains("id") : nullptr;
        if (id != nullptr && id->is_string()) names.push_back(*id);
    }
    return names;
}

// What it lists, asked as a request would be. Its own words are not shown: it may repeat the key in them.
Result<Answer> test(ApiContext& api, const Call& call) {
    const auto provider = find_provider(api.store, call.param("id"));
    if (!provider) return provider.error();
    const Result<BaseUrl> url = parse_base_url(provider->base_url);
    if (!url) return url.error();
    std::string key;
    if (!provider->sealed_key.empty()) {
        Result<std::string> opened = api.secrets.open(provider->sealed_key, provider->id.text);
        if (!opened) return opened.error();
        key = *std::move(opened);
    }
    const http::Client::Call asked{"GET", url->path + "/models", gateway::headers_for_outside(key), {}};
    http::ClientOptions options;
    options.connect_timeout = options.header_timeout = options.idle_timeout = kTestTimeout;
    options.body_bytes = kTestBytesMax;
    const SteadyTime end = api.clock.steady() + kTestTimeout;
    std::string body;
    const auto take = [&](std::string_view piece) {
        body += piece;
        return body.size() <= kTestBytesMax && api.clock.steady() < end;
    };
    const auto answer = http::fetch_stream(url->endpoint(), asked, take, options);
    json::value error;
    if (!answer) error = answer.error().message;
    else if (answer->status != 200) error = fmt::format("it answered with status {}", answer->status);
    return json_answer(200, json::object{{"reachable", answer.ok()},
                                         {"status", answer ? json::value(answer->status) : json::value(nullptr)},
                                         {"models", listed_models(body)},
                                         {"error", std::move(error)}});
}

}  // namespace

void add_provider_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/providers", gateway::kAdmin, list},
                {"POST", "/api/v1/providers", gateway::kAdmin, create},
                {"GET", "/api/v1/providers/{id}", gateway::kAdmin, get},
                {"POST", "/api/v1/providers/{id}/test", gateway::kAdmin, test},
                {"PATCH", "/api/v1/providers/{id}", gateway::kAdmin, patch},
                {"DELETE", "/api/v1/providers/{id}", gateway::kAdmin, remove}});
}

}  // namespace gantry::control
