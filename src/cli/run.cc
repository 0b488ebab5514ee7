// `gantry run`: a chat in the terminal, or one answer.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <iterator>
#include <optional>

#include "cli/chat.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr size_t kPromptBytesMax = 16u << 20;

struct Options {
    ChatOptions chat;
    std::vector<std::string> prompt;
    std::string system;
};

json::object message(const char* role, const std::string& content) {
    json::object made;
    made["role"] = role;
    made["content"] = content;
    return made;
}

void interrupted(int) {}

// A line from the terminal. Nothing: Ctrl-D. An empty line after Ctrl-C.
std::optional<std::string> read_line() {
    // No SA_RESTART: Ctrl-C must wake the read, so that it throws the line away instead of ending the chat.
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = interrupted;
    sigaction(SIGINT, &action, &before);
    std::string line;
    std::optional<std::string> result;
    for (;;) {
        char buffer[4096];
        const ssize_t got = read(STDIN_FILENO, buffer, sizeof(buffer));
        if (got < 0 && errno == EINTR) {
            std::fputs("\n(Ctrl-D leaves)\n", stderr);
            result = "";
            break;
        }
        if (got <= 0) {
            if (!line.empty()) {
                result = line;
            }
            break;
        }
        line.append(buffer, static_cast<size_t>(got));
        if (line.back() == '\n') {
            line.pop_back();
            result = line;
            break;
        }
    }
    sigaction(SIGINT, &before, nullptr);
    return result;
}

std::string read_all_of_stdin() {
    std::string text;
    char buffer[65536];
    while (text.size() < kPromptBytesMax) {
        const size_t got = std::fread(buffer, 1, sizeof(buffer), stdin);
        if (got == 0) {
            break;
        }
        text.append(buffer, got);
    }
    return text;
}

Result<ChatAnswer> answer_one(const ApiClient& api, const Options& options, const json::array& messages) {
    Progress progress(true);
    progress.show("waiting for the first token");
    bool in_reasoning = false;
    const bool colour = colours();
    Result<ChatAnswer> answer = chat(api, options.chat, messages, [&](const std::string& piece, bool reasoning) {
        progress.clear();
        if (reasoning != in_reasoning) {
            print(in_reasoning ? (colour ? "\x1b[0m\n\n" : "\n\n") : (colour ? "\x1b[2m" : ""));
            in_reasoning = reasoning;
        }
        print(piece);
        std::fflush(stdout);
    });
    progress.clear();
    if (in_reasoning && colour) {
        print("\x1b[0m");
    }
    return answer;
}

int one_answer(const ApiClient& api, const Options& options, const std::string& prompt) {
    json::array messages;
    if (!options.system.empty()) {
        messages.push_back(message("system", options.system));
    }
    messages.push_back(message("user", prompt));
    const Result<ChatAnswer> answer = answer_one(api, options, messages);
    if (!answer) {
        return fail(answer.error());
    }
    print("\n");
    return flushed(answer->cancelled ? kFailed : kDone);
}

int conversation(const ApiClient& api, const Options& options) {
    note(fmt::format("Talking to {}. Ctrl-C cancels an answer, /clear forgets what was said, Ctrl-D leaves.", options.chat.model));
    json::array messages;
    const auto forget = [&] {
        messages.clear();
        if (!options.system.empty()) {
            messages.push_back(message("system", options.system));
        }
    };
    forget();
    for (;;) {
        std::fputs(">>> ", stderr);
        std::fflush(stderr);
        const std::optional<std::string> line = read_line();
        if (!line || *line == "/bye" || *line == "/exit") {
            note("");
            return flushed(kDone);
        }
        if (*line == "/clear") {
            forget();
            continue;
        }
        if (line->find_first_not_of(" \t") == std::string::npos) {
            continue;
        }
        messages.push_back(message("user", *line));
        const Result<ChatAnswer> answer = answer_one(api, options, messages);
        print("\n");
        std::fflush(stdout);
        if (!answer) {
            fail(answer.error());
            messages.pop_back();
            continue;
        }
        if (answer->cancelled) {
            note("(cancelled)");
        }
        messages.push_back(message("assistant", answer->text));
    }
}

int run(const Context& context, const Options& options) {
    const Result<ApiClient> api = ApiClient::connect(context);
    if (!api) {
        return fail(api.error());
    }
    // Keys of plain users may not see deployments, so a failure other than "not found" is left to the request itself.
    const Result<json::object> deployment = api->deployment(options.chat.model);
    if (!deployment && deployment.error().code == ErrorCode::kNotFound) {
        return fail(deployment.error());
    }
    std::string prompt;
    bool from_stdin = options.prompt.empty() && isatty(STDIN_FILENO) != 1;
    for (const std::string& word : options.prompt) {
        if (word == "-") {
            from_stdin = true;
        } else {
            prompt += (prompt.empty() ? "" : " ") + word;
        }
    }
    if (from_stdin) {
        const std::string piped = read_all_of_stdin();
        prompt += (prompt.empty() || piped.empty() ? "" : "\n\n") + piped;
    }
    if (from_stdin || !options.prompt.empty()) {
        if (prompt.find_first_not_of(" \t\r\n") == std::string::npos) {
            fail(std::string("the prompt is empty; give it as words after the model, or through stdin"));
            return kWrongUsage;
        }
        return one_answer(*api, options, prompt);
    }
    return conversation(*api, options);
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("run", "talk to a model in the terminal, or get one answer to PROMPT");
    Options& options = context.own<Options>();
    verb->add_option("MODEL", options.chat.model, "a deployment")->required();
    verb->add_option("PROMPT", options.prompt, "the question; without it stdin is read where it is no terminal. A word - takes stdin in");
    verb->add_option("--system", options.system, "a system message")->type_name("TEXT");
    verb->add_option("--temperature", options.chat.temperature, "0 always takes the likeliest token")->type_name("T");
    verb->add_option("--max-tokens", options.chat.max_tokens, "longest answer")->type_name("N");
    add_client_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return run(context, options); }; });
}

}  // namespace gantry::cli
