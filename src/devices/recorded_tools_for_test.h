#pragma once
// A machine as it was recorded, in tests/data/devices/VENDOR/CASE: a file a command, named by all its words joined with "_", every
// character outside [A-Za-z0-9.=,-] as "_" too; and files/ as the root of what is read. A file of a command begins with
//   # source: URL
//   # status: 255          where it did not end with 0
//   ---
// and what follows is verbatim.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "devices/prober.h"

namespace gantry::devices {

class RecordedTools final : public Tools {
public:
    explicit RecordedTools(const std::string& recorded)
        : folder_(std::string(GANTRY_SOURCE_DIR) + "/tests/data/devices/" + recorded) {}

    Result<Output> run(const std::vector<std::string>& argv) override {
        std::string name;
        for (const std::string& word : argv) name += (name.empty() ? "" : "_") + word;
        for (char& c : name) {
            const bool kept = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '=' || c == ',' || c == '-';
            if (!kept) c = '_';
        }
        const std::string path = folder_ + "/" + name;
        if (!std::filesystem::exists(path)) {
            if (!has_program(argv[0])) return not_found(argv[0] + " is not installed");
            return unavailable("not recorded: " + name);
        }
        Output output;
        std::string text = contents(path);
        const size_t head = text.find("---\n");
        const size_t status = text.substr(0, head).find("# status: ");
        if (status != std::string::npos) output.status = std::stoi(text.substr(status + 10));
        output.text = head == std::string::npos ? text : text.substr(head + 4);
        return output;
    }
    Result<std::string> read(const std::string& path) override {
        const std::string recorded = folder_ + "/files" + path;
        if (!std::filesystem::is_regular_file(recorded)) return not_found(path + " is not there");
        return contents(recorded);
    }
    std::vector<std::string> list(const std::string& path) override {
        std::vector<std::string> names;
        std::error_code absent;
        for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/files" + path, absent)) {
            names.push_back(entry.path().filename().string());
        }
        std::sort(names.begin(), names.end());
        return names;
    }
    bool has_program(const std::string& name) override {
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            const std::string file = entry.path().filename().string();
            if (file == name || file.starts_with(name + "_")) return true;
        }
        return false;
    }

private:
    static std::string contents(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    const std::string folder_;
};

}  // namespace gantry::devices
