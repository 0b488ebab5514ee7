// The management API from outside: who may do what, errors, lists, edits, logins, streams.
#include <sqlite3.h>

#include <algorithm>
#include <set>

#include "control/api/console.h"
#include "control/control_test_support.h"

namespace gantry::control {
namespace {

class ApiTest : public testing::Test {
protected:
    TempDir dir_;
    Plane plane_{dir_.path()};

    Reply deploy(const std::string& name, const std::string& more = "") {
        return plane_.ask("POST", "/api/v1/deployments", R"({"name":")" + name + R"(","source":"file:/dir/m.gguf")" + more + "}");
    }
};

std::string filled(std::string pattern) {
    for (size_t open = pattern.find('{'); open != std::string::npos; open = pattern.find('{')) {
        pattern.replace(open, pattern.find('}') - open + 1, "x");
    }
    return pattern;
}

// Reads a watch stream until `enough` says so; gives the events seen.
std::vector<http::SseEvent> watch(const Plane& plane, const std::string& kinds,
                                  const std::function<bool(const std::vector<http::SseEvent>&)>& enough,
                                  const std::string& key = "") {
    std::vector<http::SseEvent> seen;
    http::SseReader reader;
    http::Client::Call call{"GET", "/api/v1/watch?kinds=" + kinds, {}, ""};
    call.headers.set("authorization", "Bearer " + key);
    const auto done = http::fetch_stream(plane.endpoint(), call, [&](std::string_view bytes) {
        const auto events = reader.feed(bytes);
        for (const auto& event : events.value()) {
            seen.push_back(event);
            if (enough(seen)) return false;
        }
        return true;
    });
    EXPECT_TRUE(done.ok() && done->status == 200) << (done.ok() ? done->body : done.error().message);
    return seen;
}

bool synced(const std::vector<http::SseEvent>& seen) { return seen.back().event == "synced"; }

// Files that are in every binary alike.
bool of_console(const http::Route& route) {
    const bool page = std::any_of(std::begin(kConsolePages), std::end(kConsolePages), [&route](const char* name) {
        return route.pattern == std::string("/") + name || route.pattern == std::string("/") + name + "/{rest...}";
    });
    return route.method == "GET" && (page || route.pattern == "/assets/{name}");
}

bool of_links(const http::Route& route) { return route.access == gateway::kLink || route.access == gateway::kJoin; }

TEST_F(ApiTest, without_credentials_only_the_public_list_answers) {
    const std::set<std::string> open{"GET /healthz", "GET /readyz", "GET /", "POST /api/v1/auth/login", "GET /api/v1/auth/config",
                                     "GET /api/v1/auth/oidc/login", "GET /api/v1/auth/oidc/callback",
                                     "GET /join.sh", "GET /join/gantry"};   // the last two look at a join token
    std::set<std::string> found;
    for (const http::Route& route : plane_.router().routes()) {
        const std::string name = route.method + " " + route.pattern;
        if (of_console(route)) continue;
        if (route.access == gateway::kPublic) {
            found.insert(name);
            continue;
        }
        const Reply answer = plane_.ask(route.method, filled(route.pattern), "", "");
        if (of_links(route)) {
            EXPECT_EQ(answer.status, 404) << name << " is there on the links of workers alone";
            continue;
        }
        EXPECT_TRUE(answer.status == 401 || answer.status == 429) << name << " answered " << answer.status;
    }
    EXPECT_EQ(found, open);
}

TEST_F(ApiTest, users_are_refused_what_is_the_admins) {
    const std::string key = plane_.key_of("ann", "user");
    for (const http::Route& route : plane_.router().routes()) {
        if (route.access != gateway::kAdmin) continue;
        EXPECT_EQ(plane_.ask(route.method, filled(route.pattern), "{}", key).status, 403) << route.method << " " << route.pattern;
    }
    // Whatever changes something is the admins', but for the own keys, requests, benchmarks and login.
    for (const http::Route& route : plane_.router().routes()) {
        const bool own = route.pattern.find("/keys") != std::string::npos || route.pattern.find("/auth/") != std::string::npos ||
                         route.pattern.find("/requests") != std::string::npos || route.pattern.find("/benchmarks") != std::string::npos ||
                         route.pattern == "/api/v1/compare";
        if (route.method == "GET" || own || of_links(route)) continue;
        EXPECT_EQ(route.access, gateway::kAdmin) << route.method << " " << route.pattern;
    }
}

// Watchers are told of a state before it is stored: who asks then for the instance's events must find it.
TEST_F(ApiTest, events_of_an_instance_end_with_what_is_seen_of_it_even_before_it_is_stored) {
    ASSERT_EQ(deploy("m").status, 201);
    ASSERT_TRUE(plane_.work_until([&] { return plane_.deployment_state("m") == "running"; }));
    const std::string id = plane_.runs().at(0).id.text;
    sqlite3* other = nullptr;
    ASSERT_EQ(sqlite3_open((dir_.path() + "/gantry.db").c_str(), &other), SQLITE_OK);
    sqlite3_busy_timeout(other, 20'000);   // the server may be writing
    ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
    protocol::InstanceReport dead;
    dead.id = InstanceId(id);
    dead.state = InstanceState::kError;
    dead.reason = "killed by SIGKILL";
    dead.restarts = 1;
    std::thread reporting([&] { plane_.report({dead}); });   // stays in the write
    EXPECT_TRUE(eventually([&] {
        const json::array events = plane_.get("/api/v1/instances/" + id + "/events").body.at("items").as_array();
        const json::object& last = events.back().as_object();
        return last.at("state") == "error" && last.at("reason") == "killed by SIGKILL" && last.at("restarts") == 1 && events.size() > 2;
    }));
    EXPECT_EQ(sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(other);
    reporting.join();
}

TEST_F(ApiTest, what_users_see_holds_no_secrets) {
    const std::string key = plane_.key_of("ann", "user");
    ASSERT_EQ(deploy("m", R"(,"options":{"env":{"TOKEN":"hidden-secret"}})").status, 201);
    ASSERT_TRUE(plane_.work_until([&] { return plane_.deployment_state("m") == "running"; }));
    const std::string all = plane_.get("/api/v1/deployments", key).text + plane_.get("/api/v1/deployments/m", key).text +
                            plane_.get("/api/v1/instances", key).text + plane_.get("/api/v1/server", key).text +
                            plane_.get("/metrics", key).text;
    for (const char* secret : {"hidden-secret", "/dir/", "engine-secret", "/run/", dir_.path().c_str()}) {
        EXPECT_EQ(all.find(secret), std::string::npos) << secret;
    }
    EXPECT_NE(plane_.get("/api/v1/deployments").text.find("hidden-secret"), std::string::npos) << "an admin does";
    EXPECT_EQ(plane_.get("/api/v1/instances").text.find("engine-secret"), std::string::npos) << "nobody does";
}

TEST_F(ApiTest, what_an_engine_said_last_is_for_admins) {
    const std::string key = plane_.key_of("ann", "user");
    ASSERT_EQ(deploy("m").status, 201);
    ASSERT_TRUE(plane_.work_until([&] { return plane_.deployment_state("m") == "error"; }, InstanceState::kError,
                                  "exited with status 1: words of a prompt"));
    for (const char* target : {"/api/v1/deployments", "/api/v1/deployments/m", "/api/v1/instances"}) {
        EXPECT_THAT(plane_.get(target).text, HasSubstr("exited with status 1: words of a prompt")) << target;
        const std::string seen = plane_.get(target, key).text;
        EXPECT_THAT(seen, HasSubstr("\"exited with status 1\"")) << target;
        EXPECT_EQ(seen.find("prompt"), std::string::npos) << target << ": " << seen;
    }
    std::string watched;
    for (const auto& event : watch(plane_, "deployments,instances", synced, key)) watched += event.data;
    EXPECT_THAT(watched, HasSubstr("\"exited with status 1\""));
    EXPECT_EQ(watched.find("prompt"), std::string::npos) << watched;
    EXPECT_EQ(plane_.tables().routes()->models.at("m").not_ready_reason, "exited with status 1") << "what callers of the model are told";
}

TEST_F(ApiTest, bodies_are_no_larger_than_they_need_be) {
    const auto padded = [](size_t bytes) { return "{\"x\":\"" + std::string(bytes - 8, 'x') + "\"}"; };
    const std::pair<const char*, const char*> with_passwords[] = {{"POST", "/api/v1/auth/login"}, {"POST", "/api/v1/auth/password"},
                                                                  {"POST", "/api/v1/users"}, {"PATCH", "/api/v1/users/admin"}};
    for (const auto& [method, target] : with_passwords) {
        EXPECT_EQ(plane_.ask(method, target, padded(16 << 10)).status, 400) << target << ": read, and no such field";
        const Reply refused = plane_.ask(method, target, padded((16 << 10) + 1));
        EXPECT_EQ(refused.status, 413) << target;
        EXPECT_TRUE(refused.body.is_object() && refused.body.at("error").as_object().contains("code")) << refused.text;
    }
    EXPECT_EQ(plane_.ask("POST", "/api/v1/deployments", padded(1 << 20)).status, 400);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/deployments", padded((1 << 20) + 1)).status, 413);
}

TEST_F(ApiTest, routes_are_made_edited_and_gone) {
    ASSERT_EQ(deploy("a").status, 201);
    ASSERT_EQ(deploy("b").status, 201);
    const Reply made = plane_.ask("POST", "/api/v1/routes", R"({"name":"org/r","targets":[{"model":"a","weight":9},{"model":"b"}]})");
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(plane_.tables().routes()->routes.at("org/r").targets.at(0).weight, 9u);
    EXPECT_THAT(made.text, HasSubstr(R"("fallback":null)"));
    EXPECT_EQ(plane_.ask("POST", "/api/v1/routes", R"({"name":"a","targets":[{"model":"b"}]})").status, 409) << "a deployment's name";
    EXPECT_EQ(plane_.ask("POST", "/api/v1/routes", R"({"name":"org/r","targets":[{"model":"b"}]})").status, 409);
    const Reply taken = deploy("org/r");
    EXPECT_EQ(taken.status, 409);
    EXPECT_THAT(taken.text, HasSubstr("route"));
    for (const char* bad : {R"({"name":"x","targets":[]})", R"({"name":"x","targets":[{"model":"none"}]})", R"({"name":"x","targets":[1]})",
                            R"({"name":"x","targets":[{"model":"a","weight":-1}]})", R"({"name":"x","targets":[{"model":"a"}],"fallback":"none"})",
                            R"({"name":"../x","targets":[{"model":"a"}]})"}) {
        EXPECT_EQ(plane_.ask("POST", "/api/v1/routes", bad).status, 400) << bad;
    }
    const Reply edited = plane_.ask("PATCH", "/api/v1/routes/org%2Fr", R"({"fallback":"b","disabled":true,"version":1})");
    EXPECT_EQ(edited.status, 200) << edited.text;
    EXPECT_EQ(edited.string("/fallback"), "b");
    EXPECT_FALSE(plane_.tables().routes()->routes.contains("org/r")) << "disabled";
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/routes/org%2Fr", R"({"disabled":false,"version":1})").status, 409);
    EXPECT_THAT(plane_.get("/api/v1/audit?kind=route").text, HasSubstr("disabled"));
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/routes/org%2Fr").status, 204);
    EXPECT_EQ(plane_.get("/api/v1/routes/org%2Fr").status, 404);
    EXPECT_EQ(deploy("org/r").status, 201);
}

TEST_F(ApiTest, providers_are_made_edited_and_gone_and_keep_their_key) {
    const std::string body = R"({"name":"out","base_url":"http://127.0.0.1:9/v1/","api_key":"sk-secret-1","models":["m","org/n"]})";
    const Reply made = plane_.ask("POST", "/api/v1/providers", body);
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(made.string("/base_url"), "http://127.0.0.1:9/v1");
    EXPECT_TRUE(made.body.at("has_api_key").as_bool());
    const auto entry = [&] { return plane_.tables().routes()->models.at("out/m"); };
    EXPECT_EQ(entry().targets.at(0).api_key, "sk-secret-1");
    EXPECT_EQ(plane_.ask("POST", "/api/v1/providers", body).status, 409);
    EXPECT_EQ(deploy("out/x").status, 409) << "its models' names are its own";
    EXPECT_EQ(plane_.ask("POST", "/api/v1/routes", R"({"name":"r","targets":[{"model":"out/org/n"}],"fallback":"out/m"})").status, 201);
    for (const char* bad : {R"({"name":"x","targets":[{"model":"out/none"}]})", R"({"name":"x","targets":[{"model":"out"}]})",
                            R"({"name":"x","targets":[{"model":"other/m"}]})", R"({"name":"out/r","targets":[{"model":"out/m"}]})"}) {
        EXPECT_GE(plane_.ask("POST", "/api/v1/routes", bad).status, 400) << bad;
    }
    for (const char* bad : {R"({"base_url":"http://x","models":["m"]})", R"({"name":"A","base_url":"http://x","models":["m"]})",
                            R"({"name":"x","base_url":"http://169.254.169.254","models":["m"]})", R"({"name":"x","base_url":"http://x","models":[]})",
                            R"({"name":"x","base_url":"http://x","models":["a b"]})", R"({"name":"x","base_url":"http://x","models":["a","a"]})",
                            R"({"name":"x","base_url":"http://x","models":["m"],"api_key":"a\r\nhost: b"})",
                            R"({"name":"x","base_url":"http://x","models":["m"],"api_key":""})"}) {
        EXPECT_EQ(plane_.ask("POST", "/api/v1/providers", bad).status, 400) << bad;
    }
    const std::string long_name(100, 'n');
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/providers/out", R"({"models":["m",")" + long_name + long_name.substr(0, 26) + "\"]}").status, 400);

    // A key goes to the host that it was given for, and to no other.
    const Reply elsewhere = plane_.ask("PATCH", "/api/v1/providers/out", R"({"base_url":"http://127.0.0.1:10/v1"})");
    EXPECT_EQ(elsewhere.status, 400);
    EXPECT_EQ(elsewhere.string("/error/param"), "api_key");
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/providers/out", R"({"base_url":"http://127.0.0.1:9/v2"})").status, 200);
    EXPECT_EQ(entry().targets.at(0).api_key, "sk-secret-1");
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/providers/out", R"({"base_url":"http://127.0.0.1:10/v1","api_key":"sk-secret-2"})").status, 200);
    EXPECT_EQ(entry().targets.at(0).endpoint, "tcp:127.0.0.1:10");
    EXPECT_EQ(entry().targets.at(0).api_key, "sk-secret-2");

    const std::string seen = made.text + plane_.get("/api/v1/providers").text + plane_.get("/api/v1/providers/out").text +
                             plane_.get("/api/v1/audit").text;
    EXPECT_THAT(seen, HasSubstr("\"field\":\"api_key\",\"from\":null,\"to\":null"));
    EXPECT_EQ(seen.find("sk-secret"), std::string::npos);
    for (const auto& file : std::filesystem::directory_iterator(dir_.path())) {
        if (!file.is_regular_file()) continue;
        std::ifstream in(file.path(), std::ios::binary);
        const std::string bytes((std::istreambuf_iterator<char>(in)), {});
        EXPECT_EQ(bytes.find("sk-secret"), std::string::npos) << file.path();
    }

    const Reply unreachable = plane_.ask("POST", "/api/v1/providers/out/test");
    EXPECT_EQ(unreachable.status, 200);
    EXPECT_FALSE(unreachable.body.at("reachable").as_bool()) << unreachable.text;
    const std::string own = "http" + plane_.endpoint().substr(3).insert(1, "//") + "/api/v1";
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/providers/out", R"({"base_url":")" + own + R"(","api_key":"sk-secret-3"})").status, 200);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/providers/out/test").text,
              R"({"reachable":true,"status":401,"models":[],"error":"it answered with status 401"})");
    const size_t recorded = plane_.get("/api/v1/audit?kind=provider").body.at("items").as_array().size();
    EXPECT_EQ(recorded, 4u) << "made and edited thrice; a test is no change";

    const Reply without = plane_.ask("PATCH", "/api/v1/providers/out", R"({"api_key":null,"disabled":true})");
    EXPECT_FALSE(without.body.at("has_api_key").as_bool()) << without.text;
    EXPECT_FALSE(plane_.tables().routes()->models.contains("out/m")) << "disabled";
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/providers/out", R"({"disabled":false,"version":1})").status, 409);
    EXPECT_EQ(plane_.get("/api/v1/providers", plane_.key_of("ann", "user")).status, 403);
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/providers/out").status, 204);
    EXPECT_EQ(plane_.get("/api/v1/providers/out").status, 404);
    EXPECT_EQ(deploy("out/x").status, 201);
}

TEST_F(ApiTest, deployments_by_name_with_slashes_and_versions) {
    const Reply made = deploy("org/model");
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(plane_.get("/api/v1/deployments/org%2Fmodel").string("/id"), made.string("/id"));
    EXPECT_EQ(plane_.get("/api/v1/deployments/" + made.string("/id")).status, 200);
    EXPECT_EQ(deploy("org/model").status, 409);
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/deployments/org%2Fmodel", R"({"replicas":0,"version":1})").status, 200);
    const Reply stale = plane_.ask("PATCH", "/api/v1/deployments/org%2Fmodel", R"({"replicas":1,"version":1})");
    EXPECT_EQ(stale.status, 409);
    EXPECT_THAT(stale.text, HasSubstr("changed meanwhile"));
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/deployments/org%2Fmodel", R"({"stopped":true})").number("/version"), 3);
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/deployments/org%2Fmodel").status, 204);
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/deployments/org%2Fmodel").status, 404);
}

TEST_F(ApiTest, options_that_no_worker_would_run_are_refused) {
    const std::pair<const char*, const char*> cases[] = {
        {R"(,"options":{"extra_args":["--host","0.0.0.0"]})", "options.extra_args[0]"},
        {R"(,"backend":"llama-server","options":{"extra_args":["-fa","--api-key=x"]})", "options.extra_args[1]"},
        {R"(,"options":{"env":{"LD_PRELOAD":"/x.so"}})", "options.env.LD_PRELOAD"},
        {R"(,"backend":"custom","options":{"command":["serve","--host","0.0.0.0","{{port}}"]})", "options.command[2]"},
    };
    for (const auto& [more, param] : cases) {
        const Reply refused = deploy("m", more);
        EXPECT_EQ(refused.status, 400) << more;
        EXPECT_EQ(refused.string("/error/param"), param);
    }
    // A program that is not on this machine may be on a worker's.
    ASSERT_EQ(deploy("m", R"(,"backend":"llama-server","options":{"binary":"/nowhere/llama-server"})").status, 201);
    const Reply refused = plane_.ask("PATCH", "/api/v1/deployments/m", R"({"options":{"env":{"PATH":"/x"}}})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/deployments/m", R"({"replicas":2})").status, 200);
}

TEST_F(ApiTest, errors_have_four_keys_and_a_request_id) {
    const std::pair<std::string, Reply> cases[] = {
        {"missing", plane_.get("/api/v1/deployments/none")},
        {"no route", plane_.get("/api/v1/nothing")},
        {"method", plane_.ask("PUT", "/api/v1/deployments", "{}")},
        {"bad body", plane_.ask("POST", "/api/v1/deployments", "{")},
        {"unknown field", plane_.ask("POST", "/api/v1/deployments", R"({"name":"a","source":"file:/b","x":1})")},
        {"unauthenticated", plane_.get("/api/v1/deployments", "")},
        {"custom without a command", deploy("c", R"(,"backend":"custom")")},
        {"bad limit", plane_.get("/api/v1/deployments?limit=0")},
        {"bad cursor", plane_.get("/api/v1/deployments?cursor=%27%20OR%201=1")},
        {"model file", plane_.ask("POST", "/api/v1/models", R"({"source":"file:/dev/zero"})")},
    };
    for (const auto& [what, reply] : cases) {
        SCOPED_TRACE(what + ": " + reply.text);
        EXPECT_GE(reply.status, 400);
        EXPECT_LT(reply.status, 500);
        ASSERT_TRUE(reply.body.is_object());
        const auto& error = reply.body.at("error").as_object();
        for (const char* key : {"message", "type", "param", "code"}) EXPECT_TRUE(error.contains(key)) << key;
        EXPECT_FALSE(reply.headers.get("x-request-id").empty());
    }
    EXPECT_EQ(cases[4].second.string("/error/param"), "x");
    EXPECT_EQ(cases[6].second.string("/error/param"), "options.command");
    EXPECT_EQ(cases[9].second.code(), "invalid_model_file");
}

TEST_F(ApiTest, lists_page_filter_and_sort) {
    for (int k = 0; k < 5; ++k) {
        ASSERT_EQ(deploy("d" + std::to_string(k), R"(,"replicas":0)").status, 201);
        plane_.clock().advance(1ms);
    }
    std::vector<std::string> names;
    std::string cursor;
    do {
        const Reply page = plane_.get("/api/v1/deployments?limit=2&order=desc&cursor=" + cursor);
        ASSERT_EQ(page.status, 200) << page.text;
        for (const auto& item : page.body.at("items").as_array()) names.emplace_back(item.at("name").as_string());
        cursor = page.body.at("next_cursor").is_null() ? "" : page.string("/next_cursor");
    } while (!cursor.empty());
    EXPECT_EQ(names, (std::vector<std::string>{"d4", "d3", "d2", "d1", "d0"}));
    EXPECT_EQ(plane_.get("/api/v1/deployments?name=3").body.at("items").as_array().size(), 1u);
    plane_.report();
    const Reply devices = plane_.get("/api/v1/devices");
    EXPECT_EQ(devices.string("/items/0/id"), plane_.worker().text + "/cpu/0");
}

TEST_F(ApiTest, models_are_read_from_their_files) {
    const std::string file = dir_.path() + "/bad.gguf";
    std::ofstream(file) << "GGUF and then nothing of the kind";
    const Reply bad = plane_.ask("POST", "/api/v1/models", R"({"source":"file:)" + file + "\"}");
    EXPECT_EQ(bad.status, 400) << bad.text;
    EXPECT_EQ(bad.code(), "invalid_model_file");
    EXPECT_EQ(plane_.ask("POST", "/api/v1/deployments", R"({"name":"b","source":"file:)" + file + "\"}").status, 201)
        << "the deployment's state says it";
    const std::string real = std::string(::getenv("HOME")) + "/.cache/gantry/models/llm/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!std::filesystem::exists(real)) GTEST_SKIP() << "no model: ./dev models smollm2-135m";
    ASSERT_EQ(plane_.ask("POST", "/api/v1/deployments", R"({"name":"s","source":"file:)" + real + "\"}").status, 201);
    const Reply model = plane_.get("/api/v1/models/smollm2-135m-instruct.q4_1");
    ASSERT_EQ(model.status, 200) << "deploying adds the model by itself";
    EXPECT_EQ(model.string("/meta/architecture"), "llama");
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/models/" + model.string("/id")).status, 409) << "deployed";
    plane_.ask("DELETE", "/api/v1/deployments/s");
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/models/" + model.string("/id"), R"({"name":"org/tiny"})").status, 200);
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/models/org%2Ftiny").status, 204);
}

TEST_F(ApiTest, keys_are_the_owners_and_revoked_at_once) {
    const std::string ann = plane_.key_of("ann", "user");
    const std::string bob = plane_.key_of("bob", "user");
    const Reply made = plane_.ask("POST", "/api/v1/keys", R"({"name":"mine"})", ann);
    ASSERT_EQ(made.status, 201) << made.text;
    const std::string id = made.string("/id"), secret = made.string("/secret");
    EXPECT_EQ(plane_.get("/api/v1/keys/" + id, ann).body.as_object().contains("secret"), false);
    for (const char* method : {"GET", "PATCH", "DELETE"}) {
        const Reply others = plane_.ask(method, "/api/v1/keys/" + id, method == std::string("PATCH") ? "{}" : "", bob);
        EXPECT_EQ(others.status, 404) << method;
    }
    EXPECT_EQ(plane_.ask("POST", "/api/v1/keys", R"({"name":"x","user_id":"bob"})", ann).status, 403);
    EXPECT_EQ(plane_.get("/api/v1/keys", ann).body.at("items").as_array().size(), 2u);
    EXPECT_EQ(plane_.get("/api/v1/keys").body.at("items").as_array().size(), 3u);

    EXPECT_EQ(plane_.get("/api/v1/auth/me", secret).status, 200);
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/keys/" + id, R"({"disabled":true})", ann).status, 200);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", secret).status, 401);
    plane_.ask("PATCH", "/api/v1/keys/" + id, R"({"disabled":false,"expires_at":"2001-01-01T00:00:00Z"})", ann);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", secret).status, 401) << "expired";
    plane_.ask("PATCH", "/api/v1/keys/" + id, R"({"expires_at":null})", ann);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", secret).status, 200);
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/keys/" + id, "", ann).status, 204);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", secret).status, 401);

    // The user's end is the end of the user's keys.
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/users/bob", R"({"disabled":true})").status, 200);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", bob).status, 401);
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/users/ann").status, 204);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", ann).status, 401);
}

