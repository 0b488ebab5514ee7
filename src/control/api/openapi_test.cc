// Holds openapi.json against what the server does: its routes, the fields that objects have, the fields that bodies may have.
#include <map>
#include <set>

#include "bench/bench.h"
#include "control/api/api.h"
#include "control/control_test_support.h"
#include "protocol/management/backends.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

const json::object& document() {
    static const json::value parsed = parse_json(openapi_json()).value();
    return parsed.as_object();
}
const json::object& schema(const std::string& name) {
    return document().at("components").at("schemas").at(name).as_object();
}
std::set<std::string> keys(const json::object& object) {
    std::set<std::string> out;
    for (const auto& field : object) out.emplace(field.key());
    return out;
}
std::set<std::string> required(const std::string& name) {
    std::set<std::string> out;
    for (const auto& field : schema(name).at("required").as_array()) out.emplace(field.as_string());
    return out;
}

TEST(openapi, every_route_is_described_and_nothing_else) {
    TempDir dir;
    Plane plane(dir.path());
    std::set<std::string> routed, described;
    for (const http::Route& route : plane.router().routes()) {
        if (!route.pattern.starts_with("/api/v1/")) continue;
        std::string pattern = route.pattern;
        if (const size_t dots = pattern.find("...}"); dots != std::string::npos) pattern.erase(dots, 3);
        routed.insert(route.method + " " + pattern);
        const auto& operation = document().at("paths").at(pattern);
        std::string method = route.method;
        std::transform(method.begin(), method.end(), method.begin(), [](unsigned char c) { return std::tolower(c); });
        ASSERT_TRUE(operation.as_object().contains(method)) << route.method << " " << pattern;
        const bool open = operation.at(method).as_object().contains("security");
        EXPECT_EQ(open, route.access == gateway::kPublic) << route.method << " " << pattern;
    }
    for (const auto& path : document().at("paths").as_object()) {
        for (const auto& operation : path.value().as_object()) {
            std::string method(operation.key());
            std::transform(method.begin(), method.end(), method.begin(), [](unsigned char c) { return std::toupper(c); });
            described.insert(method + " " + std::string(path.key()));
        }
    }
    EXPECT_EQ(routed, described);
}

TEST(openapi, references_resolve) {
    const std::string text(openapi_json());
    const std::string mark = "\"$ref\": \"#/";
    size_t count = 0;
    for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1), ++count) {
        const size_t begin = at + mark.size();
        const std::string pointer = "/" + text.substr(begin, text.find('"', begin) - begin);
        boost::system::error_code missing;
        EXPECT_NE(json::value(document()).find_pointer(pointer, missing), nullptr) << pointer;
    }
    EXPECT_GT(count, 100u);
}

