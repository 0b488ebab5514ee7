// The command line as a whole, as far as it needs no server: exit statuses and what is said.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/version.h"
#include "cli/cli.h"

namespace gantry::cli {
namespace {

using testing::HasSubstr;

struct Outcome {
    int status = -1;
    std::string out;
    std::string err;
};

Outcome gantry(std::vector<std::string> words) {
    words.insert(words.begin(), "gantry");
    std::vector<char*> argv;
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Outcome outcome;
    outcome.status = cli::main(static_cast<int>(words.size()), argv.data());
    outcome.out = testing::internal::GetCapturedStdout();
    outcome.err = testing::internal::GetCapturedStderr();
    return outcome;
}

// A home without a server or settings.
class CommandLine : public testing::Test {
protected:
    CommandLine() : home_(testing::TempDir() + "gantry-home-" + std::to_string(getpid())) {
        std::filesystem::create_directories(home_);
        for (const char* name : {"GANTRY_SERVER", "GANTRY_TOKEN", "GANTRY_PROVIDER_KEY", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}) {
            unsetenv(name);
        }
        setenv("HOME", home_.c_str(), 1);
        setenv("GANTRY_DATA_DIR", home_.c_str(), 1);
    }
    ~CommandLine() override {
        unsetenv("GANTRY_DATA_DIR");
        std::filesystem::remove_all(home_);
    }
    std::string home_;
};

TEST_F(CommandLine, VersionAndHelpAreData) {
    const Outcome version = gantry({"version"});
    EXPECT_EQ(version.status, 0);
    EXPECT_THAT(version.out, HasSubstr(kVersion));
    EXPECT_THAT(gantry({"--version"}).out, HasSubstr(commit()));
    const Outcome help = gantry({"--help"});
    EXPECT_EQ(help.status, 0);
    for (const char* verb : {"serve", "worker", "engine", "run", "ls", "ps", "deploy", "start", "stop", "sleep", "scale", "rm", "logs",
                             "devices", "workers", "requests", "compare", "bench", "benchmarks", "keys", "users", "routes", "providers", "usage",
                             "audit", "reset-password", "completion"}) {
        EXPECT_THAT(help.out, HasSubstr(verb));
    }
    EXPECT_THAT(help.out, HasSubstr("Exit status: "));
    const Outcome deploy = gantry({"deploy", "--help"});
    EXPECT_EQ(deploy.status, 0);
    EXPECT_THAT(deploy.out, HasSubstr("\nExamples:\n  gantry deploy smollm2 "));
}

TEST_F(CommandLine, WrongUsageIsTwo) {
    EXPECT_EQ(gantry({}).status, 2);
    EXPECT_EQ(gantry({"frobnicate"}).status, 2);
    EXPECT_EQ(gantry({"--frobnicate"}).status, 2);
    EXPECT_EQ(gantry({"deploy"}).status, 2);
    EXPECT_EQ(gantry({"deploy", "a", "--source", "x", "--replicas", "many"}).status, 2);
    EXPECT_EQ(gantry({"scale", "a", "65"}).status, 2);
    EXPECT_EQ(gantry({"compare", "a", "-n", "0"}).status, 2);
    EXPECT_EQ(gantry({"compare"}).status, 2);
    EXPECT_EQ(gantry({"compare", "--target", "a=ftp://x"}).status, 2);
    EXPECT_EQ(gantry({"benchmarks"}).status, 2);
    EXPECT_EQ(gantry({"benchmarks", "start"}).status, 2) << "nothing to measure";
    EXPECT_EQ(gantry({"benchmarks", "start", "a", "--concurrency", "0"}).status, 2);
    EXPECT_EQ(gantry({"benchmarks", "start", "a", "--concurrency", "257"}).status, 2);
    EXPECT_EQ(gantry({"benchmarks", "start", "a", "--requests", "8", "--duration", "9"}).status, 2);
    EXPECT_EQ(gantry({"benchmarks", "start", "a", "--kind", "stress"}).status, 2);
    EXPECT_EQ(gantry({"benchmarks", "start", "--target", "a=ftp://x"}).status, 2);
    EXPECT_EQ(gantry({"benchmarks", "show"}).status, 2);
    EXPECT_EQ(gantry({"benchmarks", "compare", "one"}).status, 2);
    EXPECT_EQ(gantry({"benchmarks", "rm"}).status, 2);
    EXPECT_EQ(gantry({"keys"}).status, 2);
    EXPECT_EQ(gantry({"requests", "cancel"}).status, 2);
    EXPECT_EQ(gantry({"routes"}).status, 2);
    EXPECT_EQ(gantry({"routes", "create", "r"}).status, 2);
    EXPECT_EQ(gantry({"routes", "create", "r", "--target", "a=much"}).status, 2);
    EXPECT_EQ(gantry({"routes", "edit", "r"}).status, 2);
    EXPECT_EQ(gantry({"providers"}).status, 2);
    EXPECT_EQ(gantry({"providers", "create", "p", "--model", "m"}).status, 2);
    const std::vector<std::string> create = {"providers", "create", "p", "--base-url", "http://x", "--model", "m"};
    for (const auto& [flag, value] : {std::pair("--api-key", std::string("k")), std::pair("--api-key-file", home_ + "/none")}) {
        std::vector<std::string> line = create;
        line.insert(line.end(), {flag, value});
        EXPECT_EQ(gantry(line).status, 2) << flag << ": a key is never on a command line";
    }
    EXPECT_EQ(gantry({"providers", "edit", "p"}).status, 2);
    EXPECT_EQ(gantry({"providers", "edit", "p", "--api-key-file", "f", "--no-api-key"}).status, 2);
    EXPECT_EQ(gantry({"keys", "create", "k", "--rpm", "many"}).status, 2);
    EXPECT_EQ(gantry({"keys", "create", "k", "--scope", "root"}).status, 2);
    EXPECT_EQ(gantry({"keys", "edit", "k"}).status, 2);
    EXPECT_EQ(gantry({"keys", "edit", "k", "--enable", "--disable"}).status, 2);
    EXPECT_EQ(gantry({"users", "edit", "ann"}).status, 2);
    EXPECT_EQ(gantry({"users", "edit", "ann", "--tpm", "0"}).status, 2);
    EXPECT_EQ(gantry({"completion", "tcsh"}).status, 2);
    EXPECT_EQ(gantry({"usage", "--by", "model,colour"}).status, 2);
    EXPECT_EQ(gantry({"usage", "--bucket", "week"}).status, 2);
    EXPECT_EQ(gantry({"devices", "--since", "1h"}).status, 2) << "of --history alone";
    EXPECT_EQ(gantry({"deploy", "a", "--source", "x", "--command", "'open"}).status, 2);
    EXPECT_EQ(gantry({"deploy", "a", "--source", "x", "--env", "NOVALUE"}).status, 2);
}

TEST_F(CommandLine, AnUnknownVerbGetsASuggestion) {
    const Outcome outcome = gantry({"depoly", "x"});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.err, HasSubstr("\"deploy\""));
    EXPECT_EQ(outcome.out, "") << "chatter belongs on stderr";
}

TEST_F(CommandLine, UnknownOptionsAndInnerVerbsGetOne) {
    const std::vector<std::pair<std::vector<std::string>, std::string>> lines = {
        {{"deploy", "a", "--source", "x", "--replcias", "2"}, "\"--replicas\""},
        {{"deploy", "a", "--soruce=x"}, "\"--source\""},
        {{"keys", "creaet", "x"}, "\"create\""},
        {{"keys", "create", "x", "--expiers", "1d"}, "\"--expires\""},
        {{"requests", "cancle", "x"}, "\"cancel\""}};
    for (const auto& [line, meant] : lines) {
        const Outcome outcome = gantry(line);
        EXPECT_EQ(outcome.status, 2) << line.back();
        EXPECT_THAT(outcome.err, HasSubstr("did you mean " + meant));
        EXPECT_THAT(outcome.err, HasSubstr("gantry " + line[0] + " --help"));
    }
    // What is missing is said first, so what it was mistyped as has to be, too.
    EXPECT_THAT(gantry({"engine", "--modle", "x"}).err, HasSubstr("--model is required; did you mean \"--model\" instead of \"--modle\"?"));
    EXPECT_THAT(gantry({"ps", "--frobnicate"}).err, testing::Not(HasSubstr("did you mean")));
}

TEST_F(CommandLine, WithoutAServerEveryVerbSaysWhatToDo) {
    const std::vector<std::vector<std::string>> lines = {
        {"ps"}, {"ls"}, {"requests"}, {"requests", "--watch"}, {"requests", "cancel", "x"},
        {"devices"}, {"devices", "--history"}, {"workers"}, {"keys", "list"}, {"routes", "list"}, {"routes", "edit", "r", "--fallback", "none"},
        {"providers", "list"}, {"providers", "create", "p", "--base-url", "http://x", "--model", "m"}, {"providers", "edit", "p", "--no-api-key"},
        {"providers", "test", "p"}, {"users", "list"}, {"usage"}, {"audit"}, {"logs", "a"}, {"stop", "a"}, {"sleep", "a"},
        {"instances", "events", "a"}, {"instances", "metrics", "a", "--follow"}, {"instances", "restart", "ins_a"}, {"instances", "why", "ins_a"},
        {"start", "a"}, {"scale", "a", "2"}, {"rm", "a", "--yes"}, {"run", "a", "hi"}, {"deploy", "a", "--source", "x"},
        {"compare", "a"}, {"bench", "a"}, {"benchmarks", "list"}, {"benchmarks", "start", "a"}, {"benchmarks", "show", "b"},
        {"benchmarks", "compare", "b", "c"}, {"benchmarks", "cancel", "b"}, {"benchmarks", "rm", "b"}, {"keys", "create", "k", "--rpm", "1"},
        {"keys", "edit", "k", "--rpm", "none"}, {"users", "edit", "ann", "--model", "none"}};
    for (const std::vector<std::string>& line : lines) {
        const Outcome outcome = gantry(line);
        EXPECT_EQ(outcome.status, 1) << line[0];
        EXPECT_THAT(outcome.err, HasSubstr("gantry serve")) << line[0];
        EXPECT_EQ(outcome.out, "") << line[0];
    }
}

TEST_F(CommandLine, AWorkerThatHasNotJoinedSaysHow) {
    const Outcome none = gantry({"worker", "--server", "http://x:1", "--data-dir", home_ + "/w"});
    EXPECT_EQ(none.status, 1);
    EXPECT_THAT(none.err, HasSubstr("gantry workers token create"));
    std::ofstream(home_ + "/token") << "gtk_nonsense\n";
    const Outcome wrong = gantry({"worker", "--server", "http://x:1", "--data-dir", home_ + "/w", "--token-file", home_ + "/token"});
    EXPECT_EQ(wrong.status, 1);
    EXPECT_THAT(wrong.err, HasSubstr("no join token"));
    EXPECT_EQ(gantry({"worker", "--server", "x"}).status, 2);
    EXPECT_EQ(gantry({"worker"}).status, 2);
}

TEST_F(CommandLine, ResetPasswordWithoutDataTouchesNothing) {
    const Outcome outcome = gantry({"reset-password", "admin"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("--data-dir"));
    EXPECT_TRUE(std::filesystem::is_empty(home_)) << "it must not make a database where there was none";
}

TEST_F(CommandLine, CompletionKnowsVerbsAndFlags) {
    for (const char* shell : {"bash", "zsh", "fish"}) {
        const Outcome outcome = gantry({"completion", shell});
        EXPECT_EQ(outcome.status, 0);
        for (const char* word : {"reset-password", "complet", "replicas", "max-tokens", "gantry ps -q", "gantry users list -q", "cancel"}) {
            EXPECT_THAT(outcome.out, HasSubstr(word)) << shell;
        }
    }
    // bash itself must find nothing wrong with it, and complete from it.
    const std::string script = home_ + "/completion.bash";
    FILE* file = std::fopen(script.c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fputs(gantry({"completion", "bash"}).out.c_str(), file);
    std::fputs("COMP_WORDS=(gantry de); COMP_CWORD=1; _gantry; [ \"${COMPREPLY[*]}\" = 'deploy devices' ] || exit 3\n"
               "COMP_WORDS=(gantry deploy --rep); COMP_CWORD=2; _gantry; [ \"${COMPREPLY[*]}\" = '--replicas' ] || exit 4\n"
               "COMP_WORDS=(gantry keys c); COMP_CWORD=2; _gantry; [ \"${COMPREPLY[*]}\" = 'create' ] || exit 5\n"
               "COMP_WORDS=(gantry keys create x --rp); COMP_CWORD=4; _gantry; [ \"${COMPREPLY[*]}\" = '--rpm' ] || exit 6\n"
               "gantry() { [ \"$*\" = 'ps -q' ] && echo tiny; [ \"$*\" = 'keys list -q' ] && echo ci; }\n"
               "COMP_WORDS=(gantry logs t); COMP_CWORD=2; _gantry; [ \"${COMPREPLY[*]}\" = 'tiny' ] || exit 7\n"
               "COMP_WORDS=(gantry keys rm c); COMP_CWORD=3; _gantry; [ \"${COMPREPLY[*]}\" = 'ci' ] || exit 8\n",
               file);
    std::fclose(file);
    EXPECT_EQ(std::system(("bash " + script).c_str()), 0);
}

}  // namespace
}  // namespace gantry::cli
