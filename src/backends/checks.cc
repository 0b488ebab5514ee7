#include "backends/checks.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "backends/flags.h"
#include "base/platform/process.h"

namespace gantry::backends {
namespace {

// Variables that make a program load code, or that the worker sets itself. A name that ends in '*' stands for all that start so,
// one that starts with it for all that end so.
constexpr std::string_view kDeniedEnv[] = {
    "LD_*",       "DYLD_*",        "GANTRY_*",   "GCONV_PATH",        "GLIBC_TUNABLES", "LOCPATH",      "NLSPATH",
    "BASH_ENV",   "ENV",           "SHELLOPTS",  "BASHOPTS",          "BASH_FUNC_*",    "IFS",          "PATH",
    "HOME",       "PERL5LIB",     "PERL5OPT",
    "PERLLIB",    "RUBYOPT",       "RUBYLIB",    "NODE_OPTIONS",      "NODE_PATH",      "OPENSSL_CONF", "OPENSSL_ENGINES",
    "HOSTALIASES", "MALLOC_TRACE", "RES_OPTIONS", "JAVA_TOOL_OPTIONS", "PYTHON*", "BROWSER", "CC", "CXX", "CPP",
    "GGML_BACKEND_PATH", "*_LOGGING_CONFIG_PATH", "ASCEND_CUSTOM_*", "TORCH_EXTENSIONS_DIR", "TORCHINDUCTOR_*",
    "VLLM_PLUGINS", "GIT_*", "EDITOR", "PAGER",
};

bool has_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7f;
    });
}

Status check_words(const std::vector<std::string>& words, std::string_view field) {
    if (words.size() > kWordsMax) {
        return invalid_argument("too many words: at most " + std::to_string(kWordsMax) + " are taken", std::string(field));
    }
    for (size_t i = 0; i < words.size(); ++i) {
        if (words[i].size() > kWordBytesMax) {
            return invalid_argument("the word is too long: at most " + std::to_string(kWordBytesMax) + " bytes are taken",
                                    param_of(field, i));
        }
        if (has_control_character(words[i])) {
            return invalid_argument("the word holds a control character (a line break, a tab, a zero); give each flag and each "
                                    "value as a word of its own",
                                    param_of(field, i));
        }
    }
    return Ok{};
}

bool valid_env_name(std::string_view name) {
    if (name.empty() || name.size() > 128 || (std::isdigit(static_cast<unsigned char>(name[0])) != 0)) {
        return false;
    }
    return std::all_of(name.begin(), name.end(),
                       [](char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; });
}

bool denied_env(std::string_view name) {
    return std::any_of(std::begin(kDeniedEnv), std::end(kDeniedEnv), [name](std::string_view rule) {
        if (rule.starts_with('*')) return name.ends_with(rule.substr(1));
        return rule.ends_with('*') ? name.starts_with(rule.substr(0, rule.size() - 1)) : name == rule;
    });
}

}  // namespace

std::string param_of(std::string_view field, size_t index) {
    return std::string(field) + "[" + std::to_string(index) + "]";
}

Status check_common(const BackendOptions& options) {
    GANTRY_TRY(check_words(options.extra_args, "options.extra_args"));
    GANTRY_TRY(check_words(options.command, "options.command"));
    GANTRY_TRY(check_words({options.binary}, "options.binary"));
    if (options.env.size() > kEnvMax) {
        return invalid_argument("too many variables: at most " + std::to_string(kEnvMax) + " are taken", "options.env");
    }
    for (const auto& [name, value] : options.env) {
        if (!valid_env_name(name)) {
            return invalid_argument("an environment variable's name is of letters, digits and '_', and starts with no digit",
                                    "options.env");
        }
        const std::string param = "options.env." + name;
        if (denied_env(name)) {
            return invalid_argument(name + " may not be set: it would change what code the engine runs, or is set by Gantry",
                                    param);
        }
        if (value.size() > kWordBytesMax || value.find('\0') != std::string::npos) {
            return invalid_argument("the value of " + name + " is too long or holds a zero byte", param);
        }
    }
    return Ok{};
}

Status check_one_worker(const LaunchInput& input) {
    if (!input.span) return Ok{};
    return invalid_argument("this backend runs an instance on one worker alone: llama-server, vllm, sglang and mindie can use several",
                            "placement.across_workers");
}

Status check_not_custom(const BackendOptions& options) {
    if (!options.command.empty()) {
        return invalid_argument("a command is for the backend \"custom\" only; give flags as extra_args", "options.command");
    }
    if (!options.health_path.empty()) {
        return invalid_argument("a health path is for the backend \"custom\" only", "options.health_path");
    }
    return Ok{};
}

Status check_flags(const BackendOptions& options, std::initializer_list<std::string_view> flags) {
    for (size_t i = 0; i < options.extra_args.size(); ++i) {
        const std::string word = flag_name(options.extra_args[i]);
        if (std::find(flags.begin(), flags.end(), word) != flags.end()) {
            return invalid_argument(word + " may not be given: Gantry sets it, or it would open the engine or this machine's "
                                           "files to others; leave it out",
                                    param_of("options.extra_args", i));
        }
    }
    return Ok{};
}

Status check_env_prefix(const BackendOptions& options, std::string_view prefix, std::string_view advice) {
    for (const auto& [name, value] : options.env) {
        if (name.starts_with(prefix)) {
            return invalid_argument(name + " may not be set: " + std::string(advice), "options.env." + name);
        }
    }
    return Ok{};
}

Status check_kv_type(const BackendOptions& options, const std::vector<std::string_view>& types) {
    if (options.kv_type.empty() || std::find(types.begin(), types.end(), options.kv_type) != types.end()) {
        return Ok{};
    }
    std::string known;
    for (const std::string_view type : types) {
        known.append(known.empty() ? "" : ", ").append(type);
    }
    return invalid_argument("this backend has no KV cache of that type; it has " + known, "options.kv_type");
}

Result<std::string> program_of(const BackendOptions& options, std::initializer_list<const char*> names, std::string_view product,
                               std::string_view install) {
    if (!options.binary.empty()) {
        Result<std::string> path = platform::find_program(options.binary);
        return path.ok() ? path : invalid_argument(path.error().message, "options.binary", "backend_missing");
    }
    for (const char* name : names) {
        if (Result<std::string> path = platform::find_program(name); path.ok()) {
            return path;
        }
    }
    return invalid_argument("no " + std::string(*names.begin()) + " in PATH: install " + std::string(product) + " (" +
                                std::string(install) + "), or say where it is (--binary)",
                            "options.binary", "backend_missing");
}

std::optional<Refusal> refuse_all_but_gguf(const ModelMeta& meta) {
    if (!meta.format.empty() && meta.format != "gguf") {
        return Refusal{"it reads GGUF files, and this model is in the format " + meta.format};
    }
    if (meta.architecture == "clip") {
        return Refusal{"this file is the tower for pictures of a model (mmproj), and no model: name the model's file, and it comes along"};
    }
    return std::nullopt;
}

}  // namespace gantry::backends
