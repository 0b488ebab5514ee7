// GET /api/v1/backends, by what workers reported.
#include "control/control_test_support.h"

namespace gantry::control {
namespace {

Device device(const std::string& vendor, uint32_t index, const std::string& chip = "") {
    Device d;
    d.vendor = vendor;
    d.index = index;
    d.name = vendor + " device";
    d.chip = chip;
    d.memory_total_bytes = d.memory_free_bytes = 16ull << 30;
    return d;
}

class BackendsTest : public testing::Test {
protected:
    TempDir dir_;
    Plane plane_{dir_.path()};

    void report(std::vector<Device> devices, std::vector<BackendProgram> programs) {
        protocol::WorkerReport r;
        r.worker_id = plane_.worker();
        r.name = "machine";
        r.address = "embedded";
        r.version = "0.9";
        r.os = "linux";
        r.arch = "x86_64";
        r.devices = std::move(devices);
        r.programs = std::move(programs);
        plane_.control().exchange(r);
    }
    json::object backend(const std::string& name, const std::string& who = "admin") {
        const Reply all = plane_.get("/api/v1/backends", who);
        EXPECT_EQ(all.status, 200) << all.text;
        for (const json::value& one : all.body.at("items").as_array()) {
            if (one.at("name").as_string() == name) return one.as_object();
        }
        ADD_FAILURE() << name << " is not listed";
        return {};
    }
    json::object on_machine(const std::string& name, const std::string& who = "admin") {
        return backend(name, who).at("workers").at(0).as_object();
    }
};

std::string text(const json::object& object, const char* key) { return std::string(object.at(key).as_string()); }

TEST_F(BackendsTest, a_worker_that_has_said_nothing_is_unknown_and_what_to_do_is_told) {
    const json::object silent = on_machine("vllm");
    EXPECT_EQ(text(silent, "state"), "unknown");
    EXPECT_THAT(text(silent, "next_step"), HasSubstr("Start gantry worker"));
    report({device("cpu", 0)}, {});   // as a gantry of before does
    const json::object older = on_machine("vllm");
    EXPECT_EQ(text(older, "state"), "unknown");
    EXPECT_THAT(text(older, "next_step"), HasSubstr("Upgrade"));
    EXPECT_EQ(text(on_machine("engine"), "state"), "ready") << "which is part of any gantry";
    EXPECT_EQ(text(on_machine("engine"), "version"), "0.9");
    EXPECT_EQ(text(on_machine("custom"), "state"), "by_command") << "which needs no word of the worker's";
    EXPECT_EQ(text(on_machine("mindie"), "state"), "refused") << "by its devices alone";
}

TEST_F(BackendsTest, ready_missing_and_refused_by_worker_and_device) {
    BackendProgram vllm{"vllm", "/opt/venv/bin/vllm", "0.32.0", {{"cpu", 0, "a build for accelerators"}}};
    report({device("cpu", 0), device("nvidia", 0, "sm_90")}, {{"engine", "/usr/bin/gantry", "1.2.3", {}}, vllm, {"sglang", "", "", {}}});

    const json::object ready = on_machine("vllm");
    EXPECT_EQ(text(ready, "state"), "ready");
    EXPECT_EQ(text(ready, "version"), "0.32.0");
    EXPECT_EQ(text(ready, "path"), "/opt/venv/bin/vllm");
    EXPECT_EQ(text(ready, "reason"), "");
    EXPECT_EQ(text(ready, "next_step"), "");
    const json::array& devices = ready.at("devices").as_array();
    ASSERT_EQ(devices.size(), 2u);
    EXPECT_EQ(devices[0].at("works"), false) << "by the program's word";
    EXPECT_EQ(devices[0].at("reason"), "a build for accelerators");
    EXPECT_EQ(devices[1].at("works"), true);
    EXPECT_EQ(text(devices[1].as_object(), "id"), plane_.worker().text + "/nvidia/0");

    const json::object missing = on_machine("sglang");
    EXPECT_EQ(text(missing, "state"), "missing") << "the NVIDIA card would do";
    EXPECT_THAT(text(missing, "reason"), HasSubstr("no sglang in the PATH"));
    EXPECT_THAT(text(missing, "next_step"), HasSubstr("pip install sglang"));
    EXPECT_THAT(text(missing, "next_step"), HasSubstr("options.binary"));

    const json::object refused = on_machine("mindie");
    EXPECT_EQ(text(refused, "state"), "refused");
    EXPECT_THAT(text(refused, "reason"), HasSubstr("Ascend devices only"));
    EXPECT_EQ(text(refused, "next_step"), "") << "no program would help";
}

TEST_F(BackendsTest, a_program_that_can_use_none_of_the_devices_is_to_be_replaced_and_an_ill_device_does_not_count) {
    BackendProgram vllm{"vllm", "/opt/vllm", "0.32.0+cpu", {{"nvidia", 0, "this vLLM is its CPU build"}}};
    Device ill = device("nvidia", 1, "sm_90");
    ill.problem = "it fell off the bus";
    report({device("nvidia", 0, "sm_90"), ill}, {vllm, {"sglang", "/opt/sglang", "1", {}}});
    const json::object refused = on_machine("vllm");
    EXPECT_EQ(text(refused, "state"), "refused");
    EXPECT_EQ(text(refused, "reason"), "this vLLM is its CPU build");
    EXPECT_THAT(text(refused, "next_step"), HasSubstr("Install a build of it for these devices"));
    const json::object one_ill = on_machine("sglang");
    EXPECT_EQ(text(one_ill, "state"), "ready");
    EXPECT_EQ(one_ill.at("devices").at(1).at("reason"), "not healthy: it fell off the bus");
}

TEST_F(BackendsTest, what_a_backend_is_and_who_uses_it) {
    ASSERT_EQ(plane_.ask("POST", "/api/v1/deployments", R"({"name":"zebra","source":"file:/m","backend":"vllm"})").status, 201);
    ASSERT_EQ(plane_.ask("POST", "/api/v1/deployments", R"({"name":"ape","source":"file:/m","backend":"vllm"})").status, 201);
    const json::object vllm = backend("vllm");
    ASSERT_EQ(vllm.at("deployments").as_array().size(), 2u);
    EXPECT_EQ(vllm.at("deployments").at(0).at("name"), "ape");
    EXPECT_EQ(vllm.at("formats"), json::value(json::array{"safetensors"}));
    EXPECT_EQ(vllm.at("spanning"), "stages");
    EXPECT_EQ(vllm.at("can_offload"), false);
    EXPECT_FALSE(vllm.at("flags").as_array().empty());
    const json::object engine = backend("engine");
    EXPECT_TRUE(engine.at("deployments").as_array().empty());
    EXPECT_TRUE(engine.at("spanning").is_null());
    EXPECT_EQ(engine.at("can_offload"), true);
    EXPECT_TRUE(backend("custom").at("flags").as_array().empty());
}

TEST_F(BackendsTest, paths_are_for_admins_and_nothing_is_for_nobody) {
    report({device("cpu", 0)}, {{"engine", "/secret/gantry", "1.2.3", {}}});
    const std::string user = plane_.key_of("ann", "user");
    const json::object seen = on_machine("engine", user);
    EXPECT_EQ(text(seen, "state"), "ready");
    EXPECT_EQ(text(seen, "version"), "1.2.3");
    EXPECT_EQ(text(seen, "path"), "");
    EXPECT_EQ(plane_.get("/api/v1/workers", user).text.find("/secret"), std::string::npos);
    EXPECT_EQ(plane_.get("/api/v1/backends", "").status, 401);
}

TEST_F(BackendsTest, workers_name_the_backends_that_they_have_and_watchers_see_it) {
    report({device("cpu", 0)}, {{"engine", "/g", "1", {}}, {"vllm", "", "", {}}});
    const auto backends = [this] { return plane_.get("/api/v1/workers").body.at_pointer("/items/0/backends").as_array(); };
    EXPECT_EQ(backends(), (json::array{json::object{{"name", "engine"}, {"version", "1"}}}));
    report({device("cpu", 0)}, {{"engine", "/g", "1", {}}, {"vllm", "/v", "0.32.0", {}}});
    EXPECT_EQ(backends().size(), 2u);
}

}  // namespace
}  // namespace gantry::control
