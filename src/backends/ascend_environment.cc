#include "backends/ascend_environment.h"

#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <string_view>
#include <system_error>
#include <utility>

namespace gantry::backends {
namespace {

namespace fs = std::filesystem;

#ifdef __aarch64__
constexpr std::string_view kMachine = "aarch64";
#else
constexpr std::string_view kMachine = "x86_64";
#endif

bool is_folder(const std::string& path) {
    std::error_code error;
    return fs::is_directory(path, error);
}

std::string below(const std::string& home, std::initializer_list<std::string_view> folders) {
    std::string joined;
    for (const std::string_view folder : folders) {
        joined.append(joined.empty() ? "" : ":").append(home).append("/").append(folder);
    }
    return joined;
}

void add_atb(std::map<std::string, std::string>& environment, const std::string& root, bool new_abi) {
    const std::string atb = root + "/nnal/atb/latest/atb/";
    const std::string home = atb + (new_abi ? "cxx_abi_1" : "cxx_abi_0");
    if (!is_folder(home)) return;
    environment["ATB_HOME_PATH"] = home;
    prepend(environment, "LD_LIBRARY_PATH", below(home, {"lib", "examples", "tests/atbopstest"}));
    prepend(environment, "PATH", home + "/bin");
    for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
             {"ATB_STREAM_SYNC_EVERY_KERNEL_ENABLE", "0"},    {"ATB_STREAM_SYNC_EVERY_RUNNER_ENABLE", "0"},
             {"ATB_STREAM_SYNC_EVERY_OPERATION_ENABLE", "0"}, {"ATB_OPSRUNNER_KERNEL_CACHE_LOCAL_COUNT", "1"},
             {"ATB_OPSRUNNER_KERNEL_CACHE_GLOABL_COUNT", "5"}, {"ATB_WORKSPACE_MEM_ALLOC_ALG_TYPE", "1"},
             {"ATB_COMPARE_TILING_EVERY_KERNEL", "0"},        {"ATB_MATMUL_SHUFFLE_K_ENABLE", "1"}}) {
        environment[name] = value;
    }
}

}  // namespace

std::map<std::string, std::string> cann_environment(const std::string& root, bool new_abi) {
    std::map<std::string, std::string> environment;
    const std::string home = root + "/ascend-toolkit/latest";
    if (!is_folder(home)) return environment;
    const char* path = std::getenv("PATH");
    environment["PATH"] = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
    environment["ASCEND_TOOLKIT_HOME"] = environment["ASCEND_HOME_PATH"] = environment["ASCEND_AICPU_PATH"] = home;
    environment["ASCEND_OPP_PATH"] = home + "/opp";
    environment["TOOLCHAIN_HOME"] = home + "/toolkit";
    environment["LD_LIBRARY_PATH"] = below(root + "/driver", {"lib64", "lib64/common", "lib64/driver"});
    const std::string tiling = "opp/built-in/op_impl/ai_core/tbe/op_tiling/lib/linux/" + std::string(kMachine);
    prepend(environment, "LD_LIBRARY_PATH", below(home, {"lib64", "lib64/plugin/opskernel", "lib64/plugin/nnengine", tiling}));
    prepend(environment, "LD_LIBRARY_PATH", below(home, {"tools/aml/lib64", "tools/aml/lib64/plugin"}));
    environment["PYTHONPATH"] = below(home, {"python/site-packages", "opp/built-in/op_impl/ai_core/tbe"});
    prepend(environment, "PATH", below(home, {"bin", "compiler/ccec_compiler/bin", "tools/ccec_compiler/bin"}));
    add_atb(environment, root, new_abi);
    return environment;
}

bool has_new_abi(const std::string& torch_version) {
    int major = 0;
    int minor = 0;
    size_t at = 0;
    const auto number = [&torch_version, &at](int& out) {
        while (at < torch_version.size() && torch_version[at] >= '0' && torch_version[at] <= '9' && out < 10'000) {
            out = out * 10 + (torch_version[at++] - '0');
        }
        if (at < torch_version.size() && torch_version[at] == '.') ++at;
    };
    number(major);
    number(minor);
    return major > 2 || (major == 2 && minor >= 6);
}

void prepend(std::map<std::string, std::string>& environment, const std::string& variable, const std::string& folders) {
    std::string& value = environment[variable];
    value = value.empty() ? folders : folders + ":" + value;
}

}  // namespace gantry::backends
