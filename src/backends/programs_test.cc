// What is told of backends, and which programs a machine is found to have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "backends/backends_for_test.h"
#include "backends/flags.h"
#include "base/version.h"

namespace gantry::backends {
namespace {

using testing::HasSubstr;

// PATH is a folder of the test's while it lives.
class OwnPath {
public:
    explicit OwnPath(const std::string& path) : before_(std::getenv("PATH")) { ::setenv("PATH", path.c_str(), 1); }
    ~OwnPath() { ::setenv("PATH", before_.c_str(), 1); }
    OwnPath(const OwnPath&) = delete;
    OwnPath& operator=(const OwnPath&) = delete;

private:
    const std::string before_;
};

BackendProgram found(BackendKind kind, const std::vector<Device>& devices = {}) {
    const std::vector<BackendProgram> all = find_programs(devices);
    const auto one = std::find_if(all.begin(), all.end(), [kind](const BackendProgram& p) { return p.backend == to_string(kind); });
    EXPECT_TRUE(one != all.end()) << to_string(kind);
    return one == all.end() ? BackendProgram{} : *one;
}

TEST(find_programs, the_engine_is_always_there_and_a_command_is_nobodys) {
    const TestFolder folder;
    const OwnPath path(folder.path());
    const std::vector<BackendProgram> all = find_programs({});
    EXPECT_EQ(all.size(), std::size(kBackendKinds) - 1);
    for (const BackendProgram& one : all) {
        EXPECT_NE(one.backend, "custom");
        const bool needs_none = one.backend == "engine" || one.backend == "mindie";   // MindIE is looked for at its own place, too
        EXPECT_TRUE(needs_none || one.path.empty()) << one.backend;
    }
    EXPECT_EQ(found(BackendKind::kEngine).version, kVersion);
    EXPECT_FALSE(found(BackendKind::kEngine).path.empty());
}

TEST(find_programs, a_program_in_path_is_found_with_its_version_and_what_it_can_not_do) {
    const TestFolder folder;
    const OwnPath path(folder.path("venv/bin"));
    const std::string program = folder.program("venv/bin/vllm", "#!" + folder.path("venv/bin/python3") + "\n");
    folder.folder("venv/lib/python3.11/site-packages/vllm-0.32.0+cpu.dist-info");
    const BackendProgram vllm = found(BackendKind::kVllm, {device_of("cpu", 0), device_of("nvidia", 0, "sm_90"), device_of("nvidia", 1, "sm_90")});
    EXPECT_EQ(vllm.path, program);
    EXPECT_EQ(vllm.version, "0.32.0+cpu");
    ASSERT_EQ(vllm.refusals.size(), 2u) << "the accelerators";
    EXPECT_EQ(vllm.refusals[1].vendor, "nvidia");
    EXPECT_EQ(vllm.refusals[1].index, 1u);
    EXPECT_THAT(vllm.refusals[1].reason, HasSubstr("CPU build (0.32.0+cpu)"));
    EXPECT_EQ(found(BackendKind::kSglang).path, "");
}

// The two say the same: what is told to people, and what placement goes by.
TEST(about, models_that_are_named_are_taken_and_others_refused) {
    const auto among = [](const std::vector<std::string_view>& list, std::string_view word) {
        return std::find(list.begin(), list.end(), word) != list.end();
    };
    for (const BackendKind kind : kBackendKinds) {
        SCOPED_TRACE(to_string(kind));
        const Backend& one = backend(kind);
        const About about = one.about();
        EXPECT_FALSE(about.title.empty());
        EXPECT_FALSE(about.summary.empty());
        if (kind == BackendKind::kCustom) continue;   // nobody knows
        const auto takes = [&one](const std::string& format, const std::string& modality) {
            ModelMeta meta;
            meta.format = format;
            meta.modality = modality;
            if (format == "ggml") meta.architecture = "whisper";
            return !one.refuses_model(meta);
        };
        ASSERT_FALSE(about.formats.empty());
        for (const std::string format : {"gguf", "safetensors", "ggml"}) {
            EXPECT_EQ(takes(format, "text"), among(about.formats, format)) << format;
        }
        for (const std::string_view modality : about.modalities) {
            EXPECT_TRUE(takes(std::string(about.formats.front()), std::string(modality))) << modality;
        }
    }
}

TEST(about, kv_types_and_flags_are_those_that_are_taken) {
    const TestFolder folder;
    for (const BackendKind kind : kBackendKinds) {
        SCOPED_TRACE(to_string(kind));
        const Backend& one = backend(kind);
        if (kind == BackendKind::kCustom) {
            EXPECT_EQ(one.flag_rules(), nullptr);
            continue;
        }
        BackendOptions options;
        if (kind != BackendKind::kEngine) options.binary = folder.program("any");
        ASSERT_TRUE(one.validate(options).ok());
        for (const std::string_view type : one.kv_types()) {
            options.kv_type = type;
            EXPECT_TRUE(one.validate(options).ok()) << type;
        }
        options.kv_type = "of_none";
        EXPECT_FALSE(one.validate(options).ok());
        ASSERT_NE(one.flag_rules(), nullptr);
        options.kv_type.clear();
        size_t alone = 0;
        for (const AllowedFlag& flag : one.flag_rules()->allowed) {
            if (flag.value != FlagValue::kNone && flag.value != FlagValue::kSwitch) continue;
            options.extra_args = {std::string(flag.name)};
            EXPECT_TRUE(one.validate(options).ok()) << flag.name;
            ++alone;
        }
        EXPECT_TRUE(alone > 0 || kind == BackendKind::kMindie);
    }
}

}  // namespace
}  // namespace gantry::backends
