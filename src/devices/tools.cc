#include "devices/tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/platform/files.h"
#include "base/platform/process.h"
#include "base/platform/program.h"

namespace gantry::devices {
namespace {

constexpr size_t kFileBytesMax = 16u << 20;
constexpr size_t kNamesMax = 10'000;
// Where vendors put their tools when PATH does not say.
constexpr const char* kFolders[] = {"/usr/local/sbin/", "/usr/local/bin/", "/usr/bin/",          "/usr/sbin/",
                                    "/opt/rocm/bin/",   "/opt/hyhal/bin/", "/opt/dtk/bin/",      "/usr/local/corex/bin/",
                                    "/opt/mxdriver/bin/", "/opt/maca/bin/", "/usr/local/neuware/bin/"};

Result<std::string> find(const std::string& name) {
    Result<std::string> found = platform::find_program(name);
    for (const char* folder : kFolders) {
        if (found) break;
        found = platform::find_program(folder + name);
    }
    if (!found) return not_found(name + " is not installed");
    return found;
}

}  // namespace

Result<Tools::Output> MachineTools::run(const std::vector<std::string>& argv) {
    const Result<std::string> path = find(argv[0]);
    if (!path) return path.error();
    platform::ProgramRequest request{.argv = argv, .deadline = Deadline::after(deadline_), .own_group = false};
    request.argv[0] = *path;
    auto output = platform::run_program(request);
    if (!output) {
        if (output.error().reason != "timeout") return output.error();   // which names the tool, too
        return unavailable(fmt::format("{} did not answer within {:g} s", argv[0], static_cast<double>(deadline_.count()) / 1000), "timeout");
    }
    if (output->signal != 0) return unavailable(fmt::format("{} was ended by signal {}", argv[0], output->signal));
    return Output{output->status, std::move(output->text)};
}

Result<std::string> MachineTools::read(const std::string& path) { return platform::read_file(path, kFileBytesMax); }

std::vector<std::string> MachineTools::list(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code failed;
    for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
        if (names.size() == kNamesMax) break;
        names.push_back(entry->path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

bool MachineTools::has_program(const std::string& name) { return find(name).ok(); }

}  // namespace gantry::devices