TEST_F(ApiTest, limits_are_set_shown_and_kept_apart_by_role) {
    const std::string ann = plane_.key_of("ann", "user");
    const Reply set = plane_.ask("PATCH", "/api/v1/users/ann", R"({"limits":{"requests_per_minute":60},"models":["a","b"],"version":1})");
    ASSERT_EQ(set.status, 200) << set.text;
    EXPECT_EQ(set.number("/limits/requests_per_minute"), 60);
    EXPECT_TRUE(set.body.at_pointer("/limits/tokens_per_month").is_null());
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/users/ann", R"({"limits":{},"version":1})").status, 409);
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/users/ann", R"({"limits":{"requests_per_minute":null}})", ann).status, 403);
    EXPECT_EQ(plane_.get("/api/v1/users/ann", ann).number("/limits/requests_per_minute"), 60);
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/users/ann", R"({"limits":{"tokens_per_minute":0}})").string("/error/param"),
              "limits.tokens_per_minute");

    // Narrower is the owner's own affair, wider is not.
    const Reply narrow = plane_.ask("POST", "/api/v1/keys",
                                    R"({"name":"n","limits":{"requests_per_minute":60,"concurrent_requests":2},"models":["a"],"scopes":["management"]})", ann);
    ASSERT_EQ(narrow.status, 201) << narrow.text;
    EXPECT_EQ(narrow.number("/limits/concurrent_requests"), 2);
    EXPECT_EQ(narrow.string("/scopes/0"), "management");
    const std::string path = "/api/v1/keys/" + narrow.string("/id");
    for (const char* method : {"POST", "PATCH"}) {
        const std::string target = method == std::string("POST") ? "/api/v1/keys" : path;
        const std::string name = method == std::string("POST") ? R"("name":"w",)" : "";
        const Reply over = plane_.ask(method, target, "{" + name + R"("limits":{"requests_per_minute":61}})", ann);
        EXPECT_EQ(over.status, 403) << over.text;
        EXPECT_EQ(over.string("/error/param"), "limits.requests_per_minute");
        const Reply other = plane_.ask(method, target, "{" + name + R"("models":["a","c"]})", ann);
        EXPECT_EQ(other.status, 403) << other.text;
        EXPECT_EQ(other.string("/error/param"), "models[1]");
        EXPECT_EQ(other.code(), "model_not_allowed");
    }
    const Reply edited = plane_.ask("PATCH", path, R"({"limits":{"concurrent_requests":null},"models":["b"],"version":1})", ann);
    EXPECT_EQ(edited.status, 200) << edited.text;
    EXPECT_TRUE(edited.body.at_pointer("/limits/concurrent_requests").is_null());
    EXPECT_EQ(edited.number("/limits/requests_per_minute"), 60) << "what the edit did not name stays";
    EXPECT_EQ(plane_.ask("PATCH", path, R"({"limits":{"concurrent_requests":1},"version":1})", ann).status, 409);

    // A narrow key can't widen itself, nor make a wider one.
    const std::string secret = narrow.string("/secret");
    EXPECT_EQ(plane_.get(path, secret).status, 200);
    EXPECT_EQ(plane_.ask("PATCH", path, R"({"scopes":["inference","management"]})", secret).code(), "restricted_key");
    EXPECT_EQ(plane_.ask("POST", "/api/v1/keys", R"({"name":"wide"})", secret).code(), "restricted_key");
    EXPECT_EQ(plane_.ask("DELETE", path, "", secret).status, 204) << "but it can give itself up";
}