TEST(openapi, objects_have_exactly_the_schemas_fields) {
    management::ServerInfo info;
    info.data_dir = "/x";
    json::object new_key = management::to_json(ApiKey{}, "");
    new_key["secret"] = "";
    json::object new_token = management::to_json(gantry::JoinToken{}, WallTime{});
    new_token["secret"] = "";
    const json::object deployment = management::to_json(Deployment{}, management::DeploymentStatus{});
    Route with_target;
    with_target.targets.resize(1);
    const json::object route = management::to_json(with_target);
    AuditEvent event;
    event.changes.resize(1);
    Placement placement;
    placement.claims.resize(1);
    Instance with_part;
    with_part.parts.resize(1);
    const json::object instance = management::to_json(with_part, "", {});
    Decision decision;
    decision.estimate.terms.resize(1);
    decision.workers.resize(1);
    decision.workers[0].devices.resize(1);
    decision.workers[0].scores.resize(1);
    decision.suggestions.resize(1);
    const json::object kept = management::to_json_kept(decision);
    Benchmark benchmark;
    benchmark.targets.resize(1);
    json::object run = bench::to_json(bench::Run{});
    run.erase("samples");
    run["target"] = "";
    Worker with_program;
    with_program.programs = {{"vllm", "/opt/vllm", "1", {}}};
    const Deployment used;
    management::BackendOverview overview{.flags = {{"--seed", "integer"}}, .deployments = {&used}};
    overview.workers.resize(1);
    overview.workers[0].devices.resize(1);
    const json::object backend = management::to_json(overview);
    management::Catalogued catalogue_entry;
    catalogue_entry.entry.variants.resize(1);
    catalogue_entry.decisions.resize(1);
    const json::object catalogued = management::to_json(catalogue_entry);
    const json::object device_history = management::to_json(DeviceCourses{.devices = {{.steps = {{}}}}}, Worker{}, WallTime{});
    const std::map<std::string, json::object> objects = {
        {"Benchmark", management::to_json(benchmark, 0, false)},
        {"BenchmarkWithResult", management::to_json(benchmark, 0, true)},
        {"BenchmarkTarget", management::to_json(benchmark, 0, false).at("targets").at(0).as_object()},
        {"BenchmarkProgress", management::to_json(benchmark, 0, false).at("progress").as_object()},
        {"BenchmarkRun", run},
        {"Deployment", deployment},
        {"DeploymentStatus", deployment.at("status").as_object()},
        {"BackendOptions", deployment.at("options").as_object()},
        {"PlacementOptions", deployment.at("placement").as_object()},
        {"RolloutOptions", deployment.at("rollout").as_object()},
        {"RolloutStatus", deployment.at("status").at("rollout").as_object()},
        {"Revision", management::to_json(Revision{}, Deployment{})},
        {"Instance", instance},
        {"InstancePart", instance.at("parts").at(0).as_object()},
        {"Placement", management::to_json(placement)},
        {"DeviceClaim", management::to_json(placement).at("claims").at(0).as_object()},
        {"Decision", kept},
        {"Estimate", kept.at("estimate").as_object()},
        {"EstimateTerm", kept.at("estimate").at("terms").at(0).as_object()},
        {"WorkerVerdict", kept.at("workers").at(0).as_object()},
        {"DeviceVerdict", kept.at("workers").at(0).at("devices").at(0).as_object()},
        {"ScorePart", kept.at("workers").at(0).at("scores").at(0).as_object()},
        {"Suggestion", kept.at("suggestions").at(0).as_object()},
        {"Evaluation", management::to_json(management::Evaluation{})},
        {"Worker", management::to_json(with_program)},
        {"WorkerBackend", management::to_json(with_program).at("backends").at(0).as_object()},
        {"Backend", backend},
        {"BackendFlag", backend.at("flags").at(0).as_object()},
        {"BackendUse", backend.at("deployments").at(0).as_object()},
        {"BackendOnWorker", backend.at("workers").at(0).as_object()},
        {"BackendOnDevice", backend.at("workers").at(0).at("devices").at(0).as_object()},
        {"JoinToken", management::to_json(gantry::JoinToken{}, WallTime{})},
        {"NewJoinToken", new_token},
        {"Device", management::to_json(WorkerId{}, "", Device{})},
        {"DeviceHistory", device_history},
        {"DeviceCourse", device_history.at("items").at(0).as_object()},
        {"Model", management::to_json(Model{})},
        {"ModelFiles", management::to_json(ModelFileSet{})},
        {"HubModel", management::to_json(HubModel{})},
        {"CatalogueEntry", catalogued},
        {"CatalogueVariant", catalogued.at("variants").at(0).as_object()},
        {"ModelMeta", management::to_json(Model{}).at("meta").as_object()},
        {"Route", route},
        {"RouteTarget", route.at("targets").at(0).as_object()},
        {"Provider", management::to_json(Provider{})},
        {"User", management::to_json(User{})},
        {"Key", management::to_json(ApiKey{}, "")},
        {"NewKey", new_key},
        {"Limits", management::to_json(Limits{})},
        {"UsageRecord", management::to_json(UsageRecord{}, {})},
        {"UsageSummary", management::to_json(UsageSummary{}, {}, {})},
        {"Request", management::to_json(LiveRequest{}, "", true)},
        {"AuditEvent", management::to_json(event)},
        {"AuditChange", management::to_json(event).at("changes").at(0).as_object()},
        {"Server", management::to_json(info)},
    };
    for (const auto& [name, object] : objects) {
        SCOPED_TRACE(name);
        EXPECT_EQ(keys(object), keys(schema(name).at("properties").as_object()));
        std::set<std::string> always = required(name);
        if (name == "Server") always.insert("data_dir");
        EXPECT_EQ(keys(object), always);
    }
}

