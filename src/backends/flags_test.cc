#include "backends/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::backends {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr AllowedFlag kAllowed[] = {{"--eager", FlagValue::kNone},           {"--enable-cache", FlagValue::kSwitch},
                                    {"--seed", FlagValue::kInteger},         {"--share", FlagValue::kNumber},
                                    {"--parser", FlagValue::kWord},          {"--config-object", FlagValue::kObject},
                                    {"--chat-template", FlagValue::kTemplate},
                                    {"--order", FlagValue::kList},           {"--template", FlagValue::kNamedTemplate},
                                    {"--jinja-file", FlagValue::kJinjaFile}, {"--draft", FlagValue::kGgufFile}};
const RefusedFlags kRefused[] = {{{"--host", "--ssl*", "-tp"}, "say it otherwise"}};
const FlagRules kRules{"X", kAllowed, kRefused};

BackendOptions options_of(std::vector<std::string> words) {
    BackendOptions options;
    options.extra_args = std::move(words);
    return options;
}

TEST(Flags, ValuesFollowOrAreJoined) {
    const char* jinja = "{% for m in messages %}{{ m }}{% endfor %}";
    const auto flags = read_flags(options_of({"--seed", "-7", "--parser=qwen3_coder", "--eager", "--no-enable-cache", "--config_object",
                                              "{\"a\":{\"b\":[1]}}", "--share=0.5", "--chat_template", jinja}),
                                  kRules);
    ASSERT_TRUE(flags.ok()) << flags.error().message;
    std::vector<std::string> argv;
    append_flags(*flags, argv);
    EXPECT_THAT(argv, ElementsAre("--seed", "-7", "--parser", "qwen3_coder", "--eager", "--no-enable-cache", "--config-object",
                                  "{\"a\":{\"b\":[1]}}", "--share", "0.5", "--chat-template", jinja));
    EXPECT_TRUE(given(*flags, "--enable-cache"));
    EXPECT_TRUE(given(*flags, "--seed"));
    EXPECT_FALSE(given(*flags, "--no-seed"));
}

struct Bad {
    std::vector<std::string> words;
    const char* param;
    const char* message;
};

TEST(Flags, WhatIsNotInTheListIsRefusedByName) {
    const Bad cases[] = {
        {{"--host", "0.0.0.0"}, "options.extra_args[0]", "--host is not passed on to X: say it otherwise"},
        {{"--eager", "--host=0.0.0.0"}, "options.extra_args[1]", "--host is not passed on"},
        {{"--ho", "0.0.0.0"}, "options.extra_args[0]", "--ho is not among the flags"},          // argparse would complete it
        {{"--hos"}, "options.extra_args[0]", "custom"},
        {{"--see", "7"}, "options.extra_args[0]", "--see is not among"},
        {{"--SEED", "7"}, "options.extra_args[0]", "--SEED is not among"},
        {{"--ssl_keyfile", "/etc/key"}, "options.extra_args[0]", "--ssl-keyfile is not passed on"},
        {{"-tp", "2"}, "options.extra_args[0]", "-tp is not passed on"},
        {{"-tp2"}, "options.extra_args[0]", "-tp2 is not among"},
        {{"--config-object.a.b", "1"}, "options.extra_args[0]", "is not among"},                 // vLLM would read it as the object's
        {{"--no-eager"}, "options.extra_args[0]", "is not among"},
        {{"--no-host"}, "options.extra_args[0]", "is not passed on"},
        {{"--"}, "options.extra_args[0]", "is not among"},
        {{"-"}, "options.extra_args[0]", "is no flag"},
        {{""}, "options.extra_args[0]", "is no flag"},
        {{"other.safetensors"}, "options.extra_args[0]", "is no flag"},
        {{"--eager", "yes"}, "options.extra_args[1]", "is no flag"},
        {{"--eager=yes"}, "options.extra_args[0]", "takes no value"},
        {{"--enable-cache=false"}, "options.extra_args[0]", "takes no value"},
        {{"--seed"}, "options.extra_args[0]", "needs a value"},
        {{"--seed", "--host"}, "options.extra_args[1]", "whole number"},
        {{"--seed=1e3"}, "options.extra_args[0]", "whole number"},
        {{"--share", "0.5.1"}, "options.extra_args[1]", "takes a number"},
        {{"--share", "."}, "options.extra_args[1]", "takes a number"},
        {{"--parser", "/etc/passwd"}, "options.extra_args[1]", "no path"},
        {{"--parser", "../x"}, "options.extra_args[1]", "no path"},
        {{"--parser="}, "options.extra_args[0]", "no path"},
        {{"--parser", "--host"}, "options.extra_args[1]", "no path"},
        {{"--config-object", "[1]"}, "options.extra_args[1]", "JSON object"},
        {{"--config-object", "{a}"}, "options.extra_args[1]", "JSON object"},
        {{"--chat-template", "/etc/passwd"}, "options.extra_args[1]", "no file"},
        {{"--order", "/etc/passwd"}, "options.extra_args[1]", "no path"},
        {{"--order", ",a"}, "options.extra_args[1]", "no path"},
        {{"--order", ""}, "options.extra_args[1]", "no path"},
        {{"--template", "/etc/passwd"}, "options.extra_args[1]", "no file"},
        {{"--jinja-file", "/etc/passwd"}, "options.extra_args[1]", "ends in .jinja"},
        {{"--jinja-file", "a.jinja"}, "options.extra_args[1]", "whole path"},
        {{"--jinja-file", "/a/../b.jinja"}, "options.extra_args[1]", "whole path"},
        {{"--draft", "/proc/self/environ"}, "options.extra_args[1]", "ends in .gguf"},
    };
    for (const Bad& bad : cases) {
        const auto flags = read_flags(options_of(bad.words), kRules);
        ASSERT_FALSE(flags.ok()) << testing::PrintToString(bad.words);
        EXPECT_EQ(flags.error().param, bad.param) << testing::PrintToString(bad.words);
        EXPECT_THAT(flags.error().message, HasSubstr(bad.message));
        EXPECT_EQ(flags.error().code, ErrorCode::kInvalidArgument);
    }
}

