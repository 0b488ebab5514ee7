#pragma once
// What no backend may be told, whoever asks: rules shared by the files of the backends.

#include <initializer_list>
#include <string>
#include <string_view>

#include "backends/backends.h"
#include "base/result.h"
#include "domain/deployment.h"

namespace gantry::backends {

inline constexpr size_t kWordsMax = 256;        // of extra_args, of command
inline constexpr size_t kWordBytesMax = 8192;   // each; the whole stays well below the kernel's limit of a command line
inline constexpr size_t kEnvMax = 128;

// Lengths, control characters, names of environment variables, and those that would load foreign code into the engine or
// take over what the worker sets (LD_*, PATH, GANTRY_*, ...). For all backends.
Status check_common(const BackendOptions& options);

// Refuses the fields that only the backend "custom" has: command, health_path.
Status check_not_custom(const BackendOptions& options);

// Refuses each word of extra_args that is one of `flags`, also as "--flag=value" and with '_' for '-', as llama.cpp takes them.
// For the backend "custom" alone; of the others flags.h has lists of what is allowed.
Status check_flags(const BackendOptions& options, std::initializer_list<std::string_view> flags);

// Refuses each environment variable that starts with `prefix`.
Status check_env_prefix(const BackendOptions& options, std::string_view prefix, std::string_view advice);

// options.kv_type is empty or one of `types`.
Status check_kv_type(const BackendOptions& options, const std::vector<std::string_view>& types);

// The program of `options`, or the first of `names` that is in PATH. kInvalidArgument with the reason "backend_missing":
// `product` is not there; `install` says what to do.
Result<std::string> program_of(const BackendOptions& options, std::initializer_list<const char*> names, std::string_view product,
                               std::string_view install);

// What llama.cpp's programs can't serve: models in other formats, and a tower for pictures (mmproj) by itself.
std::optional<Refusal> refuse_all_but_gguf(const ModelMeta& meta);

// kInvalidArgument: the instance is one of several workers, which this backend can't run.
Status check_one_worker(const LaunchInput& input);

// "options.extra_args[3]"
std::string param_of(std::string_view field, size_t index);

}  // namespace gantry::backends
