#include "backends/backends.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace gantry::backends {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

LaunchInput input_with(BackendOptions options) {
    LaunchInput input;
    input.gantry_binary = "/opt/gantry/bin/gantry";
    input.model_path = "/models/a model.gguf";
    input.name = "org/tiny:q4";
    input.socket_path = "/run/x.sock";
    input.port = 40001;
    input.api_key = "k3y-k3y-k3y";
    input.exit_file = "/data/exit.json";
    input.options = std::move(options);
    return input;
}

BackendOptions custom_options(std::vector<std::string> command) {
    BackendOptions options;
    options.command = std::move(command);
    return options;
}

BackendOptions llama_options() {
    BackendOptions options;
    options.binary = "/bin/true";  // stands for llama-server: nothing is started here
    return options;
}

TEST(EngineBackend, CommandLine) {
    const auto plan = backend(BackendKind::kEngine).launch(input_with({}));
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv, ElementsAre("/opt/gantry/bin/gantry", "engine", "--model", "/models/a model.gguf", "--socket",
                                        "/run/x.sock", "--model-name", "org/tiny:q4", "--exit-file", "/data/exit.json"));
    EXPECT_EQ(plan->endpoint, "unix:/run/x.sock");
    EXPECT_EQ(plan->api_key, "");
    EXPECT_EQ(plan->health_path, "/health");
    EXPECT_TRUE(plan->writes_exit_file);
    EXPECT_TRUE(plan->env.empty());
}

TEST(EngineBackend, OptionsBecomeFlagsAndExtraArgsComeLast) {
    BackendOptions options;
    options.context_tokens = 4096;
    options.max_sequences = 8;
    options.threads = 2;
    options.extra_args = {"--seed", "7"};
    options.env = {{"OMP_NUM_THREADS", "2"}};
    const auto plan = backend(BackendKind::kEngine).launch(input_with(options));
    ASSERT_TRUE(plan.ok());
    const std::vector<std::string> tail(plan->argv.begin() + 10, plan->argv.end());
    EXPECT_THAT(tail, ElementsAre("--ctx", "4096", "--max-sequences", "8", "--threads", "2", "--seed", "7"));
    EXPECT_EQ(plan->env.at("OMP_NUM_THREADS"), "2");
}

TEST(LlamaServerBackend, CommandLineHoldsNoSecret) {
    BackendOptions options = llama_options();
    options.context_tokens = 8192;
    options.max_sequences = 6;
    options.threads = 2;
    const auto plan = backend(BackendKind::kLlamaServer).launch(input_with(options));
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv, ElementsAre("/bin/true", "-m", "/models/a model.gguf", "--host", "127.0.0.1", "--port", "40001",
                                        "--alias", "org/tiny:q4", "--no-webui", "-c", "8192", "-np", "6", "-t", "2", "-kvu"));
    EXPECT_THAT(plan->argv, Not(Contains(HasSubstr("k3y"))));
    EXPECT_EQ(plan->env.at("LLAMA_API_KEY"), "k3y-k3y-k3y");
    EXPECT_EQ(plan->api_key, "k3y-k3y-k3y");
    EXPECT_EQ(plan->endpoint, "tcp:127.0.0.1:40001");
    EXPECT_FALSE(plan->writes_exit_file);
}

TEST(LlamaServerBackend, LeavesItsDefaultsAlone) {
    const auto plan = backend(BackendKind::kLlamaServer).launch(input_with(llama_options()));
    ASSERT_TRUE(plan.ok());
    for (const char* flag : {"-c", "-np", "-t", "-kvu"}) {
        EXPECT_THAT(plan->argv, Not(Contains(flag)));
    }
}

TEST(LlamaServerBackend, SlotsMayBeDividedWhenAskedFor) {
    BackendOptions options = llama_options();
    options.max_sequences = 2;
    options.extra_args = {"--no-kv-unified"};
    const auto plan = backend(BackendKind::kLlamaServer).launch(input_with(options));
    ASSERT_TRUE(plan.ok());
    EXPECT_THAT(plan->argv, Not(Contains("-kvu")));
}

TEST(LlamaServerBackend, FindsItsBinaryInPath) {
    char name[] = "/tmp/gantry_backends_XXXXXX";
    const std::string folder = ::mkdtemp(name);
    const std::string binary = folder + "/llama-server";
    std::ofstream(binary) << "#!/bin/sh\n";
    ::chmod(binary.c_str(), 0755);
    const char* before = ::getenv("PATH");
    const std::string path = before != nullptr ? before : "";
    ::setenv("PATH", ("/nonexistent:" + folder).c_str(), 1);
    const auto plan = backend(BackendKind::kLlamaServer).launch(input_with({}));
    ::setenv("PATH", folder.substr(0, folder.size() - 1).c_str(), 1);
    const Status missing = backend(BackendKind::kLlamaServer).validate({});
    ::setenv("PATH", path.c_str(), 1);
    std::filesystem::remove_all(folder);
    ASSERT_TRUE(plan.ok());
    EXPECT_EQ(plan->argv[0], binary);
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().param, "options.binary");
    EXPECT_EQ(missing.error().code, ErrorCode::kInvalidArgument);
}