TEST_F(ApiTest, scopes_are_in_force_at_once) {
    const Reply made = plane_.ask("POST", "/api/v1/keys", R"({"name":"k"})");
    const std::string path = "/api/v1/keys/" + made.string("/id"), secret = made.string("/secret");
    EXPECT_EQ(plane_.get("/api/v1/auth/me", secret).status, 200);
    EXPECT_EQ(plane_.ask("PATCH", path, R"({"scopes":["inference"]})").status, 200);
    for (const char* target : {"/api/v1/auth/me", "/api/v1/users", "/api/v1/deployments", "/api/v1/watch", "/metrics", "/api/v1/openapi.json"}) {
        const Reply refused = plane_.get(target, secret);
        EXPECT_EQ(refused.status, 403) << target;
        EXPECT_EQ(refused.code(), "insufficient_scope") << target;
    }
    EXPECT_EQ(plane_.get("/healthz", secret).status, 200);
    EXPECT_EQ(plane_.ask("PATCH", path, R"({"scopes":["management"]})").status, 200);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", secret).status, 200);
}

TEST_F(ApiTest, users_see_themselves_only) {
    const std::string ann = plane_.key_of("ann", "user");
    EXPECT_EQ(plane_.get("/api/v1/users", ann).body.at("items").as_array().size(), 1u);
    EXPECT_EQ(plane_.get("/api/v1/users/ann", ann).status, 200);
    const Reply other = plane_.get("/api/v1/users/admin", ann), nobody = plane_.get("/api/v1/users/xxxxx", ann);
    EXPECT_EQ(other.status, 404);
    EXPECT_EQ(other.text.size(), nobody.text.size());
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/users/admin", R"({"role":"user"})").status, 409) << "the last admin";
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/users/admin").status, 409);
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/users/ann", R"({"role":"admin"})").status, 200);
    EXPECT_EQ(plane_.get("/api/v1/users/admin", ann).status, 200) << "a role is in force at once";
}

