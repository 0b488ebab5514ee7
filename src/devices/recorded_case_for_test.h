#pragma once
// A case of tests/data/devices/VENDOR/CASE as the machine that a prober sees. Each of its files is what one command printed, named by
// the command's words joined with '_'; a head of "# …" lines says where it is from, "# status: N" how the command ended, and a line
// "---" ends the head. A command without a file is not installed. `files/` is the root for read() and list().

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "devices/prober.h"

namespace gantry::devices {

class RecordedCase : public Tools {
public:
    explicit RecordedCase(const std::string& name) : root_(std::filesystem::path(GANTRY_SOURCE_DIR "/tests/data/devices") / name) {
        for (const auto& entry : std::filesystem::directory_iterator(root_)) {
            if (entry.is_regular_file()) {
                load(entry.path());
            }
        }
    }

    // What the commands print, by the file's name: for tests that change it.
    std::map<std::string, Output>& outputs() { return outputs_; }

    static std::vector<std::string> names(const std::string& vendor) {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(GANTRY_SOURCE_DIR "/tests/data/devices") / vendor)) {
            found.push_back(vendor + "/" + entry.path().filename().string());
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    Result<Output> run(const std::vector<std::string>& argv) override {
        std::string name;
        for (const std::string& word : argv) {
            name += name.empty() ? "" : "_";
            for (const char c : word) {
                name += std::isalnum(static_cast<unsigned char>(c)) || std::string_view(".=,-").find(c) != std::string_view::npos ? c : '_';
            }
        }
        const auto found = outputs_.find(name);
        return found == outputs_.end() ? Result<Output>(not_found(argv[0] + " is not installed")) : Result<Output>(found->second);
    }

    Result<std::string> read(const std::string& path) override {
        std::ifstream file(root_ / "files" / path.substr(1), std::ios::binary);
        std::ostringstream text;
        text << file.rdbuf();
        return file.is_open() ? Result<std::string>(text.str()) : Result<std::string>(not_found(path + " is not there"));
    }

    std::vector<std::string> list(const std::string& folder) override {
        std::vector<std::string> names;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(root_ / "files" / folder.substr(1), error)) {
            names.push_back(entry.path().filename().string());
        }
        std::sort(names.begin(), names.end());
        return names;
    }

    bool has_program(const std::string& name) override {
        return std::any_of(outputs_.begin(), outputs_.end(), [&](const auto& output) {
            return output.first == name || output.first.substr(0, name.size() + 1) == name + "_";
        });
    }

private:
    void load(const std::filesystem::path& path) {
        std::ifstream file(path, std::ios::binary);
        Output output;
        std::string line;
        while (std::getline(file, line) && line != "---") {
            if (line.starts_with("# status: ")) {
                output.status = std::stoi(line.substr(10));
            }
        }
        std::ostringstream text;
        text << file.rdbuf();
        output.text = text.str();
        outputs_[path.filename().string()] = output;
    }

    const std::filesystem::path root_;
    std::map<std::string, Output> outputs_;
};

}  // namespace gantry::devices