TEST(CustomBackend, ReplacesPlaceholdersInsideWords) {
    BackendOptions options = custom_options({"/bin/true", "--model={{model}}", "http://127.0.0.1:{{port}}/{{name}}", "{x}", "}}"});
    options.env = {{"SERVED_NAME", "{{name}}"}};
    options.extra_args = {"--tag", "{{name}}"};
    const auto plan = backend(BackendKind::kCustom).launch(input_with(options));
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_THAT(plan->argv, ElementsAre("/bin/true", "--model=/models/a model.gguf", "http://127.0.0.1:40001/org/tiny:q4", "{x}",
                                        "}}", "--tag", "org/tiny:q4"));
    EXPECT_EQ(plan->env.at("SERVED_NAME"), "org/tiny:q4");
    EXPECT_EQ(plan->health_path, "/health");
    EXPECT_EQ(plan->api_key, "");
}

TEST(CustomBackend, ShellWordsStayWords) {
    const auto plan = backend(BackendKind::kCustom)
                          .launch(input_with(custom_options({"/bin/true", "{{port}}", "; rm -rf /", "$(id)", "`id`", "a|b"})));
    ASSERT_TRUE(plan.ok());
    EXPECT_THAT(plan->argv, ElementsAre("/bin/true", "40001", "; rm -rf /", "$(id)", "`id`", "a|b"));
}

TEST(CustomBackend, PlaceholdersAreNotReplacedTwice) {
    LaunchInput input = input_with(custom_options({"/bin/true", "{{port}}", "{{model}}"}));
    input.model_path = "{{name}}";
    const auto plan = backend(BackendKind::kCustom).launch(input);
    ASSERT_TRUE(plan.ok());
    EXPECT_EQ(plan->argv[2], "{{name}}");
}

TEST(CustomBackend, HealthPathIsTheDeployments) {
    BackendOptions options = custom_options({"/bin/true", "{{port}}"});
    options.health_path = "/v1/models";
    EXPECT_EQ(backend(BackendKind::kCustom).launch(input_with(options))->health_path, "/v1/models");
}

struct Refusal {
    const char* name;
    BackendKind kind;
    BackendOptions options;
    const char* param;
};
void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

BackendOptions with_args(BackendOptions options, std::vector<std::string> args) {
    options.extra_args = std::move(args);
    return options;
}
BackendOptions with_env(BackendOptions options, const std::string& name, const std::string& value = "x") {
    options.env[name] = value;
    return options;
}
BackendOptions with_health(BackendOptions options, const std::string& path) {
    options.health_path = path;
    return options;
}

class Refused : public testing::TestWithParam<Refusal> {};

TEST_P(Refused, NamesTheField) {
    const Refusal& refusal = GetParam();
    const Status status = backend(refusal.kind).validate(refusal.options);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(status.error().param, refusal.param) << status.error().message;
    EXPECT_FALSE(backend(refusal.kind).launch(input_with(refusal.options)).ok()) << "launch must refuse it as well";
}

const BackendKind kEngine = BackendKind::kEngine;
const BackendKind kLlama = BackendKind::kLlamaServer;
const BackendKind kCustom = BackendKind::kCustom;
const BackendOptions kPlain = custom_options({"/bin/true", "{{port}}"});