// The type that the schema gives a field, as a value that reads; so that only the names are put to the test.
json::value example(const std::string& name, const json::value& property) {
    static const std::map<std::string, json::value> known = {
        {"name", "a"},        {"source", "file:/m"},      {"backend", "engine"},    {"role", "user"},
        {"password", "12345678"}, {"new_password", "12345678"}, {"expires_at", "2030-01-01T00:00:00Z"}, {"health_path", "/h"},
        {"scopes", json::array{"inference"}}, {"requests_per_minute", 1}, {"tokens_per_minute", 1}, {"concurrent_requests", 1},
        {"tokens_per_month", nullptr}, {"targets", json::array{json::object{{"model", "a"}}}}, {"fallback", nullptr},
        {"kv_type", "q8_0"},
        {"base_url", "https://x/v1"}, {"api_key", "k"}, {"models", json::array{"m"}}};
    if (const auto found = known.find(name); found != known.end()) return found->second;
    const auto& fields = property.as_object();
    if (fields.contains("$ref")) return json::object{};
    if (const json::value* one_of = fields.if_contains("enum")) return one_of->as_array().back();
    const json::value& type = fields.at("type");
    if (type == "integer" || type == "number") return 1;
    if (type == "boolean") return true;
    if (type == "array") return json::array{};
    if (type == "object") return json::object{};
    return "text";
}

