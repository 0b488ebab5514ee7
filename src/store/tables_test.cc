// Each table: what goes in comes out, versions, unique names, what belongs together.

#include <cmath>
#include <map>

#include "store/store_for_test.h"

namespace gantry::store {
namespace {

using ::testing::HasSubstr;

class Tables : public ::testing::Test {
protected:
    TempDir dir_;
    std::unique_ptr<SqliteStore> store_ = open_store(dir_.path());
};

TEST_F(Tables, DeploymentKeepsEveryField) {
    Deployment d = a_deployment("org/model:q4");
    d.backend = BackendKind::kCustom;
    d.options = {.context_tokens = 4096,
                 .max_sequences = 8,
                 .threads = 3,
                 .extra_args = {"--a", "with \"quotes\" and ünïcode", ""},
                 .env = {{"HF_TOKEN", "x=y"}, {"A", ""}},
                 .binary = "/bin/true",
                 .command = {"serve", "{{model}}"},
                 .health_path = "/ok"};
    d.replicas = 7;
    d.stopped = true;
    d.idle_timeout_seconds = 600;
    d.version = 3;
    d.generation = 2;
    d.updated_at = at(5);
    EXPECT_OK(store_->create_deployment(d));
    const auto got = store_->deployment_by_name("org/model:q4");
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(got->id, d.id);
    EXPECT_EQ(got->source, d.source);
    EXPECT_EQ(got->backend, d.backend);
    EXPECT_EQ(got->options, d.options);
    EXPECT_EQ(got->replicas, 7u);
    EXPECT_TRUE(got->stopped);
    EXPECT_EQ(got->version, 3);
    EXPECT_EQ(got->generation, 2);
    EXPECT_EQ(got->created_at, d.created_at);
    EXPECT_EQ(got->updated_at, at(5));
    EXPECT_EQ(got->idle_timeout_seconds, 600u);
    EXPECT_FALSE(got->asleep_since);
}

TEST_F(Tables, SleepIsNoEditAndOutlastsEdits) {
    Deployment d = a_deployment("a");
    EXPECT_OK(store_->create_deployment(d));
    EXPECT_OK(store_->set_asleep(d.id, at(7), 1));
    EXPECT_EQ(store_->deployment(d.id)->asleep_since, at(7));
    EXPECT_EQ(store_->deployment(d.id)->version, 1);
    d.idle_timeout_seconds = 30;
    d.version = 2;
    EXPECT_OK(store_->update_deployment(d, 1));   // of a version that knew nothing of the sleep
    EXPECT_EQ(store_->snapshot()->deployments.at(0).asleep_since, at(7));
    EXPECT_EQ(store_->snapshot()->deployments.at(0).idle_timeout_seconds, 30u);
    EXPECT_CODE(store_->set_asleep(d.id, std::nullopt, 1), ErrorCode::kConflict);   // it was edited since
    EXPECT_OK(store_->set_asleep(d.id, std::nullopt, 2));
    EXPECT_FALSE(store_->deployment(d.id)->asleep_since);
    EXPECT_CODE(store_->set_asleep(DeploymentId("gone"), at(7), 1), ErrorCode::kNotFound);
}

TEST_F(Tables, TextThatIsNoUtf8IsRefusedAndNotStored) {
    Deployment d = a_deployment("a");
    d.options.extra_args = {"\xff\xfe"};
    EXPECT_CODE(store_->create_deployment(d), ErrorCode::kInvalidArgument);
    EXPECT_CODE(store_->deployment(d.id), ErrorCode::kNotFound);
}

TEST_F(Tables, SqlInValuesIsJustText) {
    const std::string nasty = "x'); DROP TABLE deployments; --";
    Deployment d = a_deployment("a");
    d.source = nasty;
    EXPECT_OK(store_->create_deployment(d));
    EXPECT_EQ(store_->deployment(d.id)->source, nasty);
    EXPECT_CODE(store_->deployment_by_name(nasty), ErrorCode::kNotFound);
    EXPECT_EQ(store_->deployments({.name_contains = "%' OR 1=1 --"})->items.size(), 0u);
}

TEST_F(Tables, DeploymentVersionsAreOptimistic) {
    Deployment d = a_deployment("a");
    EXPECT_OK(store_->create_deployment(d));
    d.version = 2;
    d.replicas = 5;
    EXPECT_OK(store_->update_deployment(d, 1));
    d.version = 2;
    d.replicas = 9;
    const Status stale = store_->update_deployment(d, 1);
    EXPECT_CODE(stale, ErrorCode::kConflict);
    EXPECT_EQ(stale.error().param, "version");
    EXPECT_EQ(store_->deployment(d.id)->replicas, 5u);
    EXPECT_CODE(store_->update_deployment(a_deployment("gone"), 1), ErrorCode::kNotFound);
}

TEST_F(Tables, NamesAreUnique) {
    const Deployment first = a_deployment("a");
    Deployment second = a_deployment("b");
    EXPECT_OK(store_->create_deployment(first));
    EXPECT_OK(store_->create_deployment(second));
    Deployment again = a_deployment("a");
    again.id = DeploymentId("dep_other");
    const Status taken = store_->create_deployment(again);
    EXPECT_CODE(taken, ErrorCode::kConflict);
    EXPECT_EQ(taken.error().param, "name");
    EXPECT_THAT(taken.error().message, HasSubstr("'a'"));
    second.name = "a";
    EXPECT_CODE(store_->update_deployment(second, 1), ErrorCode::kConflict);
    // The same id twice is a conflict too, and shows no column's name.
    Deployment same_id = a_deployment("c");
    same_id.id = first.id;
    const Status twice = store_->create_deployment(same_id);
    EXPECT_CODE(twice, ErrorCode::kConflict);
    EXPECT_EQ(twice.error().reason, "");
    // Deleted and created again at once under the same name: the new one stands for itself.
    EXPECT_OK(store_->delete_deployment(first.id));
    EXPECT_OK(store_->create_deployment(again));
}

TEST_F(Tables, DeletedDeploymentLeavesStoppingInstances) {
    const Deployment d = a_deployment("a");
    const Deployment other = a_deployment("b");
    EXPECT_OK(store_->create_deployment(d));
    EXPECT_OK(store_->create_deployment(other));
    EXPECT_OK(store_->create_instance(an_instance("1", d)));
    EXPECT_OK(store_->create_instance(an_instance("2", d)));
    EXPECT_OK(store_->create_instance(an_instance("3", other)));
    EXPECT_OK(store_->delete_deployment(d.id));
    EXPECT_CODE(store_->delete_deployment(d.id), ErrorCode::kNotFound);
    const auto left = store_->instances({}, d.id);
    ASSERT_TRUE(left.ok());
    ASSERT_EQ(left->items.size(), 2u);
    for (const Instance& i : left->items) {
        EXPECT_TRUE(i.stopping);
        EXPECT_EQ(i.state, InstanceState::kStopping);
    }
    EXPECT_FALSE(store_->instance(InstanceId("ins_3"))->stopping);
    EXPECT_EQ(store_->snapshot()->instances.size(), 3u);
    EXPECT_OK(store_->delete_instance(InstanceId("ins_1")));
    EXPECT_CODE(store_->delete_instance(InstanceId("ins_1")), ErrorCode::kNotFound);
    // No resurrection: a plan made before the deletion can't add to it.
    EXPECT_CODE(store_->create_instance(an_instance("4", d)), ErrorCode::kNotFound);
}

Placement on(const char* worker) {
    Placement placement;
    placement.claims = {{.worker_id = WorkerId(worker), .device = {"cpu", 0}, .bytes = 1u << 30, .layers = 0, .memory_fraction = 0.25}};
    placement.context_tokens = 4096;
    placement.estimate_bytes = 123;
    return placement;
}

TEST_F(Tables, MeasuredRunsKeepThePeakAndOutliveTheirInstances) {
    MeasuredRun run{.instance_id = InstanceId("ins_1"), .deployment = "a", .backend = BackendKind::kEngine, .architecture = "llama",
                    .source = "file:/m.gguf", .vendor = "cpu", .estimate_bytes = 100, .peak_bytes = 90};
    EXPECT_OK(store_->add_measured_runs({run}, at(1)));
    run.peak_bytes = 95;
    EXPECT_OK(store_->add_measured_runs({run}, at(2)));
    run.peak_bytes = 50;   // restarted: the peak before stays
    EXPECT_OK(store_->add_measured_runs({run}, at(3)));
    run.instance_id = InstanceId("ins_2");
    EXPECT_OK(store_->add_measured_runs({run}, at(4)));
    const auto runs = store_->measured_runs();
    ASSERT_EQ(runs->size(), 2u);
    EXPECT_EQ((*runs)[0].instance_id, InstanceId("ins_2"));
    EXPECT_EQ((*runs)[1].peak_bytes, 95u);
    EXPECT_EQ((*runs)[1].architecture, "llama");
}

TEST_F(Tables, InstanceIsPlacedOnce) {
    const Deployment d = a_deployment("a");
    EXPECT_OK(store_->create_deployment(d));
    EXPECT_OK(store_->create_worker(a_worker("w")));
    EXPECT_OK(store_->create_worker(a_worker("x")));
    const Instance i = an_instance("1", d);
    EXPECT_OK(store_->create_instance(i));
    EXPECT_OK(store_->set_instance_reason(i.id, "no worker has room"));
    EXPECT_OK(store_->set_instance_reason(i.id, "no worker has room"));
    EXPECT_EQ(store_->instance(i.id)->reason, "no worker has room");
    EXPECT_CODE(store_->place_instance(i.id, on("wrk_gone"), "", at(1)), ErrorCode::kNotFound);
    EXPECT_OK(store_->place_instance(i.id, on("wrk_w"), R"({"reason":"most room"})", at(2)));
    const auto placed = store_->instance(i.id);
    EXPECT_EQ(placed->worker_id, WorkerId("wrk_w"));
    EXPECT_EQ(placed->state, InstanceState::kScheduled);
    EXPECT_EQ(placed->reason, "");
    EXPECT_EQ(placed->placement, on("wrk_w"));
    EXPECT_EQ(*store_->instance_decision(i.id), R"({"reason":"most room"})");
    EXPECT_EQ(placed->state_since, at(2));
    EXPECT_CODE(store_->place_instance(i.id, on("wrk_x"), "", at(3)), ErrorCode::kConflict);
    EXPECT_CODE(store_->set_instance_reason(i.id, "late"), ErrorCode::kConflict);
    EXPECT_CODE(store_->place_instance(InstanceId("ins_gone"), on("wrk_x"), "", at(3)), ErrorCode::kNotFound);
}

TEST_F(Tables, ObservationKeepsEveryFieldAndNoDesiredOne) {
    const Deployment d = a_deployment("a");
    EXPECT_OK(store_->create_deployment(d));
    EXPECT_OK(store_->create_worker(a_worker("w")));
    Instance i = an_instance("1", d);
    i.index = 4;
    i.generation = 9;
    i.worker_id = WorkerId("wrk_w");
    EXPECT_OK(store_->create_instance(i));
    Instance seen = i;
    seen.index = 99;
    seen.generation = 99;
    seen.worker_id = WorkerId("wrk_forged");
    seen.state = InstanceState::kRunning;
    seen.reason = "up";
    seen.state_since = at(10);
    seen.progress = std::nan("");
    seen.endpoint = "unix:/run/x.sock";
    seen.api_key = "k";
    seen.pid = 4711;
    seen.restarts = 2;
    seen.memory_bytes = 1ull << 40;
    // A row that is gone meanwhile stops nothing.
    EXPECT_OK(store_->observe_instances({an_instance("gone", d), seen}));
    const auto got = store_->instance(i.id);
    EXPECT_EQ(got->index, 4u);
    EXPECT_EQ(got->generation, 9);
    EXPECT_EQ(got->worker_id, WorkerId("wrk_w"));
    EXPECT_EQ(got->state, InstanceState::kRunning);
    EXPECT_EQ(got->reason, "up");
    EXPECT_EQ(got->state_since, at(10));
    EXPECT_EQ(got->progress, 0);
    EXPECT_EQ(got->endpoint, "unix:/run/x.sock");
    EXPECT_EQ(got->api_key, "k");
    EXPECT_EQ(got->pid, 4711);
    EXPECT_EQ(got->restarts, 2u);
    EXPECT_EQ(got->memory_bytes, 1ull << 40);
}

TEST_F(Tables, ALateReportDoesNotReviveAStoppingInstance) {
    const Deployment d = a_deployment("a");
    EXPECT_OK(store_->create_deployment(d));
    Instance i = an_instance("1", d);
    EXPECT_OK(store_->create_instance(i));
    EXPECT_OK(store_->mark_instance_stopping(i.id, at(5)));
    EXPECT_OK(store_->mark_instance_stopping(i.id, at(6)));
    i.state = InstanceState::kRunning;
    i.state_since = at(1);
    EXPECT_OK(store_->observe_instances({i}));
    auto got = store_->instance(i.id);
    EXPECT_TRUE(got->stopping);
    EXPECT_EQ(got->state, InstanceState::kStopping);
    EXPECT_EQ(got->state_since, at(5));
    i.state = InstanceState::kUnreachable;
    i.state_since = at(7);
    EXPECT_OK(store_->observe_instances({i}));
    got = store_->instance(i.id);
    EXPECT_EQ(got->state, InstanceState::kUnreachable);
    EXPECT_EQ(got->state_since, at(7));
    EXPECT_TRUE(got->stopping);
}

TEST_F(Tables, WhatAnInstanceWentThroughIsKept) {
    const Deployment d = a_deployment("a");
    EXPECT_OK(store_->create_deployment(d));
    EXPECT_OK(store_->create_worker(a_worker("w")));
    Instance i = an_instance("1", d);
    EXPECT_OK(store_->create_instance(i));
    EXPECT_OK(store_->set_instance_reason(i.id, "no room"));
    EXPECT_OK(store_->place_instance(i.id, on("wrk_w"), "", at(2)));
    const auto seen = [&](InstanceState state, int64_t when, uint32_t restarts, const char* reason) {
        i.state = state;
        i.state_since = at(when);
        i.restarts = restarts;
        i.reason = reason;
        EXPECT_OK(store_->observe_instances({i}));
    };
    seen(InstanceState::kRunning, 5, 0, "");
    seen(InstanceState::kRunning, 5, 0, "");   // again: nothing new
    seen(InstanceState::kRunning, 6, 1, "");   // so fast that nobody saw it dead
    seen(InstanceState::kError, 7, 1, "killed by SIGKILL");
    seen(InstanceState::kError, 7, 1, "killed by SIGKILL; next try in 2 s");
    const auto events = store_->instance_events(i.id);
    ASSERT_TRUE(events.ok());
    std::vector<std::string> told;
    for (const InstanceEvent& e : *events) told.push_back(std::string(to_string(e.state)) + " " + std::to_string(e.restarts) + " " + e.reason);
    EXPECT_EQ(told, (std::vector<std::string>{"pending 0 no room", "scheduled 0 ", "running 0 ", "running 1 ",
                                              "error 1 killed by SIGKILL; next try in 2 s"}));
    EXPECT_EQ(events->back().at, at(7));
    for (uint32_t n = 2; n < 400; ++n) seen(n % 2 == 0 ? InstanceState::kStarting : InstanceState::kError, n, n, "");
    EXPECT_EQ(store_->instance_events(i.id)->size(), 200u);
    EXPECT_EQ(store_->instance_events(i.id)->back().restarts, 399u);
    EXPECT_OK(store_->delete_instance(i.id));
    EXPECT_CODE(store_->instance_events(i.id), ErrorCode::kNotFound);
}

TEST_F(Tables, WorkersDesiredAndObservedColumnsAreApart) {
    Worker w = a_worker("w");
    EXPECT_OK(store_->create_worker(w));
    Worker seen = w;
    seen.name = "forged";
    seen.cordoned = true;
    seen.state = WorkerState::kReady;
    seen.address = "embedded";
    seen.version = "0.1.0";
    seen.last_report_at = at(3);
    seen.devices = {{.vendor = "cpu", .index = 0, .name = "EPYC", .memory_total_bytes = 1ull << 41, .memory_free_bytes = 7,
                     .cores = 2, .utilization = 0.25, .details = "avx2", .problem = ""},
                    {.vendor = "nvidia", .index = 1, .name = "H20", .utilization = 0.5, .details = "", .problem = "lost"}};
    EXPECT_OK(store_->observe_worker(seen));
    w.version_number = 2;
    w.name = "renamed";
    EXPECT_OK(store_->update_worker(w, 1));
    EXPECT_CODE(store_->update_worker(w, 1), ErrorCode::kConflict);
    const auto got = store_->worker(w.id);
    EXPECT_EQ(got->name, "renamed");
    EXPECT_FALSE(got->cordoned);
    EXPECT_EQ(got->version_number, 2);
    EXPECT_EQ(got->state, WorkerState::kReady);
    EXPECT_EQ(got->address, "embedded");
    EXPECT_EQ(got->last_report_at, at(3));
    EXPECT_EQ(got->devices, seen.devices);
    EXPECT_CODE(store_->observe_worker(a_worker("gone")), ErrorCode::kNotFound);
    Worker same_name = a_worker("renamed");
    EXPECT_CODE(store_->create_worker(same_name), ErrorCode::kConflict);
}

TEST_F(Tables, WorkerWithInstancesStays) {
    const Deployment d = a_deployment("a");
    EXPECT_OK(store_->create_deployment(d));
    EXPECT_OK(store_->create_worker(a_worker("w")));
    Instance i = an_instance("1", d);
    i.worker_id = WorkerId("wrk_w");
    EXPECT_OK(store_->create_instance(i));
    EXPECT_CODE(store_->delete_worker(WorkerId("wrk_w")), ErrorCode::kConflict);
    EXPECT_OK(store_->delete_instance(i.id));
    EXPECT_OK(store_->delete_worker(WorkerId("wrk_w")));
    EXPECT_CODE(store_->delete_worker(WorkerId("wrk_w")), ErrorCode::kNotFound);
}

TEST_F(Tables, ModelKeepsEveryFieldAndStaysWhileDeployed) {
    Model m = a_model("m");
    m.meta = {.format = "gguf", .architecture = "llama", .name = "own", .quantization = "Q4_1", .parameter_count = 134515008,
              .file_bytes = 98000000000, .layers = 30, .context_length = 8192, .embedding_length = 576, .heads = 9,
              .heads_kv = 3, .key_length = 64, .value_length = 64, .vocabulary = 49152, .has_chat_template = true, .pooling = "rank"};
    EXPECT_OK(store_->create_model(m));
    for (const auto& got : {store_->model(m.id), store_->model_by_name("m"), store_->model_by_source(m.source)}) {
        ASSERT_TRUE(got.ok());
        EXPECT_EQ(got->path, m.path);
        EXPECT_EQ(got->meta.format, "gguf");
        EXPECT_EQ(got->meta.architecture, "llama");
        EXPECT_EQ(got->meta.name, "own");
        EXPECT_EQ(got->meta.quantization, "Q4_1");
        EXPECT_EQ(got->meta.parameter_count, 134515008u);
        EXPECT_EQ(got->meta.file_bytes, 98000000000u);
        EXPECT_EQ(got->meta.layers, 30u);
        EXPECT_EQ(got->meta.context_length, 8192u);
        EXPECT_EQ(got->meta.embedding_length, 576u);
        EXPECT_EQ(got->meta.heads, 9u);
        EXPECT_EQ(got->meta.heads_kv, 3u);
        EXPECT_EQ(got->meta.key_length, 64u);
        EXPECT_EQ(got->meta.value_length, 64u);
        EXPECT_EQ(got->meta.vocabulary, 49152u);
        EXPECT_TRUE(got->meta.has_chat_template);
        EXPECT_EQ(got->meta.pooling, "rank");
    }
    Model same_source = a_model("n");
    same_source.source = m.source;
    const Status taken = store_->create_model(same_source);
    EXPECT_CODE(taken, ErrorCode::kConflict);
    EXPECT_EQ(taken.error().param, "source");
    m.version = 2;
    m.name = "renamed";
    EXPECT_OK(store_->update_model(m, 1));
    EXPECT_CODE(store_->update_model(m, 1), ErrorCode::kConflict);
    Deployment d = a_deployment("d");
    d.source = m.source;
    EXPECT_OK(store_->create_deployment(d));
    const Status deployed = store_->delete_model(m.id);
    EXPECT_CODE(deployed, ErrorCode::kConflict);
    EXPECT_THAT(deployed.error().message, HasSubstr("'d'"));
    EXPECT_OK(store_->delete_deployment(d.id));
    EXPECT_OK(store_->delete_model(m.id));
    EXPECT_CODE(store_->delete_model(m.id), ErrorCode::kNotFound);
}

TEST_F(Tables, RouteKeepsEveryFieldAndItsNameIsNoDeployments) {
    Route r;
    r.id = RouteId("rte_1");
    r.name = "public";
    r.targets = {{"a", 3}, {"b", 0}};
    r.fallback = "c";
    r.disabled = true;
    r.created_at = from_unix_ms(1'700'000'000'000);
    r.updated_at = from_unix_ms(1'700'000'000'001);
    EXPECT_OK(store_->create_route(r));
    for (const auto& got : {store_->route(r.id), store_->route_by_name("public"), Result<Route>(store_->snapshot()->routes.at(0))}) {
        ASSERT_TRUE(got.ok());
        EXPECT_EQ(got->id, r.id);
        EXPECT_EQ(got->name, "public");
        EXPECT_EQ(got->targets, r.targets);
        EXPECT_EQ(got->fallback, "c");
        EXPECT_TRUE(got->disabled);
        EXPECT_EQ(got->version, 1);
        EXPECT_EQ(got->created_at, r.created_at);
        EXPECT_EQ(got->updated_at, r.updated_at);
    }
    const Status taken = store_->create_deployment(a_deployment("public"));
    EXPECT_CODE(taken, ErrorCode::kConflict);
    EXPECT_EQ(taken.error().param, "name");
    EXPECT_OK(store_->create_deployment(a_deployment("d")));
    Route other = r;
    other.id = RouteId("rte_2");
    EXPECT_CODE(store_->create_route(other), ErrorCode::kConflict);
    other.name = "d";
    EXPECT_CODE(store_->create_route(other), ErrorCode::kConflict);
    r.targets = {{"d", 1}};
    r.version = 2;
    EXPECT_OK(store_->update_route(r, 1));
    EXPECT_CODE(store_->update_route(r, 1), ErrorCode::kConflict);
    EXPECT_EQ(store_->routes({})->items.at(0).targets, r.targets);
    EXPECT_OK(store_->delete_route(r.id));
    EXPECT_CODE(store_->delete_route(r.id), ErrorCode::kNotFound);
    EXPECT_OK(store_->create_deployment(a_deployment("public")));
}

TEST_F(Tables, ProviderKeepsEveryFieldAndItsNameIsNobodyElses) {
    Provider p;
    p.id = ProviderId("prv_1");
    p.name = "openai";
    p.base_url = "https://api.example/v1";
    p.sealed_key = "c2VhbGVk";
    p.models = {"gpt-4o", "org/b"};
    p.disabled = true;
    p.created_at = from_unix_ms(1'700'000'000'000);
    p.updated_at = from_unix_ms(1'700'000'000'001);
    EXPECT_OK(store_->create_provider(p));
    for (const auto& got : {store_->provider(p.id), store_->provider_by_name("openai"), Result<Provider>(store_->snapshot()->providers.at(0))}) {
        ASSERT_TRUE(got.ok());
        EXPECT_EQ(got->id, p.id);
        EXPECT_EQ(got->name, "openai");
        EXPECT_EQ(got->base_url, p.base_url);
        EXPECT_EQ(got->sealed_key, p.sealed_key);
        EXPECT_EQ(got->models, p.models);
        EXPECT_TRUE(got->disabled);
        EXPECT_EQ(got->version, 1);
        EXPECT_EQ(got->created_at, p.created_at);
        EXPECT_EQ(got->updated_at, p.updated_at);
    }
    Route r;
    r.id = RouteId("rte_1");
    r.name = "openai/gpt-4o";
    for (const Status& taken : {store_->create_deployment(a_deployment("openai/x")), store_->create_route(r)}) {
        EXPECT_CODE(taken, ErrorCode::kConflict);
        EXPECT_EQ(taken.error().param, "name");
    }
    EXPECT_OK(store_->create_deployment(a_deployment("openai")));
    EXPECT_OK(store_->create_deployment(a_deployment("open_i/x")));
    r.name = "openai2/x";
    EXPECT_OK(store_->create_route(r));
    Provider other = p;
    other.id = ProviderId("prv_2");
    for (const char* name : {"openai", "open_i", "openai2"}) {
        other.name = name;
        const Status taken = store_->create_provider(other);
        EXPECT_CODE(taken, ErrorCode::kConflict);
        EXPECT_EQ(taken.error().param, "name") << name;
    }
    p.models = {"other"};
    p.sealed_key.clear();
    p.version = 2;
    EXPECT_OK(store_->update_provider(p, 1));
    EXPECT_CODE(store_->update_provider(p, 1), ErrorCode::kConflict);
    EXPECT_EQ(store_->providers({})->items.at(0).models, p.models);
    EXPECT_OK(store_->delete_provider(p.id));
    EXPECT_CODE(store_->delete_provider(p.id), ErrorCode::kNotFound);
    EXPECT_OK(store_->create_deployment(a_deployment("openai/x")));
}

TEST_F(Tables, TheLastAdminStays) {
    User root = a_user("root", Role::kAdmin);
    User second = a_user("second", Role::kAdmin);
    EXPECT_OK(store_->create_user(root));
    EXPECT_OK(store_->create_user(a_user("ann")));
    EXPECT_CODE(store_->delete_user(root.id), ErrorCode::kConflict);
    User demoted = root;
    demoted.version = 2;
    demoted.role = Role::kUser;
    EXPECT_CODE(store_->update_user(demoted, 1), ErrorCode::kConflict);
    User disabled = root;
    disabled.version = 2;
    disabled.disabled = true;
    const Status refused = store_->update_user(disabled, 1);
    EXPECT_CODE(refused, ErrorCode::kConflict);
    EXPECT_EQ(refused.error().reason, "last_admin");
    EXPECT_EQ(store_->user(root.id)->version, 1);
    EXPECT_FALSE(store_->user(root.id)->disabled);
    // A disabled second admin is no help; an enabled one is.
    second.disabled = true;
    EXPECT_OK(store_->create_user(second));
    EXPECT_CODE(store_->update_user(disabled, 1), ErrorCode::kConflict);
    second.disabled = false;
    second.version = 2;
    EXPECT_OK(store_->update_user(second, 1));
    EXPECT_OK(store_->update_user(disabled, 1));
    EXPECT_CODE(store_->delete_user(second.id), ErrorCode::kConflict);
    EXPECT_OK(store_->delete_user(root.id));
}

TEST_F(Tables, LimitsScopesAndModelsOfKeysAndUsers) {
    User ann = a_user("ann");
    ann.limits = {.requests_per_minute = 1, .tokens_per_minute = 2, .concurrent_requests = 3, .tokens_per_month = kMonthLimitMax};
    ann.models = {"org/a:q4", "b \"quoted\""};
    EXPECT_OK(store_->create_user(ann));
    EXPECT_EQ(store_->user(ann.id)->limits, ann.limits);
    EXPECT_EQ(store_->user(ann.id)->models, ann.models);
    ann.limits = {.tokens_per_minute = 7};
    ann.models.clear();
    EXPECT_OK(store_->update_user(ann, 1));
    EXPECT_EQ(store_->user(ann.id)->limits, ann.limits);
    EXPECT_TRUE(store_->user(ann.id)->models.empty());

    ApiKey key = a_key("k", ann);
    key.limits.concurrent_requests = 4;
    key.models = {"b"};
    key.scopes = {.inference = true, .management = false};
    EXPECT_OK(store_->create_key(key));
    EXPECT_EQ(store_->key(key.id)->limits, key.limits);
    EXPECT_EQ(store_->key(key.id)->models, key.models);
    EXPECT_EQ(store_->key(key.id)->scopes, key.scopes);
    key.scopes = {.inference = false, .management = true};
    key.limits = {};
    key.models = {};
    EXPECT_OK(store_->update_key(key, 1));
    const auto rows = store_->auth_rows();
    ASSERT_TRUE(rows.ok() && rows->keys.size() == 1);
    EXPECT_EQ(rows->keys[0].scopes, key.scopes);
    EXPECT_FALSE(rows->keys[0].limits.any());
    key.models = {"\xff"};
    EXPECT_CODE(store_->update_key(key, 1), ErrorCode::kInvalidArgument);
}

TEST_F(Tables, TokensUsedAreSummedByUserAndKey) {
    const auto record = [](const char* id, int64_t ms, const char* user, const char* key, uint32_t prompt, uint32_t completion) {
        UsageRecord u = a_usage(id, ms);
        u.user_id = UserId(user);
        u.key_id = ApiKeyId(key);
        u.prompt_tokens = prompt;
        u.cached_tokens = prompt / 2;
        u.completion_tokens = completion;
        return u;
    };
    EXPECT_OK(store_->add_usage({record("1", 0, "ann", "k", 10, 1), record("2", 10, "ann", "k", 4'000'000'000, 4'000'000'000),
                                 record("3", 20, "ann", "", 5, 5), record("4", 30, "bob", "l", 7, 0),
                                 record("5", 40, "bob", "l", 100, 100)}));
    const auto sums = store_->tokens_used(at(10), at(40));
    ASSERT_TRUE(sums.ok());
    std::map<std::string, uint64_t> by;
    for (const TokensUsed& t : *sums) by[t.user_id.text + "/" + t.key_id.text] = t.tokens;
    EXPECT_EQ(by, (std::map<std::string, uint64_t>{{"ann/k", 8'000'000'000}, {"ann/", 10}, {"bob/l", 7}}));
    EXPECT_TRUE(store_->tokens_used(at(41), at(99))->empty());
}

TEST_F(Tables, TokensUsedOutliveTheirRecords) {
    constexpr int64_t kHour = 3'600'000;
    const auto record = [](const char* id, int64_t ms, uint32_t tokens) {
        UsageRecord u = a_usage(id, ms);
        u.prompt_tokens = tokens;
        u.completion_tokens = 0;
        return u;
    };
    EXPECT_OK(store_->add_usage({record("1", kHour - 1, 1), record("2", kHour, 10), record("3", 2 * kHour, 100),
                                 record("4", 3 * kHour, 1'000), record("5", 3 * kHour + 5, 10'000)}));
    const auto total = [this](int64_t from, int64_t before) {
        const auto sums = store_->tokens_used(at(from), at(before));
        return sums->empty() ? 0 : sums->front().tokens;
    };
    EXPECT_EQ(total(0, 4 * kHour), 11'111u);
    EXPECT_EQ(total(kHour - 1, 3 * kHour + 5), 1'111u);
    EXPECT_EQ(total(kHour, 3 * kHour), 110u);
    EXPECT_EQ(total(kHour + 1, 2 * kHour), 0u);
    EXPECT_EQ(total(2 * kHour, 2 * kHour + 1), 100u);
    ASSERT_TRUE(store_->delete_usage_before(at(3 * kHour)).ok());
    EXPECT_EQ(total(0, 3 * kHour + 1), 1'111u);
}

TEST_F(Tables, UsersKeepEveryFieldAndTakeTheirKeysAlong) {
    User ann = a_user("ann");
    ann.must_change_password = true;
    EXPECT_OK(store_->create_user(ann));
    const User bob = a_user("bob");
    EXPECT_OK(store_->create_user(bob));
    EXPECT_CODE(store_->create_user(ann), ErrorCode::kConflict);
    const auto got = store_->user_by_name("ann");
    EXPECT_EQ(got->password_hash, ann.password_hash);
    EXPECT_TRUE(got->must_change_password);
    ApiKey key = a_key("k", ann);
    key.expires_at = at(100);
    EXPECT_OK(store_->create_key(key));
    EXPECT_OK(store_->create_key(a_key("l", bob)));
    EXPECT_EQ(store_->key(key.id)->expires_at, at(100));
    EXPECT_EQ(store_->key(key.id)->secret_digest, "digest of k");
    EXPECT_EQ(store_->key(ApiKeyId("key_l"))->expires_at, std::nullopt);
    EXPECT_CODE(store_->create_key(a_key("m", a_user("gone"))), ErrorCode::kNotFound);
    ApiKey same_public = a_key("z", ann);
    same_public.public_id = key.public_id;
    EXPECT_CODE(store_->create_key(same_public), ErrorCode::kConflict);
    key.version = 2;
    key.disabled = true;
    key.expires_at.reset();
    EXPECT_OK(store_->update_key(key, 1));
    EXPECT_CODE(store_->update_key(key, 1), ErrorCode::kConflict);
    EXPECT_TRUE(store_->key(key.id)->disabled);
    EXPECT_EQ(store_->key(key.id)->expires_at, std::nullopt);
    EXPECT_EQ(store_->keys({}, ann.id)->items.size(), 1u);
    EXPECT_EQ(store_->keys({}, {})->items.size(), 2u);
    EXPECT_EQ(store_->key(key.id)->scopes, Scopes{});
    EXPECT_FALSE(store_->key(key.id)->limits.any());
    EXPECT_OK(store_->create_session({"digest", ann.id, at(0), at(50)}));
    EXPECT_CODE(store_->create_session({"digest2", UserId("usr_gone"), at(0), at(50)}), ErrorCode::kNotFound);
    EXPECT_OK(store_->delete_user(ann.id));
    const auto rows = store_->auth_rows();
    ASSERT_TRUE(rows.ok());
    EXPECT_EQ(rows->users.size(), 1u);
    EXPECT_EQ(rows->keys.size(), 1u);
    EXPECT_EQ(rows->sessions.size(), 0u);
    EXPECT_OK(store_->delete_key(ApiKeyId("key_l")));
    EXPECT_CODE(store_->delete_key(ApiKeyId("key_l")), ErrorCode::kNotFound);
}

TEST_F(Tables, SessionsEnd) {
    const User ann = a_user("ann");
    EXPECT_OK(store_->create_user(ann));
    for (int i = 0; i < 4; ++i) EXPECT_OK(store_->create_session({"s" + std::to_string(i), ann.id, at(0), at(10 * i)}));
    EXPECT_OK(store_->delete_session("s3"));
    EXPECT_OK(store_->delete_session("s3"));
    EXPECT_OK(store_->delete_sessions_before(at(10)));
    auto rows = store_->auth_rows();
    ASSERT_EQ(rows->sessions.size(), 1u);
    EXPECT_EQ(rows->sessions[0].token_digest, "s2");
    EXPECT_EQ(rows->sessions[0].expires_at, at(20));
    EXPECT_OK(store_->delete_sessions_of(ann.id));
    EXPECT_EQ(store_->auth_rows()->sessions.size(), 0u);
}

TEST_F(Tables, AnIdentityIsOfOneUser) {
    const Identity ann_there{"https://id.example", "42"};
    const User ann = a_user("ann", Role::kAdmin, 1);
    EXPECT_CODE(store_->user_by_identity(ann_there), ErrorCode::kNotFound);
    EXPECT_OK(store_->create_user(ann, ann_there));
    EXPECT_EQ(store_->user_by_identity(ann_there)->id, ann.id);
    EXPECT_CODE(store_->user_by_identity({"https://id.example", "43"}), ErrorCode::kNotFound);
    EXPECT_CODE(store_->user_by_identity({"https://other.example", "42"}), ErrorCode::kNotFound);
    EXPECT_CODE(store_->user_by_identity({"", ""}), ErrorCode::kNotFound);

    const Status taken = store_->create_user(a_user("ann", Role::kUser, 2), {"https://id.example", "43"});
    EXPECT_CODE(taken, ErrorCode::kConflict);
    EXPECT_EQ(taken.error().param, "name");
    const Status twice = store_->create_user(a_user("bob", Role::kUser, 3), ann_there);
    EXPECT_CODE(twice, ErrorCode::kConflict);
    EXPECT_EQ(twice.error().param, "identity");
    EXPECT_CODE(store_->user_by_name("bob"), ErrorCode::kNotFound);   // both rows or none

    EXPECT_OK(store_->create_user(a_user("cleo", Role::kAdmin, 4)));
    EXPECT_OK(store_->delete_user(ann.id));
    EXPECT_CODE(store_->user_by_identity(ann_there), ErrorCode::kNotFound);
}

TEST_F(Tables, Settings) {
    EXPECT_EQ(*store_->setting("server_id"), std::nullopt);
    EXPECT_OK(store_->set_setting("server_id", "a"));
    EXPECT_OK(store_->set_setting("server_id", "b"));
    EXPECT_EQ(*store_->setting("server_id"), "b");
    EXPECT_OK(store_->check_writable());
}

TEST_F(Tables, UsageIsCountedOnceARequest) {
    UsageRecord u = a_usage("1");
    u.key_id = ApiKeyId("key_k");
    u.instance_id = InstanceId("ins_1");
    u.aborted = true;
    u.prompt_tokens = 4'000'000'000;
    u.cached_tokens = 2;
    u.completion_tokens = 3;
    u.reasoning_tokens = 4;
    u.audio_ms = 4'000'000'001;
    u.images = 7;
    u.ttft_ms = 5;
    u.duration_ms = 6;
    EXPECT_OK(store_->add_usage({u, u, a_usage("2", 1)}));
    UsageRecord again = u;
    again.completion_tokens = 99;
    UsageRecord bobs = a_usage("3", 2);
    bobs.user_id = UserId("usr_bob");
    EXPECT_OK(store_->add_usage({again, bobs}));
    const auto page = store_->usage({}, {});
    ASSERT_EQ(page->items.size(), 3u);
    const UsageRecord& got = page->items[0];
    EXPECT_EQ(got.request_id, u.request_id);
    EXPECT_EQ(got.at, u.at);
    EXPECT_EQ(got.key_id, u.key_id);
    EXPECT_EQ(got.instance_id, u.instance_id);
    EXPECT_EQ(got.status, 200);
    EXPECT_TRUE(got.aborted);
    EXPECT_FALSE(got.estimated);
    EXPECT_EQ(got.prompt_tokens, 4'000'000'000u);
    EXPECT_EQ(got.cached_tokens, 2u);
    EXPECT_EQ(got.completion_tokens, 3u);
    EXPECT_EQ(got.reasoning_tokens, 4u);
    EXPECT_EQ(got.audio_ms, 4'000'000'001u);
    EXPECT_EQ(got.images, 7u);
    EXPECT_EQ(got.ttft_ms, 5u);
    EXPECT_EQ(got.duration_ms, 6u);
    EXPECT_EQ(store_->usage({}, {.user = UserId("usr_bob")})->items.size(), 1u);
}

}  // namespace
}  // namespace gantry::store
