// The examples in the help must work as they stand there.
#include "cli/examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/context.h"

namespace gantry::cli {
namespace {

TEST(Examples, EachIsALineThatParses) {
    for (const std::string line : examples()) {
        std::vector<std::string> words = words_of_example(line);
        ASSERT_FALSE(words.empty()) << line;
        std::reverse(words.begin(), words.end());   // as CLI11 wants them
        CLI::App app;
        Context context;
        add_verbs(app, context);
        EXPECT_NO_THROW(app.parse(words)) << line;
        EXPECT_TRUE(context.action != nullptr) << line;
    }
}

void expect_examples(const CLI::App& app) {
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (verb->get_group().empty()) continue;   // not for people
        EXPECT_THAT(verb->get_footer(), testing::StartsWith("Examples:\n  ")) << app.get_name() << " " << verb->get_name();
        EXPECT_THAT(verb->help(), testing::HasSubstr("gantry ")) << verb->get_name();
        expect_examples(*verb);
    }
}

TEST(Examples, EveryVerbHasOne) {
    CLI::App app;
    Context context;
    add_verbs(app, context);
    expect_examples(app);
    EXPECT_THAT(app.get_subcommand("keys")->help(), testing::HasSubstr("\n  gantry keys create ci --rpm 60")) << "of its verbs, too";
}

TEST(Examples, WhatAShellDoesIsLeftOut) {
    using testing::ElementsAre;
    EXPECT_THAT(words_of_example("git diff | gantry run tiny \"Review this\" -"), ElementsAre("run", "tiny", "Review this", "-"));
    EXPECT_THAT(words_of_example("source <(gantry completion bash)"), ElementsAre("completion", "bash"));
    EXPECT_THAT(words_of_example("gantry usage --csv > a.csv"), ElementsAre("usage", "--csv"));
}

}  // namespace
}  // namespace gantry::cli