TEST(openapi, bodies_take_exactly_the_schemas_fields) {
    using Parse = std::function<Status(std::string_view)>;
    const auto outcome = [](const auto& result) { return result ? Status(Ok{}) : Status(result.error()); };
    const std::map<std::string, Parse> bodies = {
        {"DeploymentCreate", [&](std::string_view b) { return outcome(management::parse_deployment_create(b)); }},
        {"DeploymentPatch", [&](std::string_view b) { return outcome(management::parse_deployment_patch(b)); }},
        {"Rollback", [&](std::string_view b) { return outcome(management::parse_rollback(b)); }},
        {"RolloutOptionsInput",
         [&](std::string_view b) { return outcome(management::parse_deployment_patch(R"({"rollout":)" + std::string(b) + "}")); }},
        {"EvaluationCreate", [&](std::string_view b) { return outcome(management::parse_evaluation(b)); }},
        {"PlacementOptionsInput",
         [&](std::string_view b) { return outcome(management::parse_deployment_patch(R"({"placement":)" + std::string(b) + "}")); }},
        {"WorkerCreate", [&](std::string_view b) { return outcome(management::parse_worker_create(b)); }},
        {"WorkerPatch", [&](std::string_view b) { return outcome(management::parse_worker_patch(b)); }},
        {"JoinTokenCreate", [&](std::string_view b) { return outcome(management::parse_join_token_create(b)); }},
        {"ModelFilesCreate", [&](std::string_view b) { return outcome(management::parse_model_files_create(b)); }},
        {"ModelCreate", [&](std::string_view b) { return outcome(management::parse_model_create(b)); }},
        {"ModelPatch", [&](std::string_view b) { return outcome(management::parse_model_patch(b)); }},
        {"RouteCreate", [&](std::string_view b) { return outcome(management::parse_route_create(b)); }},
        {"RoutePatch", [&](std::string_view b) { return outcome(management::parse_route_patch(b)); }},
        {"ProviderCreate", [&](std::string_view b) { return outcome(management::parse_provider_create(b)); }},
        {"ProviderPatch", [&](std::string_view b) { return outcome(management::parse_provider_patch(b)); }},
        {"BenchmarkCreate", [&](std::string_view b) { return outcome(management::parse_benchmark_create(b)); }},
        {"RouteTargetInput",
         [&](std::string_view b) { return outcome(management::parse_route_patch(R"({"targets":[)" + std::string(b) + "]}")); }},
        {"UserCreate", [&](std::string_view b) { return outcome(management::parse_user_create(b)); }},
        {"UserPatch", [&](std::string_view b) { return outcome(management::parse_user_patch(b)); }},
        {"KeyCreate", [&](std::string_view b) { return outcome(management::parse_key_create(b)); }},
        {"KeyPatch", [&](std::string_view b) { return outcome(management::parse_key_patch(b)); }},
        {"LimitsInput",
         [&](std::string_view b) { return outcome(management::parse_key_patch(R"({"limits":)" + std::string(b) + "}")); }},
        {"Login", [&](std::string_view b) { return outcome(management::parse_login(b)); }},
        {"PasswordChange", [&](std::string_view b) { return outcome(management::parse_password(b)); }},
        {"BackendOptionsInput",
         [&](std::string_view b) {
             return outcome(management::parse_deployment_patch(R"({"options":)" + std::string(b) + "}"));
         }},
    };
    std::set<std::string> all;  // every field name of any body, to try on each
    for (const auto& [name, parse] : bodies) all.merge(keys(schema(name).at("properties").as_object()));
    all.insert({"id", "created_at", "password_hash", "generation"});
    for (const auto& [name, parse] : bodies) {
        SCOPED_TRACE(name);
        const auto& properties = schema(name).at("properties").as_object();
        json::object whole;
        for (const auto& property : properties) whole[property.key()] = example(property.key(), property.value());
        if (name == "WorkerPatch") {   // two ways of saying it, of which one is taken
            EXPECT_FALSE(parse(json::serialize(whole)).ok());
            EXPECT_TRUE(parse(R"({"cordoned":true})").ok());
            whole.erase("cordoned");
        }
        if (name == "BenchmarkCreate") {   // which fields go with which kind
            const json::value target = json::object{{"deployment", "a"}};
            const json::array targets = {target};
            EXPECT_TRUE(parse(json::serialize(json::object{{"targets", targets}, {"kind", "compare"}, {"rounds", 1}})).ok());
            EXPECT_TRUE(parse(json::serialize(json::object{{"targets", targets}, {"duration_seconds", 1}})).ok());
            EXPECT_FALSE(parse(json::serialize(whole)).ok());
            whole.erase("rounds");
            whole.erase("duration_seconds");
            whole["kind"] = "load";
            whole["targets"] = targets;
            whole["concurrencies"] = json::array{1};
            whole["prompt_tokens"] = 24;
        }
        const Status taken = parse(json::serialize(whole));
        EXPECT_TRUE(taken.ok()) << (taken.ok() ? "" : taken.error().message);
        for (const std::string& must : required(name)) {
            json::object without = whole;
            without.erase(must);
            EXPECT_FALSE(parse(json::serialize(without)).ok()) << must << " is required";
        }
        json::object least;
        for (const std::string& must : required(name)) least[must] = whole.at(must);
        EXPECT_TRUE(parse(json::serialize(least)).ok()) << "nothing else is required";
        for (const std::string& field : all) {
            if (properties.contains(field)) continue;
            json::object more = least;
            more[field] = "a";
            EXPECT_FALSE(parse(json::serialize(more)).ok()) << field << " is not in the schema, but taken";
        }
    }
}

}  // namespace
}  // namespace gantry::control
