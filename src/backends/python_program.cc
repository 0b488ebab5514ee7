#include "backends/python_program.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

namespace gantry::backends {
namespace {

namespace fs = std::filesystem;
constexpr size_t kFirstLineMax = 512;

// "/venv/bin/python3" of "#!/venv/bin/python3 -I"; empty: the file is no script, or asks env for its interpreter.
std::string interpreter_of(const std::string& program) {
    std::ifstream file(program, std::ios::binary);
    char start[kFirstLineMax] = {};
    file.read(start, sizeof start);
    std::string_view text(start, static_cast<size_t>(file.gcount()));
    text = text.substr(0, text.find('\n'));
    if (!text.starts_with("#!/")) return {};
    text.remove_prefix(2);
    text = text.substr(0, text.find(' '));
    return text.ends_with("/env") ? std::string() : std::string(text);
}

// Folders that hold packages, of the interpreter's prefix and of the program's.
std::vector<fs::path> package_folders(const std::string& program) {
    std::vector<fs::path> folders;
    for (const std::string& start : {interpreter_of(program), program}) {
        if (start.empty()) continue;
        const fs::path prefix = fs::path(start).parent_path().parent_path();
        for (const char* library : {"lib", "lib64"}) {
            std::error_code error;
            for (const auto& entry : fs::directory_iterator(prefix / library, error)) {
                if (!entry.path().filename().string().starts_with("python3")) continue;
                for (const char* name : {"site-packages", "dist-packages"}) {
                    std::error_code ignored;
                    if (fs::is_directory(entry.path() / name, ignored)) folders.push_back(entry.path() / name);
                }
            }
        }
    }
    return folders;
}

}  // namespace

std::string distribution_version(const std::string& program, std::string_view distribution) {
    constexpr std::string_view kEnd = ".dist-info";
    const std::string start = std::string(distribution) + "-";
    for (const fs::path& folder : package_folders(program)) {
        std::vector<std::string> versions;
        std::error_code error;
        for (const auto& entry : fs::directory_iterator(folder, error)) {
            const std::string name = entry.path().filename().string();
            if (name.starts_with(start) && name.ends_with(kEnd)) {
                versions.push_back(name.substr(start.size(), name.size() - start.size() - kEnd.size()));
            }
        }
        if (!versions.empty()) return *std::max_element(versions.begin(), versions.end());
    }
    return {};
}

std::string package_folder(const std::string& program, std::string_view package) {
    for (const fs::path& folder : package_folders(program)) {
        std::error_code error;
        if (fs::is_directory(folder / package, error)) return (folder / package).string();
    }
    return {};
}

}  // namespace gantry::backends