TEST_F(ApiTest, usage_is_the_own) {
    const std::string ann = plane_.key_of("ann", "user");
    std::vector<UsageRecord> records(3);
    for (size_t k = 0; k < records.size(); ++k) {
        records[k].request_id = "r" + std::to_string(k);
        records[k].user_id = UserId(k == 1 ? plane_.get("/api/v1/users/ann").string("/id") : "usr_other");
        records[k].at = plane_.clock().wall();
    }
    ASSERT_TRUE(plane_.store().add_usage(records).ok());
    EXPECT_EQ(plane_.get("/api/v1/usage").body.at("items").as_array().size(), 3u);
    const Reply own = plane_.get("/api/v1/usage?limit=1", ann);
    ASSERT_EQ(own.body.at("items").as_array().size(), 1u) << own.text;
    EXPECT_EQ(own.string("/items/0/request_id"), "r1");
}

TEST_F(ApiTest, sessions) {
    Reply who;
    const std::string first = plane_.login("admin", "bootstrap-password", &who);
    ASSERT_EQ(who.status, 200) << who.text;
    const std::string set(who.headers.get("set-cookie"));
    for (const char* flag : {"HttpOnly", "SameSite=Lax", "Path=/"}) EXPECT_THAT(set, HasSubstr(flag));
    EXPECT_EQ(set.find("Secure"), std::string::npos) << "plain HTTP must work";
    EXPECT_EQ(plane_.get("/api/v1/auth/me", first).string("/name"), "admin");
    // A new login replaces the session it comes with; an id planted before is worth nothing.
    const std::string second = plane_.login("admin", "bootstrap-password", nullptr, first);
    EXPECT_NE(first, second);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", first).status, 401);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", second).status, 200);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", "gantry_session=planted").status, 401);
    // Another site's page can't use it.
    EXPECT_EQ(plane_.ask("POST", "/api/v1/deployments", "{}", second, {{"origin", "http://evil.example"}}).status, 403);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/keys", R"({"name":"k"})", second, {{"content-type", "text/plain"}}).status, 415);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/auth/login", R"({"name":"a","password":"b"})", "", {{"content-type", "text/plain"}}).status,
              415);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/auth/logout", "", second).status, 204);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", second).status, 401);
}

