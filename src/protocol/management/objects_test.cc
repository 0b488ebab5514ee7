#include "protocol/management/objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/management/fields.h"

namespace gantry::protocol::management {
namespace {

using testing::HasSubstr;

TEST(deployment_input, reads_every_field) {
    const auto input = parse_deployment_create(R"({"name":"a/b","source":"file:/m.gguf","backend":"custom","replicas":3,
        "stopped":true,"idle_timeout_seconds":600,
        "options":{"context_tokens":1,"max_sequences":2,"threads":3,"extra_args":["-x"],"env":{"A":"b"},"kv_type":"q8_0",
        "binary":"/b","command":["c","{{port}}"],"health_path":"/h"},"placement":{"strategy":"binpack","devices":["w1/nvidia/0"],"device_count":2,
        "device_types":["910B"],"worker_labels":{"room":"lab"},"cpu_offload":false,"across_workers":true}})");
    ASSERT_TRUE(input.ok()) << input.error().message;
    Deployment d;
    input->apply_to(d);
    EXPECT_EQ(d.name, "a/b");
    EXPECT_EQ(d.source, "file:/m.gguf");
    EXPECT_EQ(d.backend, BackendKind::kCustom);
    EXPECT_EQ(d.replicas, 3u);
    EXPECT_TRUE(d.stopped);
    EXPECT_EQ(d.idle_timeout_seconds, 600u);
    EXPECT_EQ(d.options, (BackendOptions{1, 2, 3, {"-x"}, {{"A", "b"}}, "q8_0", "/b", {"c", "{{port}}"}, "/h"}));
    EXPECT_EQ(d.placement, (PlacementOptions{PlacementStrategy::kBinpack, {"w1/nvidia/0"}, 2, {"910B"}, {{"room", "lab"}}, false, true}));
}

TEST(deployment_input, patch_merges_only_what_is_there) {
    Deployment d;
    d.name = "n";
    d.replicas = 2;
    d.options.threads = 4;
    d.options.env = {{"A", "1"}};
    const auto input = parse_deployment_patch(R"({"options":{"threads":8},"version":7})");
    ASSERT_TRUE(input.ok());
    input->apply_to(d);
    EXPECT_EQ(input->version, 7);
    EXPECT_EQ(d.options.threads, 8u);
    EXPECT_EQ(d.options.env.size(), 1u);
    EXPECT_EQ(d.replicas, 2u);
}

struct Refused {
    const char* body;
    const char* param;
    const char* says;
};

TEST(deployment_input, refusals_name_the_field) {
    const Refused cases[] = {
        {"", "", "empty"},
        {"[]", "", "must be a JSON object"},
        {"null", "", "must be a JSON object"},
        {R"({"name":)", "", "not valid JSON"},
        {R"({"source":"file:/m"})", "name", "missing"},
        {R"({"name":"n"})", "source", "missing"},
        {R"({"name":null,"source":"file:/m"})", "name", "missing"},
        {R"({"name":7,"source":"file:/m"})", "name", "must be a string"},
        {R"({"name":"../x","source":"file:/m"})", "name", "characters"},
        {R"({"name":"a..b","source":"file:/m"})", "name", "characters"},
        {R"({"name":"<img>","source":"file:/m"})", "name", "characters"},
        {R"({"name":"n","source":"hf:a"})", "source", "hf:ORG/NAME"},
        {R"({"name":"n","source":"modelscope:a/b/../c"})", "source", "no path inside the repository"},
        {R"({"name":"n","source":"http://x/y"})", "source", "file:/path"},
        {R"({"name":"n","source":"file:m.gguf"})", "source", "absolute"},
        {R"({"name":"n","source":"file:/a\u0000b"})", "source", "NUL"},
        {R"({"name":"n","source":"file:/a\nb"})", "source", "control character"},
        {R"({"name":"n","source":"file:/m","replicas":65})", "replicas", "from 0 to 64"},
        {R"({"name":"n","source":"file:/m","replicas":-1})", "replicas", "from 0 to 64"},
        {R"({"name":"n","source":"file:/m","replicas":1.5})", "replicas", "whole number"},
        {R"({"name":"n","source":"file:/m","replicas":18446744073709551615})", "replicas", "from 0 to 64"},
        {R"({"name":"n","source":"file:/m","replicas":"1"})", "replicas", "whole number"},
        {R"({"name":"n","source":"file:/m","stopped":1})", "stopped", "true or false"},
        {R"({"name":"n","source":"file:/m","idle_timeout_seconds":-1})", "idle_timeout_seconds", "from 0 to 2592000"},
        {R"({"name":"n","source":"file:/m","backend":"triton"})", "backend", "llama-server"},
        {R"({"name":"n","source":"file:/m","extra":1})", "extra", "not a field"},
        {R"({"name":"n","source":"file:/m","options":[]})", "options", "must be an object"},
        {R"({"name":"n","source":"file:/m","options":{"ctx":1}})", "options.ctx", "not a field"},
        {R"({"name":"n","source":"file:/m","options":{"extra_args":["a",1]}})", "options.extra_args[1]", "string"},
        {R"({"name":"n","source":"file:/m","options":{"env":{"A=B":"1"}}})", "options.env", "name that is empty"},
        {R"({"name":"n","source":"file:/m","options":{"env":{"A":1}}})", "options.env.A", "string"},
        {R"({"name":"n","source":"file:/m","options":{"health_path":"h"}})", "options.health_path", "begin with"},
        {R"({"name":"n","source":"file:/m","options":{"threads":4294967297}})", "options.threads", "from 0 to"},
    };
    for (const Refused& c : cases) {
        SCOPED_TRACE(c.body);
        const auto input = parse_deployment_create(c.body);
        ASSERT_FALSE(input.ok());
        EXPECT_EQ(input.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(input.error().param, c.param);
        EXPECT_THAT(input.error().message, HasSubstr(c.says));
    }
    EXPECT_FALSE(parse_deployment_patch(R"({"name":"n"})").ok());
    EXPECT_FALSE(parse_deployment_patch(R"({"id":"dep_1"})").ok());
}

TEST(deployment_input, deep_nesting_is_refused) {
    std::string body = R"({"name":)" + std::string(100'000, '[');
    const auto input = parse_deployment_create(body);
    ASSERT_FALSE(input.ok());
    EXPECT_THAT(input.error().message, HasSubstr("nested deeper"));
}

TEST(user_input, passwords_and_names) {
    EXPECT_TRUE(parse_user_create(R"({"name":"a@b.c","password":"12345678","role":"user"})").ok());
    EXPECT_TRUE(parse_user_create(R"({"name":"a","password":"密码密码密码密码","role":"admin"})").ok());
    EXPECT_FALSE(parse_user_create(R"({"name":"a","password":"密码密码","role":"admin"})").ok()) << "12 bytes, 4 characters";
    EXPECT_FALSE(parse_user_create(R"({"name":"a","password":"1234567","role":"user"})").ok());
    EXPECT_FALSE(parse_user_create(R"({"name":"a","password":"12345678","role":"root"})").ok());
    EXPECT_FALSE(parse_user_create(R"({"name":"a b","password":"12345678","role":"user"})").ok());
    EXPECT_FALSE(parse_user_create(R"({"name":"a","password":"12345678"})").ok());
    EXPECT_FALSE(parse_user_patch(R"({"password_hash":"x"})").ok());
}

TEST(key_input, expiry) {
    const auto never = parse_key_patch(R"({"expires_at":null})");
    ASSERT_TRUE(never.ok());
    EXPECT_TRUE(never->never_expires);
    const auto set = parse_key_create(R"({"name":"k","expires_at":"2026-12-31T23:59:59Z"})");
    ASSERT_TRUE(set.ok());
    EXPECT_FALSE(set->never_expires);
    EXPECT_EQ(to_rfc3339(*set->expires_at), "2026-12-31T23:59:59.000Z");
    EXPECT_FALSE(parse_key_create(R"({"name":"k","expires_at":"tomorrow"})").ok());
    EXPECT_FALSE(parse_key_create(R"({"name":"k\n","expires_at":null})").ok());
}

TEST(key_input, limits_scopes_and_models) {
    const auto made = parse_key_create(R"({"name":"k","limits":{"requests_per_minute":60,"tokens_per_month":1000000000000000},
        "scopes":["inference"],"models":["org/a:q4","b"]})");
    ASSERT_TRUE(made.ok()) << made.error().message;
    Limits limits;
    limits.tokens_per_minute = 5;
    made->limits.apply_to(limits);
    EXPECT_EQ(limits, (Limits{.requests_per_minute = 60, .tokens_per_minute = 5, .tokens_per_month = kMonthLimitMax}));
    EXPECT_EQ(made->scopes, (Scopes{.inference = true, .management = false}));
    EXPECT_EQ(made->models->size(), 2u);
    const auto lifted = parse_key_patch(R"({"limits":{"requests_per_minute":null},"models":[],"scopes":["management","inference"]})");
    ASSERT_TRUE(lifted.ok());
    lifted->limits.apply_to(limits);
    EXPECT_EQ(limits, (Limits{.tokens_per_minute = 5, .tokens_per_month = kMonthLimitMax}));
    EXPECT_TRUE(lifted->scopes->all() && lifted->models->empty());
    const auto nothing = parse_user_patch(R"({"limits":null,"models":null})");
    ASSERT_TRUE(nothing.ok());
    nothing->limits.apply_to(limits);
    EXPECT_EQ(limits.tokens_per_minute, 5u);
    EXPECT_FALSE(nothing->models.has_value());

    const Refused cases[] = {
        {R"({"limits":{"requests_per_minute":0}})", "limits.requests_per_minute", "from 1"},
        {R"({"limits":{"requests_per_minute":1000000001}})", "limits.requests_per_minute", "to 1000000000"},
        {R"({"limits":{"tokens_per_minute":1.5}})", "limits.tokens_per_minute", "whole number"},
        {R"({"limits":{"tokens_per_minute":"many"}})", "limits.tokens_per_minute", "whole number"},
        {R"({"limits":{"concurrent_requests":-1}})", "limits.concurrent_requests", "from 1"},
        {R"({"limits":{"tokens_per_month":18446744073709551615}})", "limits.tokens_per_month", "from 1"},
        {R"({"limits":{"rpm":1}})", "limits.rpm", "not a field"},
        {R"({"limits":[]})", "limits", "object"},
        {R"({"models":["a","../b"]})", "models[1]", "name of a model"},
        {R"({"models":[""]})", "models[0]", "name of a model"},
        {R"({"models":"a"})", "models", "list of strings"},
    };
    for (const Refused& c : cases) {
        for (const auto& error : {parse_key_patch(c.body).error(), parse_user_patch(c.body).error()}) {
            EXPECT_EQ(error.param, c.param) << c.body;
            EXPECT_THAT(error.message, HasSubstr(c.says)) << c.body;
        }
    }
    for (const char* body : {R"({"scopes":[]})", R"({"scopes":["admin"]})", R"({"scopes":["inference",1]})", R"({"scopes":"inference"})",
                             R"({"scopes":["inference","inference","inference"]})"}) {
        EXPECT_FALSE(parse_key_patch(body).ok()) << body;
    }
    EXPECT_EQ(parse_key_patch(R"({"scopes":["inference","root"]})").error().param, "scopes[1]");
    EXPECT_FALSE(parse_user_patch(R"({"scopes":["inference"]})").ok()) << "users have no scopes";
}

TEST(rfc3339, strict) {
    for (const char* good : {"2026-11-23T21:22:23Z", "2026-11-23T21:22:23.4Z", "2024-02-29T00:00:00.123456Z"}) {
        EXPECT_TRUE(parse_rfc3339(good)) << good;
    }
    EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-11-23T21:22:23.4Z")), "2026-11-23T21:22:23.400Z");
    for (const char* bad : {"", "Z", "2026-11-23", "2026-11-23T21:22:23", "2026-11-23T21:22:23+01:00", "2026-11-23 21:22:23Z",
                            "2026-02-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T21:22:23.Z",
                            "2026-11-23T21:22:23.12345678901Z", "99999-11-23T21:22:23Z", "-001-11-23T21:22:23Z"}) {
        EXPECT_FALSE(parse_rfc3339(bad)) << bad;
    }
}

TEST(objects, secrets_are_never_written) {
    User user;
    user.name = "u";
    user.password_hash = "HASH";
    ApiKey key;
    key.public_id = "pub";
    key.secret_digest = "DIGEST";
    Instance instance;
    instance.api_key = "ENGINEKEY";
    const std::string all = json::serialize(to_json(user)) + json::serialize(to_json(key, "u")) +
                            json::serialize(to_json(instance, "d", {}));
    for (const char* secret : {"HASH", "DIGEST", "ENGINEKEY"}) EXPECT_EQ(all.find(secret), std::string::npos) << secret;
}

TEST(objects, users_see_no_paths_or_environment) {
    Deployment d;
    d.source = "file:/home/secret/m.gguf";
    d.options.env = {{"TOKEN", "x"}};
    d.options.command = {"/opt/x"};
    d.options.threads = 2;
    hide_from_users(d);
    EXPECT_EQ(d.source, "file:m.gguf");
    EXPECT_TRUE(d.options.env.empty() && d.options.command.empty());
    EXPECT_EQ(d.options.threads, 2u);
    Model m;
    m.source = "file:/home/secret/m.gguf";
    m.path = "/home/secret/m.gguf";
    hide_from_users(m);
    EXPECT_EQ(m.source, "file:m.gguf");
    EXPECT_EQ(m.path, "");
    Instance i;
    i.endpoint = "unix:/run/x.sock";
    i.pid = 7;
    i.reason = "crash loop: exited with status 1: bad token in 'my secret prompt' 5 times; see gantry logs m";
    hide_from_users(i);
    EXPECT_EQ(i.endpoint, "");
    EXPECT_EQ(i.pid, 0);
    EXPECT_EQ(i.reason, "crash loop: exited with status 1");
    DeploymentStatus status;
    status.reason = "1 of 2 replicas are running: exited with status 1: my secret prompt";
    hide_from_users(status);
    EXPECT_EQ(status.reason, "1 of 2 replicas are running");
}

TEST(objects, the_public_part_of_a_reason) {
    const std::pair<const char*, const char*> cases[] = {
        {"", ""},
        {"its settings changed", "its settings changed"},
        {"exited with status 1; trying again now", "exited with status 1; trying again now"},
        {"exited with status 1: GET /x: said; next try in 8 s", "exited with status 1"},
        {"after: exited with status 1: said", "after: exited with status 1"},
        {"after: invalid model file: bad magic", "after: invalid model file: bad magic"},
        {"invalid model file: tensor 3 starts behind the end: blk.0", "invalid model file: tensor 3 starts behind the end"},
        {"crash loop: exited with status 3 5 times; next try in 8 s; see gantry logs org/m",
         "crash loop: exited with status 3 5 times; next try in 8 s; see gantry logs org/m"},
        {"out of memory (host): the system ended the engine", "out of memory (host)"},
        {"no worker can take it: w1 is cordoned", "no worker can take it"},
        {"cannot start /opt/secret/engine: No such file", "an administrator can see why"},
        {"/opt/engine is not a program that can be run here", "an administrator can see why"},
        {"invalid model file: cannot open '/home/m.gguf': denied", "an administrator can see why"},
        {"did not become ready within 60 s: HTTP 500: said", "did not become ready within 60 s"},
    };
    for (const auto& [reason, shown] : cases) EXPECT_EQ(public_reason(reason), shown) << reason;
}

TEST(evaluation_input, reads_workers_as_a_list_shows_them) {
    Worker worker;
    worker.name = "npu-1";
    worker.os = "linux";
    worker.arch = "aarch64";
    worker.labels = {{"room", "lab"}};
    Device npu;
    npu.vendor = "ascend";
    npu.index = 3;
    npu.name = "Ascend 910B3";
    npu.chip = "910B";
    npu.memory_total_bytes = 64ull << 30;
    npu.memory_free_bytes = 60ull << 30;
    npu.temperature_celsius = 40;
    worker.devices = {npu};
    const std::string body = R"({"source":"file:/m","backend":"mindie","workers":[)" + json::serialize(to_json(worker)) + "]}";
    const auto input = parse_evaluation(body);
    ASSERT_TRUE(input.ok()) << input.error().message;
    ASSERT_EQ(input->workers->size(), 1u);
    const Worker& read = input->workers->front();
    EXPECT_EQ(read.name, "npu-1");
    EXPECT_EQ(read.state, WorkerState::kReady);
    EXPECT_EQ(read.arch, "aarch64");
    EXPECT_EQ(read.labels, worker.labels);
    ASSERT_EQ(read.devices.size(), 1u);
    npu.temperature_celsius.reset();   // nothing that placement looks at
    EXPECT_EQ(read.devices[0], npu);
}

TEST(evaluation_input, refuses_what_is_no_fleet) {
    for (const char* workers : {"1", "[1]", R"([{"name":"a"},{"name":"a"}])", R"([{"devices":[{"index":1}]}])",
                                R"([{"devices":[{"vendor":"cpu"},{"vendor":"cpu"}]}])"}) {
        const auto input = parse_evaluation(R"({"source":"file:/m","workers":)" + std::string(workers) + "}");
        ASSERT_FALSE(input.ok()) << workers;
        EXPECT_EQ(input.error().param, "workers") << workers;
    }
    // Nonsense in a field that is passed over does no harm.
    EXPECT_TRUE(parse_evaluation(R"({"source":"file:/m","workers":[{"devices":[{"vendor":"cpu","index":0,"cores":-1,"links":7}]}]})").ok());
}

}  // namespace
}  // namespace gantry::protocol::management
