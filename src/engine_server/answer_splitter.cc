#include "engine_server/answer_splitter.h"

#include <algorithm>
#include <utility>

namespace gantry::engine_server {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

size_t without_space(std::string_view text) {
    const size_t last = text.find_last_not_of(kSpace);
    return last == std::string_view::npos ? 0 : last + 1;
}

// Bytes of `text` before what may be the beginning of `marker`; white space before it belongs to it.
size_t clear_of(std::string_view text, std::string_view marker) {
    size_t held = std::min(text.size(), marker.size() - 1);
    while (!text.ends_with(marker.substr(0, held))) {
        --held;
    }
    return without_space(text.substr(0, text.size() - held));
}

// What `now` has beyond `before`, which becomes `now`. Nothing where it does not go on from there: what was said can't be taken back.
std::string_view advance(std::string& before, const std::string& now) {
    if (!now.starts_with(before)) {
        return {};
    }
    const std::string_view more = std::string_view(now).substr(before.size());
    before = now;
    return more;
}

}  // namespace

AnswerSplitter::AnswerSplitter(std::shared_ptr<const AnswerSyntax> syntax) : syntax_(std::move(syntax)) {
    if (!syntax_) {
        return;
    }
    if (!syntax_->forced.empty()) {
        state_ = State::kForced;
        force();  // the only one may have begun in the prompt
    } else if (syntax_->whole) {
        state_ = State::kCalls;
    } else if (syntax_->reasoning_open) {
        state_ = State::kReasoning;
        skip_space_ = true;
    } else if (!syntax_->reasoning_end.empty() || syntax_->reader) {
        state_ = State::kStart;
    }
}

void AnswerSplitter::push(std::string_view text) {
    if (!syntax_) {
        content += text;
        return;
    }
    pending_ += text;
    run(false);
}

void AnswerSplitter::finish() {
    if (syntax_) {
        run(true);
    }
}

void AnswerSplitter::run(bool last) {
    for (bool goes_on = true; goes_on;) {
        switch (state_) {
            case State::kStart: goes_on = start(last); break;
            case State::kReasoning: goes_on = reason(last); break;
            case State::kContent: goes_on = say(last); break;
            case State::kForced: goes_on = force(); break;
            case State::kArguments:
                if (!pending_.empty()) {
                    pieces.push_back({0, {}, std::exchange(pending_, {})});
                }
                return;
            case State::kCalls: read_calls(last); return;
        }
    }
}

// Whether the answer begins with reasoning, or right away with a call.
bool AnswerSplitter::start(bool last) {
    const size_t first = pending_.find_first_not_of(kSpace);
    const std::string_view text = first == std::string::npos ? std::string_view() : std::string_view(pending_).substr(first);
    const std::string& marker = syntax_->reasoning_start;
    const bool may_reason = !syntax_->reasoning_end.empty() && !marker.empty();
    if (!last && (text.empty() || (may_reason && text.size() < marker.size() && marker.starts_with(text)))) {
        return false;
    }
    if (may_reason && text.starts_with(marker)) {
        pending_.erase(0, first + marker.size());
        state_ = State::kReasoning;
        skip_space_ = true;
        return true;
    }
    const auto& starts = syntax_->call_starts;
    if (text.starts_with('{') && std::find(starts.begin(), starts.end(), "{") != starts.end()) {
        pending_.erase(0, first);
        state_ = State::kCalls;
        return true;
    }
    state_ = State::kContent;
    return true;
}

void AnswerSplitter::skip_space() {
    if (skip_space_) {
        pending_.erase(0, std::min(pending_.find_first_not_of(kSpace), pending_.size()));
        skip_space_ = pending_.empty();
    }
}

bool AnswerSplitter::reason(bool last) {
    skip_space();
    const std::string& marker = syntax_->reasoning_end;
    const size_t end = pending_.find(marker);
    if (end != std::string::npos) {
        reasoning.append(pending_, 0, without_space(std::string_view(pending_).substr(0, end)));
        pending_.erase(0, end + marker.size());
        state_ = State::kContent;
        skip_space_ = true;
        return true;
    }
    const size_t clear = last ? pending_.size() : clear_of(pending_, marker);
    reasoning.append(pending_, 0, clear);
    pending_.erase(0, clear);
    return false;
}

bool AnswerSplitter::say(bool last) {
    skip_space();
    size_t clear = pending_.size();
    for (const std::string& marker : syntax_->call_starts) {
        if (!syntax_->reader || marker == "{") {
            continue;
        }
        const size_t begin = pending_.find(marker);
        if (begin != std::string::npos) {
            content.append(pending_, 0, without_space(std::string_view(pending_).substr(0, begin)));
            pending_.erase(0, begin);
            state_ = State::kCalls;
            return true;
        }
        clear = std::min(clear, clear_of(pending_, marker));
    }
    clear = last ? pending_.size() : clear;
    content.append(pending_, 0, clear);
    pending_.erase(0, clear);
    return false;
}

// The beginnings can't be told apart by their names alone, as one may be the beginning of another's.
bool AnswerSplitter::force() {
    for (const ForcedCall& call : syntax_->forced) {
        if (pending_.starts_with(call.begin)) {
            pending_.erase(0, call.begin.size());
            pieces.push_back({0, call.name, {}});
            calls_ = 1;
            state_ = State::kArguments;
            return true;
        }
    }
    return false;
}

void AnswerSplitter::read_calls(bool last) {
    if (!last && (pending_.size() < read_at_ || pending_.size() > CallReader::kTextMax)) {
        return;
    }
    read_at_ = pending_.size() + std::max(kReadFirst, pending_.size() / 4);
    std::optional<ReadAnswer> answer = syntax_->reader->read(pending_, !last);
    if (!answer && last) {
        // Cut short, or not of the form after all: what can be read of it, else its text.
        answer = syntax_->reader->read(pending_, true);
        const bool readable = answer && (!answer->calls.empty() || !answer->content.empty() || !answer->reasoning.empty());
        if (!readable && calls_ == 0) {
            answer = ReadAnswer{taken_.reasoning, pending_, {}};
        }
    }
    if (answer) {
        take(*answer, last);
    }
}

void AnswerSplitter::take(const ReadAnswer& answer, bool last) {
    reasoning += advance(taken_.reasoning, answer.reasoning);
    content += advance(taken_.content, answer.content);
    const size_t most = syntax_->parallel_calls ? answer.calls.size() : std::min<size_t>(answer.calls.size(), 1);
    for (size_t i = 0; i < most; ++i) {
        const ReadCall& call = answer.calls[i];
        // Its name may still grow while it is the last one and has no arguments.
        if (!last && i + 1 == answer.calls.size() && call.arguments.empty()) {
            break;
        }
        if (i == calls_) {
            ++calls_;
            taken_.calls.push_back({call.name, {}});
            pieces.push_back({static_cast<uint32_t>(i), call.name, {}});
        }
        const std::string_view more = advance(taken_.calls[i].arguments, call.arguments);
        if (!more.empty()) {
            pieces.push_back({static_cast<uint32_t>(i), {}, std::string(more)});
        }
    }
}

}  // namespace gantry::engine_server