TEST_F(ApiTest, a_session_ends_after_thirty_days_and_with_a_new_password) {
    const std::string cookie = plane_.login("admin", "bootstrap-password");
    plane_.clock().advance(std::chrono::hours(24 * 30) - 1s);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", cookie).status, 200);
    plane_.clock().advance(2s);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", cookie).status, 401);
    const std::string other = plane_.login("admin", "bootstrap-password");
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/users/admin", R"({"password":"another one"})").status, 200);
    EXPECT_EQ(plane_.get("/api/v1/auth/me", other).status, 401);
}

TEST_F(ApiTest, guessing_is_slowed_down_with_one_text_for_all) {
    Reply wrong, unknown;
    plane_.login("admin", "wrong", &wrong);
    plane_.login("nobody", "wrong", &unknown);
    EXPECT_EQ(wrong.status, 401);
    EXPECT_EQ(unknown.status, 401);
    EXPECT_EQ(wrong.text, unknown.text);
    Reply last;
    for (int k = 0; k < 10 && last.status != 429; ++k) plane_.login("admin", "wrong", &last);
    ASSERT_EQ(last.status, 429);
    EXPECT_EQ(last.headers.get("retry-after"), "1");
    plane_.login("admin", "bootstrap-password", &last);
    EXPECT_EQ(last.status, 429) << "right or wrong is not told meanwhile";
    plane_.clock().advance(2s);
    plane_.login("admin", "bootstrap-password", &last);
    EXPECT_EQ(last.status, 200);
}

