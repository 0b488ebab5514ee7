#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include "backends/backends_for_test.h"
#include "backends/flag_rules.h"

namespace gantry::backends {
namespace {

using testing::HasSubstr;

// The names at the beginning of the lines that explain flags: "-fa,   --flash-attn [on|off|auto]       set ...".
std::set<std::string> flags_of_help() {
    std::set<std::string> names;
    std::istringstream lines(recorded("llama-server-help.txt"));
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("-") || line.starts_with("---")) continue;
        std::istringstream words(line);
        for (std::string word; words >> word && word.starts_with("-");) {
            const bool more = word.ends_with(",");
            if (more) word.pop_back();
            names.insert(word);
            if (!more) break;
        }
    }
    return names;
}

const char* value_of(FlagValue kind) {
    switch (kind) {
        case FlagValue::kNone:
        case FlagValue::kSwitch: return nullptr;
        case FlagValue::kInteger:
        case FlagValue::kNumber: return "1";
        case FlagValue::kObject: return "{}";
        case FlagValue::kTemplate:
        case FlagValue::kNamedTemplate: return "{{ messages }}";
        case FlagValue::kJinjaFile: return "/a.jinja";
        case FlagValue::kGgufFile: return "/a.gguf";
        case FlagValue::kWord:
        case FlagValue::kList: return "word";
    }
    return nullptr;
}

Result<std::vector<GivenFlag>> read(const std::string& name) {
    BackendOptions options;
    options.extra_args = {name};
    for (const AllowedFlag& flag : llama_server_flags().allowed) {
        const bool is_it = flag.name == name || (name.starts_with("--no-") && flag.name.substr(2) == name.substr(5));
        if (is_it && value_of(flag.value) != nullptr) options.extra_args.emplace_back(value_of(flag.value));
    }
    return read_flags(options, llama_server_flags());
}

TEST(LlamaServerFlags, EachThatThePinnedVersionHasIsTakenOrRefusedWithAnAdvice) {
    const std::set<std::string> there = flags_of_help();
    ASSERT_GT(there.size(), 300u);
    for (const std::string& name : there) {
        const auto flags = read(name);
        EXPECT_THAT(flags ? "" : flags.error().message, testing::AnyOf("", HasSubstr("is not passed on to llama-server: "))) << name;
    }
}

TEST(LlamaServerFlags, NoneIsTakenThatThePinnedVersionHasNot) {
    const std::set<std::string> there = flags_of_help();
    const std::set<std::string_view> earlier = {"--mlock", "--mmap", "-dio", "--direct-io"};
    for (const AllowedFlag& flag : llama_server_flags().allowed) {
        EXPECT_TRUE(there.contains(std::string(flag.name)) || earlier.contains(flag.name)) << flag.name;
    }
}

// What it says of itself: none that is taken reads or writes a file, listens, fetches, or takes a secret.
TEST(LlamaServerFlags, NoneThatIsTakenNamesAFileAHostOrAKey) {
    std::istringstream lines(recorded("llama-server-help.txt"));
    constexpr const char* kNames[] = {"FNAME", "FILE", "PATH", "DIR", "URL", "HOST", "PORT", "KEY ", "TOKEN ", "SERVERS"};
    size_t suspicious = 0;
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("-") || line.starts_with("---")) continue;
        const std::string head = line.substr(0, 60);
        const auto has = [&head](const char* word) { return head.find(word) != std::string::npos; };
        const bool names_one = std::any_of(std::begin(kNames), std::end(kNames), has);
        if (!names_one) continue;
        ++suspicious;
        const std::string name = line.substr(0, line.find_first_of(", "));
        EXPECT_FALSE(read(name)) << line;
    }
    EXPECT_GT(suspicious, 20u);
}

TEST(LlamaServerFlags, ReachTheCommandLineAsWordsOfTheirOwn) {
    BackendOptions options;
    options.binary = "/bin/true";
    options.extra_args = {"--cache_ram=512", "-fa", "on", "--samplers", "top_k;min_p", "--no-warmup", "--chat-template", "chatml"};
    const auto plan = backend(BackendKind::kLlamaServer).launch(launch_input(options));
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    const std::vector<std::string> tail(plan->argv.end() - 9, plan->argv.end());
    EXPECT_THAT(tail, testing::ElementsAre("--cache-ram", "512", "-fa", "on", "--samplers", "top_k;min_p", "--no-warmup", "--chat-template",
                                           "chatml"));
}

}  // namespace
}  // namespace gantry::backends