INSTANTIATE_TEST_SUITE_P(
    Options, Refused,
    testing::Values(
        Refusal{"engine_host", kEngine, with_args({}, {"--host", "0.0.0.0"}), "options.extra_args[0]"},
        Refusal{"engine_host_equals", kEngine, with_args({}, {"--seed", "1", "--host=0.0.0.0"}), "options.extra_args[2]"},
        Refusal{"engine_model", kEngine, with_args({}, {"--model", "/other"}), "options.extra_args[0]"},
        Refusal{"engine_key", kEngine, with_args({}, {"--api-key=x"}), "options.extra_args[0]"},
        Refusal{"engine_line_break", kEngine, with_args({}, {"a\n--host"}), "options.extra_args[0]"},
        Refusal{"engine_zero_byte", kEngine, with_args({}, {std::string("a\0b", 3)}), "options.extra_args[0]"},
        Refusal{"engine_too_many", kEngine, with_args({}, std::vector<std::string>(1000, "x")), "options.extra_args"},
        Refusal{"engine_too_long", kEngine, with_args({}, {std::string(100'000, 'x')}), "options.extra_args[0]"},
        Refusal{"engine_preload", kEngine, with_env({}, "LD_PRELOAD"), "options.env.LD_PRELOAD"},
        Refusal{"engine_library_path", kEngine, with_env({}, "LD_LIBRARY_PATH"), "options.env.LD_LIBRARY_PATH"},
        Refusal{"engine_audit", kEngine, with_env({}, "LD_AUDIT"), "options.env.LD_AUDIT"},
        Refusal{"engine_tunables", kEngine, with_env({}, "GLIBC_TUNABLES"), "options.env.GLIBC_TUNABLES"},
        Refusal{"engine_path", kEngine, with_env({}, "PATH"), "options.env.PATH"},
        Refusal{"engine_own", kEngine, with_env({}, "GANTRY_INSTANCE_NONCE"), "options.env.GANTRY_INSTANCE_NONCE"},
        Refusal{"engine_env_equals", kEngine, with_env({}, "A=B"), "options.env"},
        Refusal{"engine_env_empty", kEngine, with_env({}, ""), "options.env"},
        Refusal{"engine_env_zero", kEngine, with_env({}, "A", std::string("a\0b", 3)), "options.env.A"},
        Refusal{"engine_command", kEngine, custom_options({"/bin/true"}), "options.command"},
        Refusal{"engine_binary", kEngine, llama_options(), "options.binary"},
        Refusal{"engine_health", kEngine, with_health({}, "/x"), "options.health_path"},
        Refusal{"llama_host", kLlama, with_args(llama_options(), {"--host", "0.0.0.0"}), "options.extra_args[0]"},
        Refusal{"llama_key_underscore", kLlama, with_args(llama_options(), {"--api_key", "x"}), "options.extra_args[0]"},
        Refusal{"llama_model", kLlama, with_args(llama_options(), {"-m", "/other"}), "options.extra_args[0]"},
        Refusal{"llama_repo", kLlama, with_args(llama_options(), {"-hf", "a/b"}), "options.extra_args[0]"},
        Refusal{"llama_token", kLlama, with_args(llama_options(), {"--hf-token", "hf_x"}), "options.extra_args[0]"},
        Refusal{"llama_projector_url", kLlama, with_args(llama_options(), {"-mmu", "http://a/b"}), "options.extra_args[0]"},
        Refusal{"llama_rpc", kLlama, with_args(llama_options(), {"--rpc", "10.0.0.7:1"}), "options.extra_args[0]"},
        Refusal{"llama_tools", kLlama, with_args(llama_options(), {"--tools", "all"}), "options.extra_args[0]"},
        Refusal{"llama_path", kLlama, with_args(llama_options(), {"--path", "/"}), "options.extra_args[0]"},
        Refusal{"llama_slots", kLlama, with_args(llama_options(), {"--slot-save-path", "/"}), "options.extra_args[0]"},
        Refusal{"llama_env", kLlama, with_env(llama_options(), "LLAMA_ARG_HOST"), "options.env.LLAMA_ARG_HOST"},
        Refusal{"llama_env_key", kLlama, with_env(llama_options(), "LLAMA_API_KEY"), "options.env.LLAMA_API_KEY"},
        Refusal{"llama_no_binary", kLlama,
                [] { BackendOptions o; o.binary = "/nonexistent/llama-server"; return o; }(), "options.binary"},
        Refusal{"llama_relative_binary", kLlama, [] { BackendOptions o; o.binary = "bin/true"; return o; }(), "options.binary"},
        Refusal{"llama_folder", kLlama, [] { BackendOptions o; o.binary = "/tmp"; return o; }(), "options.binary"},
        Refusal{"custom_empty", kCustom, {}, "options.command"},
        Refusal{"custom_unknown", kCustom, custom_options({"/bin/true", "{{port}}", "{{secret}}"}), "options.command[2]"},
        Refusal{"custom_unknown_in_env", kCustom, with_env(kPlain, "A", "{{b}}"), "options.env.A"},
        Refusal{"custom_spaces", kCustom, custom_options({"/bin/true", "{{ port }}"}), "options.command[1]"},
        Refusal{"custom_no_port", kCustom, custom_options({"/bin/true", "--serve"}), "options.command"},
        Refusal{"custom_no_program", kCustom, custom_options({"/nonexistent", "{{port}}"}), "options.command[0]"},
        Refusal{"custom_public", kCustom, custom_options({"/bin/true", "{{port}}", "--bind", "0.0.0.0"}), "options.command[3]"},
        Refusal{"custom_public_equals", kCustom, custom_options({"/bin/true", "{{port}}", "--bind=::"}), "options.command[2]"},
        Refusal{"custom_public_port", kCustom, custom_options({"/bin/true", "0.0.0.0:{{port}}"}), "options.command[1]"},
        Refusal{"custom_key", kCustom, custom_options({"/bin/true", "{{port}}", "--api-key", "x"}), "options.command[2]"},
        Refusal{"custom_extra_host", kCustom, with_args(kPlain, {"--host", "1.2.3.4"}), "options.extra_args[0]"},
        Refusal{"custom_health", kCustom, with_health(kPlain, "health"), "options.health_path"},
        Refusal{"custom_health_space", kCustom, with_health(kPlain, "/a b"), "options.health_path"},
        Refusal{"custom_preload", kCustom, with_env(kPlain, "LD_PRELOAD"), "options.env.LD_PRELOAD"}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace gantry::backends