TEST_F(ApiTest, watch_lists_then_tells_each_change) {
    const std::string key = plane_.key_of("root", "admin");
    deploy("old", R"(,"replicas":0)");
    bool made = false, edited = false, deleted = false;
    const auto seen = watch(plane_, "deployments", [&](const auto& events) {
        const auto& last = events.back();
        if (last.event == "synced" && !made) {
            made = true;
            EXPECT_EQ(deploy("new", R"(,"replicas":0)").status, 201);
        } else if (last.event == "added" && made && !edited) {
            edited = true;
            EXPECT_EQ(plane_.ask("PATCH", "/api/v1/deployments/new", R"({"options":{"threads":1}})").status, 200);
        } else if (last.event == "modified" && !deleted) {
            deleted = true;
            EXPECT_EQ(plane_.ask("DELETE", "/api/v1/deployments/new").status, 204);
        }
        return last.event == "deleted";
    }, key);
    std::vector<std::string> order;
    for (const auto& event : seen) order.push_back(event.event);
    ASSERT_EQ(order, (std::vector<std::string>{"added", "synced", "added", "modified", "deleted"}));
    const auto gone = parse_json(seen.back().data);
    ASSERT_TRUE(gone.ok());
    EXPECT_EQ(gone->at("kind").as_string(), "deployments");
    EXPECT_EQ(gone->at_pointer("/object/name").as_string(), "new");
}

