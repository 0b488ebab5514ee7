// The flags of `gantry engine` and the list by which the worker passes them on are one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <set>

#include "backends/flag_rules.h"
#include "cli/context.h"

namespace gantry::cli {
namespace {

std::set<std::string> flags_of_the_engine() {
    CLI::App app;
    Context context;
    add_engine(app, context);
    std::set<std::string> names;
    for (const CLI::Option* option : app.get_subcommand("engine")->get_options()) {
        for (const std::string& name : option->get_snames()) names.insert("-" + name);
        for (const std::string& name : option->get_lnames()) names.insert("--" + name);
    }
    return names;
}

TEST(EngineFlags, EachIsPassedOnOrRefusedWithAnAdvice) {
    const std::set<std::string> there = flags_of_the_engine();
    ASSERT_TRUE(there.contains("--no-speculation"));
    for (const std::string& name : there) {
        BackendOptions options;
        options.extra_args = {name};
        const auto flags = backends::read_flags(options, backends::engine_flags());
        EXPECT_THAT(flags ? "" : flags.error().message,
                    testing::AnyOf("", name + " needs a value", testing::HasSubstr("is not passed on to the embedded engine: ")))
            << name;
    }
}

TEST(EngineFlags, NoneIsPassedOnThatThereIsNot) {
    const std::set<std::string> there = flags_of_the_engine();
    for (const backends::AllowedFlag& flag : backends::engine_flags().allowed) EXPECT_TRUE(there.contains(std::string(flag.name))) << flag.name;
}

}  // namespace
}  // namespace gantry::cli
