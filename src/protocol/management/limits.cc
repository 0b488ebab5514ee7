#include "protocol/management/limits.h"

#include <fmt/format.h>

namespace gantry::protocol::management {
namespace {

constexpr size_t kModelsMax = 256;
constexpr size_t kModelBytesMax = 256;

std::optional<std::optional<uint64_t>> read_limit(FieldReader& reader, const char* name, uint64_t max) {
    std::optional<std::optional<uint64_t>> limit;
    if (reader.is_null(name)) {
        limit.emplace();
    } else if (const auto value = reader.integer(name, 1, static_cast<int64_t>(max))) {
        limit.emplace(static_cast<uint64_t>(*value));
    }
    return limit;
}

json::value number_or_null(const std::optional<uint64_t>& limit) {
    return limit ? json::value(*limit) : json::value(nullptr);
}

}  // namespace

void LimitsInput::apply_to(Limits& limits) const {
    if (requests_per_minute) limits.requests_per_minute = *requests_per_minute;
    if (tokens_per_minute) limits.tokens_per_minute = *tokens_per_minute;
    if (concurrent_requests) limits.concurrent_requests = *concurrent_requests;
    if (tokens_per_month) limits.tokens_per_month = *tokens_per_month;
}

LimitsInput read_limits(FieldReader& reader) {
    LimitsInput input;
    const json::object* object = reader.object("limits");
    if (object == nullptr) return input;
    FieldReader inner(*object, "limits.");
    input.requests_per_minute = read_limit(inner, "requests_per_minute", kLimitMax);
    input.tokens_per_minute = read_limit(inner, "tokens_per_minute", kLimitMax);
    input.concurrent_requests = read_limit(inner, "concurrent_requests", kLimitMax);
    input.tokens_per_month = read_limit(inner, "tokens_per_month", kMonthLimitMax);
    if (Status status = inner.finish(); !status) reader.fail(std::move(status).error());
    return input;
}

std::optional<Scopes> read_scopes(FieldReader& reader) {
    const auto words = reader.strings("scopes", 2, 32);
    if (!words) return std::nullopt;
    Scopes scopes{.inference = false, .management = false};
    for (size_t i = 0; i < words->size(); ++i) {
        const std::string& word = (*words)[i];
        scopes.inference |= word == "inference";
        scopes.management |= word == "management";
        if (word == "inference" || word == "management") continue;
        const std::string path = fmt::format("scopes[{}]", i);
        reader.fail(path, fmt::format("\"{}\" must be \"inference\" or \"management\"", path));
    }
    if (words->empty()) reader.fail("scopes", "\"scopes\" must name inference, management or both: disable a key that may do nothing");
    return scopes;
}

std::optional<std::vector<std::string>> read_models(FieldReader& reader) {
    auto models = reader.strings("models", kModelsMax, kModelBytesMax);
    for (size_t i = 0; models && i < models->size(); ++i) {
        if (valid_deployment_name((*models)[i])) continue;
        const std::string path = fmt::format("models[{}]", i);
        reader.fail(path, fmt::format("\"{}\" must be the name of a model, as GET /v1/models lists them", path));
    }
    return models;
}

json::object to_json(const Limits& limits) {
    return {{"requests_per_minute", number_or_null(limits.requests_per_minute)},
            {"tokens_per_minute", number_or_null(limits.tokens_per_minute)},
            {"concurrent_requests", number_or_null(limits.concurrent_requests)},
            {"tokens_per_month", number_or_null(limits.tokens_per_month)}};
}

json::array to_json(const Scopes& scopes) {
    json::array words;
    if (scopes.inference) words.emplace_back("inference");
    if (scopes.management) words.emplace_back("management");
    return words;
}

}  // namespace gantry::protocol::management