TEST_F(ApiTest, a_watcher_without_rights_any_more_is_cut_off) {
    const std::string key = plane_.key_of("ann", "user");
    bool cut = false;
    const auto seen = watch(plane_, "models,deployments", [&](const auto& events) {
        if (events.back().event == "synced") {
            EXPECT_EQ(plane_.ask("PATCH", "/api/v1/users/ann", R"({"disabled":true})").status, 200);
            cut = true;
            deploy("unseen", R"(,"replicas":0)");
        }
        return false;
    }, key);
    EXPECT_TRUE(cut);
    for (const auto& event : seen) EXPECT_EQ(event.data.find("unseen"), std::string::npos);
    EXPECT_EQ(plane_.ask("GET", "/api/v1/watch?kinds=secrets").status, 400);
}

TEST_F(ApiTest, a_quiet_stream_ends_with_the_right_to_it) {
    const Reply made = plane_.ask("POST", "/api/v1/keys", R"({"name":"k"})");
    const std::string path = "/api/v1/keys/" + made.string("/id");
    const auto seen = watch(plane_, "models", [&](const auto& events) {
        if (synced(events)) {
            EXPECT_EQ(plane_.ask("PATCH", path, R"({"scopes":["inference"]})").status, 200);
        }
        return false;
    }, made.string("/secret"));
    EXPECT_TRUE(synced(seen)) << "nothing more came, and the stream ended by itself";
}

