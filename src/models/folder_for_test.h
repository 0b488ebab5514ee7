#pragma once
// A folder of model files for tests, gone with the test; and safetensors files written by hand.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace gantry::models {

class ModelFolder : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "model_XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string write(const std::string& name, const std::string& bytes, uint64_t size = 0) {
        const std::filesystem::path path = folder_ / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << bytes;
        if (size > 0) std::filesystem::resize_file(path, size);
        return path;
    }
    std::filesystem::path folder_;
};

// A safetensors file: its header and so many bytes of data.
inline std::string safetensors(const std::string& header, uint64_t data_bytes) {
    const uint64_t length = header.size();
    std::string out(reinterpret_cast<const char*>(&length), sizeof length);
    return out + header + std::string(data_bytes, '\x22');
}

}  // namespace gantry::models
