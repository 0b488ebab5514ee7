#include "cli/catalogue_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/ascii.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr std::string_view kScheme = "catalogue:";

struct Wanted {
    std::string id, quantization;
};
std::optional<Wanted> wanted_of(const std::string& source) {
    if (!source.starts_with(kScheme)) {
        return std::nullopt;
    }
    const std::string rest = source.substr(kScheme.size());
    const size_t colon = rest.find(':');
    return colon == std::string::npos ? Wanted{rest, ""} : Wanted{rest.substr(0, colon), rest.substr(colon + 1)};
}

// Of the variants that go with what was asked for the recommended one, or the first.
Result<json::object> variant_of(const ApiClient& client, const Wanted& wanted, const std::string& backend) {
    const Result<json::object> entry = client.get("/api/v1/catalogue/" + encode_segment(wanted.id));
    if (!entry) {
        return entry.error();
    }
    const json::array& variants = array_at(*entry, "variants");
    const auto recommended = static_cast<size_t>(number_at(*entry, "recommended"));
    const json::object* found = nullptr;
    std::string there;
    for (size_t i = 0; i < variants.size(); ++i) {
        const json::object& variant = variants[i].as_object();
        there += fmt::format("{}{} for {}", there.empty() ? "" : ", ", text_at(variant, "quantization"), text_at(variant, "backend"));
        const bool fits = (wanted.quantization.empty() || equal_without_case(text_at(variant, "quantization"), wanted.quantization)) &&
                          (backend.empty() || text_at(variant, "backend") == backend ||
                           (backend == "llama-server" && text_at(variant, "format") == "gguf") ||
                           (backend != "engine" && text_at(variant, "format") == "safetensors"));
        if (fits && (found == nullptr || i == recommended)) {
            found = &variant;
        }
    }
    if (found == nullptr) {
        return invalid_argument(fmt::format("the catalogue has no such variant of {}; there are {}", wanted.id, there));
    }
    return *found;
}

Result<std::string> source_at(const json::object& variant, const std::string& hub) {
    const json::array& sources = array_at(variant, "sources");
    for (const json::value& source : sources) {
        if (hub.empty() || source.as_string().starts_with(hub + ":")) {
            return std::string(source.as_string());
        }
    }
    return invalid_argument(fmt::format("the catalogue knows it only as {}", sources.empty() ? "nothing" : std::string(sources[0].as_string())));
}

}  // namespace

Status take_source(const ApiClient& client, const DeploymentFlags& flags, const std::string& source, json::object& body) {
    const std::optional<Wanted> wanted = wanted_of(source);
    if (!wanted) {
        if (!flags.hub.empty()) {
            return invalid_argument("--hub is of a source catalogue:ID; this one names its hub itself");
        }
        body["source"] = full_source(source);
        return Ok{};
    }
    const Result<json::object> variant = variant_of(client, *wanted, flags.backend);
    if (!variant) {
        return variant.error();
    }
    const Result<std::string> at_hub = source_at(*variant, flags.hub);
    if (!at_hub) {
        return at_hub.error();
    }
    body["source"] = *at_hub;
    if (!flags.backend.empty() && flags.backend != text_at(*variant, "backend")) {
        return Ok{};   // options are those of another program
    }
    body["backend"] = text_at(*variant, "backend");
    json::object& options = body["options"].as_object();
    const json::object& recommended = object_at(*variant, "options");
    for (const char* name : {"context_tokens", "max_sequences"}) {
        if (number_at(options, name) == 0) {
            options[name] = number_at(recommended, name);
        }
    }
    if (flags.args.empty()) {
        options["extra_args"] = array_at(recommended, "extra_args");
    }
    return Ok{};
}

Result<std::string> hub_source(const ApiClient& client, const std::string& source, const std::string& hub) {
    const std::optional<Wanted> wanted = wanted_of(source);
    if (!wanted) {
        return source;
    }
    const Result<json::object> variant = variant_of(client, *wanted, "");
    if (!variant) {
        return variant.error();
    }
    return source_at(*variant, hub);
}

}  // namespace gantry::cli