TEST_F(ApiTest, logs_end_and_follow) {
    const std::string log = dir_.path() + "/engine.log";
    std::ofstream(log) << "one\ntwo\n";
    plane_.control().attach_worker(plane_.worker(), {[] {}, [log](const InstanceId&) { return std::vector<std::string>{log}; }});
    deploy("m");
    ASSERT_TRUE(plane_.work_until([&] { return plane_.deployment_state("m") == "running"; }));
    const std::string path = "/api/v1/instances/" + plane_.runs()[0].id.text + "/logs";
    EXPECT_EQ(plane_.get(path + "?tail=1").text, "two\n");
    EXPECT_EQ(plane_.get(path + "?tail=x").status, 400);
    EXPECT_EQ(plane_.get("/api/v1/instances/none/logs").status, 404);
    EXPECT_EQ(plane_.get(path, plane_.key_of("ann", "user")).status, 403);
    std::string followed;
    const auto done = http::fetch_stream("unix:" + dir_.path() + "/admin.sock", {"GET", path + "?tail=2&follow=true", {}, ""},
                                         [&](std::string_view bytes) {
                                             followed += bytes;
                                             if (followed == "one\ntwo\n") std::ofstream(log, std::ios::app) << "three\n";
                                             return followed.find("three") == std::string::npos;
                                         });
    EXPECT_EQ(followed, "one\ntwo\nthree\n");

    // Whoever is revoked meanwhile reads no further.
    const Reply made = plane_.ask("POST", "/api/v1/keys", R"({"name":"k"})");
    followed.clear();
    const auto cut = http::fetch_stream(plane_.endpoint(),
                                        {"GET", path + "?tail=1&follow=true", {{"authorization", "Bearer " + made.string("/secret")}}, ""},
                                        [&](std::string_view bytes) {
                                            followed += bytes;
                                            EXPECT_EQ(plane_.ask("DELETE", "/api/v1/keys/" + made.string("/id")).status, 204);
                                            return true;
                                        });
    EXPECT_TRUE(cut.ok());
    EXPECT_EQ(followed, "three\n");
}

TEST_F(ApiTest, health_metrics_and_the_page) {
    EXPECT_EQ(plane_.get("/healthz", "").status, 200);
    // The first round of reconciling may still run.
    ASSERT_TRUE(eventually([&] { return plane_.get("/readyz", "").status == 200; })) << plane_.get("/readyz", "").text;
    const std::string metrics = plane_.get("/metrics").text;
    for (const char* name : {"gantry_deployments", "gantry_instances", "gantry_workers", "gantry_reconcile_seconds"}) {
        EXPECT_THAT(metrics, HasSubstr(name));
    }
    const Reply page = plane_.get("/", "");
    EXPECT_EQ(page.status, 200);
    EXPECT_THAT(std::string(page.headers.get("content-security-policy")), HasSubstr("default-src 'none'"));
    EXPECT_EQ(page.headers.get("x-frame-options"), "DENY");
    plane_.control().stop();
    ASSERT_TRUE(eventually([&] { return plane_.get("/readyz", "").status == 503; }));
    EXPECT_THAT(plane_.get("/readyz", "").text, HasSubstr("reconciler"));
}

}  // namespace
}  // namespace gantry::control
