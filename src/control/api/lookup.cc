#include "control/api/lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/ascii.h"
#include "base/log.h"
#include "models/model_reader.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

Error missing(const char* what, const std::string& id_or_name) {
    return not_found(fmt::format("there is no {} \"{}\"", what, log::escape(id_or_name, 128)));
}

bool is_not_found(const Error& error) { return error.code == ErrorCode::kNotFound; }

// By id first; a name that looks like an id is found second.
template <class T, class ById, class ByName>
Result<T> find(const char* what, const std::string& text, ById by_id, ByName by_name) {
    if (text.empty()) return missing(what, text);
    Result<T> found = by_id();
    if (found || !is_not_found(found.error())) return found;
    found = by_name();
    if (found || !is_not_found(found.error())) return found;
    return missing(what, text);
}

}  // namespace

Result<Deployment> find_deployment(store::Store& store, const std::string& text) {
    return find<Deployment>(
        "deployment", text, [&] { return store.deployment(DeploymentId(text)); },
        [&] { return store.deployment_by_name(text); });
}

Result<Model> find_model(store::Store& store, const std::string& text) {
    return find<Model>(
        "model", text, [&] { return store.model(ModelId(text)); }, [&] { return store.model_by_name(text); });
}

Result<Route> find_route(store::Store& store, const std::string& text) {
    return find<Route>(
        "route", text, [&] { return store.route(RouteId(text)); }, [&] { return store.route_by_name(text); });
}

Result<Provider> find_provider(store::Store& store, const std::string& text) {
    return find<Provider>(
        "provider", text, [&] { return store.provider(ProviderId(text)); }, [&] { return store.provider_by_name(text); });
}

Result<User> find_user(store::Store& store, const std::string& text) {
    return find<User>(
        "user", text, [&] { return store.user(UserId(text)); }, [&] { return store.user_by_name(text); });
}

Result<Worker> find_worker(ApiContext& api, const std::string& text) {
    Result<Worker> found = find<Worker>(
        "worker", text, [&] { return api.store.worker(WorkerId(text)); },
        [&]() -> Result<Worker> {
            const auto rows = api.publisher.rows();
            for (const Worker& w : rows->workers) {
                if (w.name == text) return api.store.worker(w.id);
            }
            return missing("worker", text);
        });
    if (found) api.observed.overlay(*found);
    return found;
}

std::string model_name_of(const Source& source) {
    const std::string path = source.from_hub() ? (source.file.empty() ? source.repository : source.file) : source.path;
    std::string name = lowered(path.substr(path.find_last_of('/') + 1));
    if (!source.quantization.empty()) name += "-" + lowered(source.quantization);
    constexpr std::string_view kSuffixes[] = {".gguf", ".bin"};
    for (const std::string_view suffix : kSuffixes) {
        if (name.size() > suffix.size() && name.ends_with(suffix)) name.resize(name.size() - suffix.size());
    }
    for (char& c : name) {
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') c = '-';
    }
    if (name.size() > 120) name.resize(120);
    return valid_deployment_name(name) ? name : "model";
}

Status check_source(ApiContext& api, const std::string& source) {
    const auto parsed = parse_source(source);
    if (!parsed || !parsed->from_hub() || api.options.model_files == nullptr) return parsed ? Status(Ok{}) : Status(parsed.error());
    const auto meta = api.knowledge.look(source);
    if (meta) return Ok{};
    Error error = meta.error();
    const bool passes = error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kRateLimited ||
                        error.code == ErrorCode::kDeadlineExceeded || error.code == ErrorCode::kStorageFull || error.code == ErrorCode::kInternal;
    if (passes) {
        log::warn("{}: {}; whether it fits is not known before it is fetched", source, error.message);
        return Ok{};
    }
    error.code = ErrorCode::kInvalidArgument;   // it is the request that named it
    error.param = "source";
    return error;
}

std::optional<ModelChange> model_change_of(ApiContext& api, const std::string& source) {
    auto known = api.store.model_by_source(source);
    if (!known && !is_not_found(known.error())) return std::nullopt;
    const auto parsed = parse_source(source);
    if (!parsed) return std::nullopt;
    auto meta = api.knowledge.look(source);
    if (!meta || (known && *meta == known->meta)) return std::nullopt;
    ModelChange change;
    if (known) {
        change.seen = known->version;
        change.model = *std::move(known);
        ++change.model.version;
    } else {
        change.model.id = new_id<ModelId>(api.random, "mdl");
        change.model.name = model_name_of(*parsed);
        change.model.source = source;
        change.model.path = parsed->path;
        change.model.created_at = api.clock.wall();
    }
    change.model.meta = *std::move(meta);
    change.model.updated_at = api.clock.wall();
    return change;
}

void carry_out(ApiContext& api, ModelChange change) {
    Model& model = change.model;
    if (change.seen) {
        if (const Status done = api.store.update_model(model, *change.seen); !done) log::warn("{}: {}", model.name, done.error().message);
        return;
    }
    const std::string name = model.name;
    // The same file name in another folder is another model: the name gets a number.
    for (int attempt = 1; attempt <= 20; ++attempt) {
        if (attempt > 1) model.name = fmt::format("{}-{}", name, attempt);
        const Status status = api.store.create_model(model);
        if (status || status.error().code != ErrorCode::kConflict) return;
    }
}

}  // namespace gantry::control
