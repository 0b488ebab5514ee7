#include "engine_server/answer_format.h"

#include <chat-auto-parser.h>
#include <chat.h>
#include <log.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/log.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::ChatRequest;

std::string trimmed(const std::string& text) {
    const size_t first = text.find_first_not_of(" \t\r\n");
    const size_t last = text.find_last_not_of(" \t\r\n");
    return first == std::string::npos ? std::string() : text.substr(first, last - first + 1);
}

// Brackets open at once, those inside strings too: an upper bound.
bool too_deep(std::string_view text) {
    int depth = 0;
    for (const char c : text) {
        depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
        depth = std::max(depth, 0);
        if (depth > CallReader::kDepthMax) {
            return true;
        }
    }
    return false;
}

class LlamaCallReader final : public CallReader {
public:
    explicit LlamaCallReader(common_chat_parser_params params) : params_(std::move(params)) {}

    std::optional<ReadAnswer> read(const std::string& text, bool partial) const override {
        if (text.size() > kTextMax || too_deep(text)) {
            return std::nullopt;
        }
        try {
            const common_chat_msg message = common_chat_peg_parse(params_.parser, text, partial, params_);
            ReadAnswer answer{message.reasoning_content, message.content, {}};
            for (const common_chat_tool_call& call : message.tool_calls) {
                answer.calls.push_back({call.name, call.arguments});
            }
            return answer;
        } catch (const std::exception&) {
            return std::nullopt;
        }
    }

private:
    common_chat_parser_params params_;
};

// The tools as llama.cpp wants them, each with its parameters.
common_json tools_of(const ChatRequest& request) {
    return common_json::parse(json::serialize(request.tools));
}

common_json sample_messages() {
    return common_json::parse(R"([{"role":"user","content":"Hello"}])");
}

}  // namespace

struct AnswerFormat::State {
    explicit State(const common_chat_template& its) : chat_template(its) {}

    const common_chat_template& chat_template;
    bool special = false;  // a family of its own: llama.cpp has a parser written for it
    bool tools = false;
    autoparser::autoparser found;
    std::string reasoning_start;
    std::string reasoning_end;
    std::vector<std::string> kept_tokens;

    autoparser::generation_params parameters(const ChatRequest* request) const {
        autoparser::generation_params inputs;
        inputs.messages = sample_messages();
        inputs.tools = request == nullptr ? common_json::array({}) : tools_of(*request);
        inputs.add_generation_prompt = true;
        inputs.parallel_tool_calls = request == nullptr || request->parallel_tool_calls;
        inputs.enable_thinking = request == nullptr || request->enable_thinking.value_or(true);
        inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
        return inputs;
    }
};

AnswerFormat::AnswerFormat(std::unique_ptr<State> state) : state_(std::move(state)) {}
AnswerFormat::AnswerFormat(AnswerFormat&&) noexcept = default;
AnswerFormat& AnswerFormat::operator=(AnswerFormat&&) noexcept = default;
AnswerFormat::~AnswerFormat() = default;

AnswerFormat AnswerFormat::find(const common_chat_template& chat_template) {
    // Its warnings quote what models wrote.
    common_log_set_verbosity_thold(LOG_LEVEL_ERROR - 1);
    auto state = std::make_unique<State>(chat_template);
    try {
        autoparser::generation_params inputs = state->parameters(nullptr);
        if (const auto known = common_chat_try_specialized_template(chat_template, chat_template.source(), inputs)) {
            state->special = true;
            state->tools = chat_template.original_caps().supports_tool_calls;
            state->kept_tokens = known->preserved_tokens;
        } else {
            state->found.analyze_template(chat_template);
            const autoparser::autoparser& found = state->found;
            state->tools = found.tools.format.mode != autoparser::tool_format::NONE && found.jinja_caps.supports_tool_calls;
            if (found.reasoning.mode != autoparser::reasoning_mode::NONE) {
                state->reasoning_start = trimmed(found.reasoning.start);
                state->reasoning_end = trimmed(found.reasoning.end);
            }
            state->kept_tokens = found.preserved_tokens;
        }
    } catch (const std::exception& failure) {
        log::warn("the model's form of reasoning and tool calls is not known: {}", failure.what());
        state = std::make_unique<State>(chat_template);
    }
    return AnswerFormat(std::move(state));
}

bool AnswerFormat::knows_tools() const { return state_->tools; }

const std::vector<std::string>& AnswerFormat::kept_tokens() const { return state_->kept_tokens; }

AnswerSyntax AnswerFormat::syntax(const ChatRequest& request, std::string_view prompt_end) const {
    AnswerSyntax syntax;
    syntax.parallel_calls = request.parallel_tool_calls;
    if (state_->special) {
        autoparser::generation_params inputs = state_->parameters(&request);
        // Its reader sees the answer as the model wrote it, channels and all.
        const auto known = common_chat_try_specialized_template(state_->chat_template, state_->chat_template.source(), inputs);
        common_chat_parser_params params(known.value());
        params.reasoning_format = inputs.reasoning_format;
        params.parser.load(known->parser);
        syntax.whole = true;
        syntax.reader = std::make_shared<LlamaCallReader>(std::move(params));
        return syntax;
    }
    syntax.reasoning_start = state_->reasoning_start;
    syntax.reasoning_end = state_->reasoning_end;
    if (!syntax.reasoning_end.empty() && !syntax.reasoning_start.empty()) {
        const size_t start = prompt_end.rfind(syntax.reasoning_start);
        const size_t end = prompt_end.rfind(syntax.reasoning_end);
        syntax.reasoning_open = start != std::string_view::npos && (end == std::string_view::npos || end < start) &&
                                prompt_end.find_first_not_of(" \t\r\n", start + syntax.reasoning_start.size()) ==
                                    std::string_view::npos;
    } else if (!syntax.reasoning_end.empty()) {
        syntax.reasoning_open = request.enable_thinking.value_or(true);  // it begins without a word
    }
    if (!request.tools.empty() && state_->tools) {
        const autoparser::tool_format_analysis& form = state_->found.tools.format;
        const std::string& marker = form.section_start.empty() ? form.per_call_start : form.section_start;
        syntax.call_starts = {marker.empty() ? "{" : trimmed(marker)};
        autoparser::generation_params inputs = state_->parameters(&request);
        inputs.reasoning_format = COMMON_REASONING_FORMAT_NONE;  // set apart already
        common_chat_parser_params params;
        params.format = COMMON_CHAT_FORMAT_PEG_NATIVE;
        params.parser = state_->found.build_parser(inputs, {});
        syntax.reader = std::make_shared<LlamaCallReader>(std::move(params));
    }
    return syntax;
}

}  // namespace gantry::engine_server
