// Any program that serves the OpenAI API on a loopback port: a command with placeholders inside its words.
//
//   {{model}}          the model's path
//   {{port}}           where it has to listen, on 127.0.0.1
//   {{name}}           the deployment's name
//   {{devices}}        "0,3": what placement chose, as the vendor's own variable takes it; empty on a CPU
//   {{device_count}}   how many those are
//
// The vendor's variable (CUDA_VISIBLE_DEVICES ..., visible_devices.h) is set besides, unless `env` sets it: the program
// then counts what it sees from 0. Which models and devices it can do nobody knows but the program.

#include "backends/table.h"

#include <map>

#include "backends/checks.h"
#include "backends/visible_devices.h"
#include "base/platform/process.h"

namespace gantry::backends {
namespace {

constexpr char kNoPort[] =
    "the command does not say {{port}}: write it where the program takes the port to listen on, e.g. \"--port\", \"{{port}}\"";

// `text` with each {{name}} replaced. kInvalidArgument: a name that is not in `values`.
Result<std::string> fill(const std::string& text, const std::map<std::string, std::string>& values, const std::string& param) {
    std::string out;
    size_t at = 0;
    for (;;) {
        const size_t open = text.find("{{", at);
        const size_t close = open == std::string::npos ? open : text.find("}}", open + 2);
        if (close == std::string::npos) {
            return out + text.substr(at);
        }
        const auto value = values.find(text.substr(open + 2, close - open - 2));
        if (value == values.end()) {
            return invalid_argument("unknown placeholder " + text.substr(open, close + 2 - open) +
                                        ": there are {{model}}, {{port}}, {{name}}, {{devices}} and {{device_count}}",
                                    param);
        }
        out += text.substr(at, open - at) + value->second;
        at = close + 2;
    }
}

Result<LaunchPlan> plan_of(const LaunchInput& input) {
    const std::map<std::string, std::string> values = {
        {"model", input.model_path},
        {"port", std::to_string(input.port)},
        {"name", input.name},
        {"devices", device_list(input.placement, input.devices)},
        {"device_count", std::to_string(accelerator_claims(input.placement).size())}};
    LaunchPlan plan;
    const auto append = [&](const std::vector<std::string>& words, const char* field) -> Status {
        for (size_t i = 0; i < words.size(); ++i) {
            Result<std::string> word = fill(words[i], values, param_of(field, i));
            if (!word.ok()) {
                return word.error();
            }
            plan.argv.push_back(std::move(*word));
        }
        return Ok{};
    };
    GANTRY_TRY(append(input.options.command, "options.command"));
    GANTRY_TRY(append(input.options.extra_args, "options.extra_args"));
    for (const auto& [name, text] : input.options.env) {
        Result<std::string> value = fill(text, values, "options.env." + name);
        if (!value.ok()) {
            return value.error();
        }
        plan.env[name] = std::move(*value);
    }
    plan.env.merge(visible_devices(input.placement, input.devices));
    plan.endpoint = "tcp:127.0.0.1:" + std::to_string(input.port);
    plan.health_path = input.options.health_path.empty() ? "/health" : input.options.health_path;
    return plan;
}

bool mentions_port(const BackendOptions& options) {
    const auto in = [](const std::string& text) { return text.find("{{port}}") != std::string::npos; };
    for (const std::string& word : options.command) {
        if (in(word)) {
            return true;
        }
    }
    for (const std::string& word : options.extra_args) {
        if (in(word)) {
            return true;
        }
    }
    for (const auto& [name, value] : options.env) {
        if (in(value)) {
            return true;
        }
    }
    return false;
}

// An address that would let other machines in past the gateway, or a key in a command line that all users here can read.
Status check_exposure(const std::vector<std::string>& words, const char* field) {
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        const size_t equals = word.find('=');
        const std::string value = word.starts_with("-") && equals != std::string::npos ? word.substr(equals + 1) : word;
        if (value == "0.0.0.0" || value == "::" || value == "[::]" || value.starts_with("0.0.0.0:") || value.starts_with("[::]:")) {
            return invalid_argument("the engine would listen on every network; let it listen on 127.0.0.1", param_of(field, i));
        }
        const std::string flag = word.substr(0, equals);
        if (flag == "--api-key" || flag == "--api_key" || flag == "--hf-token" || flag == "--hf_token") {
            return invalid_argument("secrets in a command line can be read by every user of the machine; set them in env",
                                    param_of(field, i));
        }
    }
    return Ok{};
}

class CustomBackend final : public Backend {
public:
    About about() const override {
        return {.title = "Custom",
                .summary = "Any program that serves the OpenAI API on a port: each deployment says its command",
                .homepage = {},
                .program = {},
                .install = {},
                .formats = {},
                .modalities = {}};
    }
    std::optional<Refusal> refuses_model(const ModelMeta&) const override {
        return std::nullopt;   // whatever it is, the program knows
    }
    std::optional<Refusal> refuses_device(const std::string&, const std::string&, const Device&) const override { return std::nullopt; }
    bool can_offload() const override { return false; }
    Result<std::string> program(const BackendOptions& options) const override {
        if (options.command.empty()) {
            return invalid_argument("the backend \"custom\" needs a command: a program and its arguments", "options.command");
        }
        Result<std::string> found = platform::find_program(options.command[0]);
        return found.ok() ? found : invalid_argument(found.error().message, "options.command[0]", "backend_missing");
    }
    std::string version(const BackendOptions&) const override { return {}; }

    Status validate(const BackendOptions& options) const override {
        GANTRY_TRY(check_common(options));
        GANTRY_TRY(check_flags(options, {"--host", "--port", "--api-key"}));
        if (options.command.empty()) {
            return invalid_argument("the backend \"custom\" needs a command: a program and its arguments", "options.command");
        }
        if (!options.kv_type.empty()) {
            return invalid_argument("Gantry does not know how this program is told the type of its KV cache: say it in the command",
                                    "options.kv_type");
        }
        if (!options.binary.empty()) {
            return invalid_argument("the program of the backend \"custom\" is the command's first word",
                                    "options.binary");
        }
        GANTRY_TRY(check_exposure(options.command, "options.command"));
        GANTRY_TRY(check_exposure(options.extra_args, "options.extra_args"));
        if (!options.health_path.empty() &&
            (options.health_path[0] != '/' || options.health_path.find_first_of(" \t\r\n#") != std::string::npos)) {
            return invalid_argument("a health path starts with \"/\" and holds no spaces", "options.health_path");
        }
        LaunchInput probe;
        probe.options = options;
        const Result<LaunchPlan> plan = plan_of(probe);
        if (!plan.ok()) {
            return plan.error();
        }
        if (!mentions_port(options)) {
            return invalid_argument(kNoPort, "options.command");
        }
        const Result<std::string> found = program(options);
        return found.ok() ? Status(Ok{}) : Status(found.error());
    }

    Result<LaunchPlan> launch(const LaunchInput& input) const override {
        GANTRY_TRY(validate(input.options));
        GANTRY_TRY(check_one_worker(input));
        Result<LaunchPlan> plan = plan_of(input);
        if (plan.ok()) {
            plan->argv[0] = *program(input.options);
        }
        return plan;
    }
};

}  // namespace

const Backend& custom_backend() {
    static const CustomBackend backend;
    return backend;
}

}  // namespace gantry::backends
