#pragma once
// A folder with programs that are never started, and what a worker would ask.

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "backends/backends.h"

namespace gantry::backends {

class TestFolder {
public:
    TestFolder() {
        char name[] = "/tmp/gantry_backends_XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ~TestFolder() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;

    std::string path(const std::string& below = {}) const { return below.empty() ? path_ : path_ + "/" + below; }
    // With the folders above it.
    std::string file(const std::string& below, const std::string& text = {}, int mode = 0644) const {
        std::filesystem::create_directories(std::filesystem::path(path(below)).parent_path());
        std::ofstream(path(below)) << text;
        ::chmod(path(below).c_str(), static_cast<mode_t>(mode));
        return path(below);
    }
    std::string program(const std::string& below, const std::string& text = "#!/bin/sh\n") const { return file(below, text, 0755); }
    void folder(const std::string& below) const { std::filesystem::create_directories(path(below)); }

private:
    std::string path_;
};

inline std::string recorded(const std::string& name) {
    std::ifstream file(std::string(GANTRY_SOURCE_DIR) + "/tests/data/backends/" + name);
    std::stringstream text;
    text << file.rdbuf();
    EXPECT_FALSE(text.str().empty()) << name;
    return text.str();
}

inline LaunchInput launch_input(BackendOptions options) {
    LaunchInput input;
    input.gantry_binary = "/opt/gantry/bin/gantry";
    input.model_path = "/models/a model.gguf";
    input.name = "org/tiny:q4";
    input.socket_path = "/run/x.sock";
    input.port = 40001;
    input.api_key = "k3y-k3y-k3y";
    input.exit_file = "/data/exit.json";
    input.work_folder = "/data/instances/ins_1";
    input.options = std::move(options);
    return input;
}

inline Device device_of(const std::string& vendor, uint32_t index, const std::string& chip = {}) {
    Device device;
    device.vendor = vendor;
    device.index = index;
    device.chip = chip;
    device.name = vendor + " " + chip;
    return device;
}

inline DeviceClaim claim_of(const std::string& vendor, uint32_t index, uint64_t bytes, double share = 0, uint32_t layers = 0) {
    return {WorkerId("wrk_1"), {vendor, index}, bytes, layers, share};
}

inline Placement placed(std::vector<DeviceClaim> claims, uint32_t context_tokens = 0) {
    Placement placement;
    placement.ranks = static_cast<uint32_t>(claims.size());
    placement.claims = std::move(claims);
    placement.context_tokens = context_tokens;
    return placement;
}

// The word after `flag`; "": it is not there.
inline std::string value_after(const std::vector<std::string>& argv, const std::string& flag) {
    for (size_t i = 0; i + 1 < argv.size(); ++i) {
        if (argv[i] == flag) return argv[i + 1];
    }
    return {};
}

inline BackendOptions with_args(BackendOptions options, std::vector<std::string> args) {
    options.extra_args = std::move(args);
    return options;
}
inline BackendOptions with_env(BackendOptions options, const std::string& name, const std::string& value = "x") {
    options.env[name] = value;
    return options;
}

}  // namespace gantry::backends