TEST(Flags, TheNearestIsNamedAndElseAll) {
    const auto near = read_flags(options_of({"--sede", "7"}), kRules);
    EXPECT_THAT(near.error().message, HasSubstr("did you mean --seed?"));
    EXPECT_THAT(near.error().message, testing::Not(HasSubstr("--parser")));
    EXPECT_THAT(read_flags(options_of({"--no-enable-cash"}), kRules).error().message, HasSubstr("did you mean --enable-cache?"));
    EXPECT_THAT(read_flags(options_of({"--frobnicate"}), kRules).error().message, HasSubstr("they are --eager, --enable-cache, --seed,"));
}

TEST(Flags, ListsTemplatesAndFiles) {
    EXPECT_TRUE(read_flags(options_of({"--order", "top_k;min_p", "--order=a.b=str:c,d", "--template", "chatml", "--template", "{{ a }}",
                                       "--jinja-file", "/models/my own.jinja", "--draft", "/models/small.gguf"}),
                           kRules)
                    .ok());
}

TEST(Flags, WhatAnOptionSaysIsNotSaidAgain) {
    const auto flags = *read_flags(options_of({"--eager", "--seed", "7"}), kRules);
    EXPECT_TRUE(refuse_twice(flags, {"--share"}, "share").ok());
    const Status twice = refuse_twice(flags, {"--seed"}, "seed");
    ASSERT_FALSE(twice.ok());
    EXPECT_EQ(twice.error().param, "options.extra_args[1]");
}

TEST(FlagNumber, ReadsFlagsAsPeopleWriteThem) {
    BackendOptions options;
    const auto tokens = [&](std::vector<std::string> args) {
        options.extra_args = std::move(args);
        return flag_number(options, {"--max-num-batched-tokens"}, 7, 99);
    };
    EXPECT_EQ(tokens({}), 7u);
    EXPECT_EQ(tokens({"--max-num-batched-tokens", "512"}), 512u);
    EXPECT_EQ(tokens({"--max_num_batched_tokens=512"}), 512u);
    EXPECT_EQ(tokens({"--max-num-batched-tokens", "1", "--max-num-batched-tokens", "2"}), 2u) << "the last one holds";
    EXPECT_EQ(tokens({"--max-num-batched-tokens", "-1"}), 99u);
    EXPECT_EQ(tokens({"--max-num-batched-tokens", "99999999999999999999"}), 1ull << 40);
    EXPECT_EQ(tokens({"--max-num-batched-tokens", "many"}), 7u);
    EXPECT_EQ(tokens({"--max-num-batched-tokens"}), 7u);
}

}  // namespace
}  // namespace gantry::backends
