// The load client: all requests of a run on one io_context and one thread, so that a token's time is taken within microseconds
// of its bytes being readable. Token times are of events: a server that sends several tokens in one event shows it in its ITL.

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>
#include <exception>
#include <set>

#include "bench/bench.h"
#include "http/http.h"

namespace gantry::bench {
namespace {

// What an answer may hold at most, so that no target makes the client grow: tokens come one an event or several, never the other
// way round, and few have more than some bytes.
constexpr size_t kEventsATokenMax = 8;
constexpr size_t kBytesATokenMax = 1024;
constexpr size_t kTokensBeyondMax = 64;
constexpr size_t kErrorBodyBytesMax = 1 << 20;
constexpr size_t kErrorBytesMax = 500;

struct RunState {
    const Target& target;
    const Workload& workload;
    const Hooks& hooks;
    http::Client client;
    SteadyTime begun{};
    SteadyTime ended{};
    uint32_t next = 0;
    std::vector<RequestSample> samples;
    bool stopped = false;                            // by hooks.stop
    std::set<http::Canceller*> under_way{};          // requests, to be cut then
    std::set<http::asio::steady_timer*> waiting{};   // arrivals that are not due

    void stop() {
        stopped = true;
        for (http::Canceller* request : under_way) {
            request->cancel();
        }
        for (http::asio::steady_timer* timer : waiting) {
            timer->cancel();
        }
    }
    bool may_begin(SteadyTime now) const {
        const bool late = workload.begin_within_s > 0 && std::chrono::duration<double>(now - begun).count() >= workload.begin_within_s;
        return !stopped && !late && next < workload.requests;
    }
};

// Something stands in a set while this lives.
template <class T>
class Listed {
public:
    Listed(std::set<T*>& set, T& one) : set_(set), one_(one) { set_.insert(&one_); }
    ~Listed() { set_.erase(&one_); }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;

private:
    std::set<T*>& set_;
    T& one_;
};

double ms_between(SteadyTime from, SteadyTime to) { return std::chrono::duration<double, std::milli>(to - from).count(); }

json::object message_of(const char* role, const std::string& content) {
    json::object message;
    message["role"] = role;
    message["content"] = content;
    return message;
}

// What was said before in this request's conversation, and what it says.
json::array messages_of(const Workload& workload, const std::vector<RequestSample>& samples, uint32_t index) {
    json::array messages;
    for (uint32_t i = index - index % workload.turns; i <= index; ++i) {
        messages.push_back(message_of("user", workload.prompts[i % workload.prompts.size()]));
        if (i < index) {
            messages.push_back(message_of("assistant", samples[i].text));
        }
    }
    return messages;
}

uint32_t most_tokens(const Workload& workload, uint32_t index) {
    return workload.output_tokens.empty() ? workload.max_tokens : workload.output_tokens[index % workload.output_tokens.size()];
}

http::Client::Call make_call(const Target& target, const Workload& workload, json::array messages, uint32_t index) {
    json::object body;
    body["model"] = target.model;
    body["messages"] = std::move(messages);
    body["stream"] = true;
    json::object stream_options;
    stream_options["include_usage"] = true;
    body["stream_options"] = std::move(stream_options);
    body["max_tokens"] = most_tokens(workload, index);
    body["temperature"] = workload.temperature;
    body["seed"] = static_cast<int64_t>((workload.seed + index) & 0x7fffffff);
    if (workload.ignore_eos) {
        body["ignore_eos"] = true;
    }
    http::Client::Call call;
    call.method = "POST";
    call.target = target.base_path + "/chat/completions";
    call.headers.set("content-type", "application/json");
    call.headers.set("accept", "text/event-stream");
    if (!target.api_key.empty()) {
        call.headers.set("authorization", "Bearer " + target.api_key);
    }
    for (const auto& [name, value] : target.headers) {
        call.headers.set(name, value);
    }
    call.body = json::serialize(body);
    return call;
}

uint32_t number_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_number()) {
        return 0;
    }
    const double number = value->to_number<double>();
    return number > 0 && number < 4e9 ? static_cast<uint32_t>(number) : 0;
}

double milliseconds_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_number() ? value->to_number<double>() : -1;
}

const json::object* object_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr ? value->if_object() : nullptr;
}

// The error message in a body of the usual shape {"error":{"message":...}} or {"error":"..."}; else the start of the body.
std::string whole_error_text(const json::object* object, std::string_view body) {
    const json::value* error = object != nullptr ? object->if_contains("error") : nullptr;
    if (error != nullptr && error->is_string()) {
        return std::string(error->get_string());
    }
    if (error != nullptr && error->is_object()) {
        const json::value* message = error->get_object().if_contains("message");
        if (message != nullptr && message->is_string()) {
            return std::string(message->get_string());
        }
    }
    return std::string(body.substr(0, 200));
}

std::string error_text(const json::object* object, std::string_view body) {
    std::string text = whole_error_text(object, body);
    if (text.size() > kErrorBytesMax) {
        size_t end = kErrorBytesMax;
        while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
            --end;   // Characters stay whole.
        }
        text.resize(end);
        text += "...";
    }
    return text;
}

// What the chunks of one answer add up to.
struct Answer {
    RequestSample& sample;
    bool finished = false;    // a finish_reason was seen
    bool done = false;        // [DONE] was seen
};

// Text of a chunk: content, or reasoning under either of its two names; reasoning tokens count as tokens.
std::string text_of(const json::object& chunk, bool& finished) {
    std::string text;
    const json::value* choices = chunk.if_contains("choices");
    if (choices == nullptr || !choices->is_array()) {
        return text;
    }
    for (const json::value& choice : choices->get_array()) {
        if (!choice.is_object()) {
            continue;
        }
        const json::value* reason = choice.get_object().if_contains("finish_reason");
        finished = finished || (reason != nullptr && reason->is_string());
        const json::object* delta = object_at(choice.get_object(), "delta");
        for (const char* key : {"content", "reasoning_content", "reasoning"}) {
            const json::value* piece = delta != nullptr ? delta->if_contains(key) : nullptr;
            if (piece != nullptr && piece->is_string()) {
                text += piece->get_string();
            }
        }
    }
    return text;
}

void take_usage(RequestSample& sample, const json::object& chunk) {
    if (const json::object* usage = object_at(chunk, "usage")) {
        sample.counted_from_usage = true;
        sample.prompt_tokens = number_at(*usage, "prompt_tokens");
        sample.output_tokens = number_at(*usage, "completion_tokens");
        if (const json::object* details = object_at(*usage, "prompt_tokens_details")) {
            sample.cached_tokens = number_at(*details, "cached_tokens");
        }
    }
    if (const json::object* timings = object_at(chunk, "timings")) {
        sample.queue_ms = milliseconds_at(*timings, "queue_ms");
        // Our own names, and llama-server's.
        sample.prefill_ms = milliseconds_at(*timings, timings->contains("prefill_ms") ? "prefill_ms" : "prompt_ms");
        sample.decode_ms = milliseconds_at(*timings, timings->contains("decode_ms") ? "decode_ms" : "predicted_ms");
        if (sample.cached_tokens == 0) {
            sample.cached_tokens = number_at(*timings, "cache_n");
        }
    }
}

// Takes one event. False: the answer failed, sample.error says why.
bool take_event(RunState& state, uint32_t index, Answer& answer, const std::string& data, double at_ms) {
    if (data == "[DONE]") {
        answer.done = true;
        return true;
    }
    const Result<json::value> chunk = parse_json(data);
    if (!chunk || !chunk->is_object()) {
        answer.sample.error = "an event of the stream is no JSON object";
        return false;
    }
    const json::object& object = chunk->get_object();
    if (object.contains("error")) {
        answer.sample.error = error_text(&object, data);
        return false;
    }
    take_usage(answer.sample, object);
    const std::string text = text_of(object, answer.finished);
    if (!text.empty()) {
        answer.sample.token_ms.push_back(at_ms);
        answer.sample.text += text;
        if (state.hooks.on_token) {
            state.hooks.on_token(index, text);
        }
    }
    const size_t asked = most_tokens(state.workload, index) + kTokensBeyondMax;
    if (answer.sample.token_ms.size() > asked * kEventsATokenMax || answer.sample.text.size() > asked * kBytesATokenMax) {
        answer.sample.error = "the answer goes on far beyond the tokens asked for";
        return false;
    }
    return true;
}

http::Task<void> read_stream(RunState& state, uint32_t index, http::ClientResponse& response, SteadyTime due) {
    RequestSample& sample = state.samples[index];
    Answer answer{sample};
    http::SseReader reader;
    for (;;) {
        const Result<std::string> bytes = co_await response.read();
        const double at_ms = ms_between(due, std::chrono::steady_clock::now());
        if (!bytes) {
            sample.error = bytes.error().message;
            co_return;
        }
        if (bytes->empty()) {
            break;
        }
        const Result<std::vector<http::SseEvent>> events = reader.feed(*bytes);
        if (!events) {
            sample.error = events.error().message;
            co_return;
        }
        for (const http::SseEvent& event : *events) {
            if (!take_event(state, index, answer, event.data, at_ms)) {
                co_return;
            }
        }
    }
    if (!answer.done && !answer.finished) {
        sample.error = "the stream ended early, without a finish reason";
        co_return;
    }
    sample.ok = true;
}

// `due`: from when its times count.
http::Task<void> send_one(RunState& state, uint32_t index, SteadyTime due) {
    RequestSample& sample = state.samples[index];
    sample.turn = index % state.workload.turns;
    http::Client::Call call = make_call(state.target, state.workload, messages_of(state.workload, state.samples, index), index);
    sample.start_s = ms_between(state.begun, due) / 1000;
    http::Canceller canceller;
    const Listed listed(state.under_way, canceller);
    Result<std::unique_ptr<http::ClientResponse>> response = co_await state.client.send(state.target.endpoint, std::move(call), canceller);
    if (!response) {
        sample.error = response.error().message;
    } else if ((*response)->status() != 200) {
        const Result<std::string> body = co_await (*response)->read_all();
        const std::string text = body ? *body : std::string();
        const Result<json::value> value = parse_json(text);
        const json::object* object = value ? value->if_object() : nullptr;
        sample.error = fmt::format("status {}: {}", (*response)->status(), error_text(object, text));
    } else {
        co_await read_stream(state, index, **response, due);
    }
    state.ended = std::chrono::steady_clock::now();
    sample.e2e_ms = sample.token_ms.empty() ? ms_between(due, state.ended) : sample.token_ms.back();
    sample.ttft_ms = sample.token_ms.empty() ? 0 : sample.token_ms.front();
    if (!sample.counted_from_usage) {
        sample.output_tokens = static_cast<uint32_t>(sample.token_ms.size());
    }
    if (state.hooks.on_request && !state.stopped) {
        state.hooks.on_request(sample);
    }
}

// A lane of a closed loop: one conversation after the other.
http::Task<void> lane(RunState& state) {
    const uint32_t turns = state.workload.turns;
    while (state.may_begin(std::chrono::steady_clock::now())) {
        const uint32_t first = state.next;
        state.next += turns;
        for (uint32_t index = first; index < first + turns && !state.stopped; ++index) {
            if (index > first && !state.samples[index - 1].ok) {
                state.samples[index].turn = index - first;
                state.samples[index].error = "an earlier turn of this conversation failed";
                continue;
            }
            co_await send_one(state, index, std::chrono::steady_clock::now());
        }
    }
}

// One request of an open loop.
http::Task<void> arrival(RunState& state, uint32_t index) {
    const auto after = std::chrono::duration<double>(state.workload.arrivals_s[index]);
    const SteadyTime due = state.begun + std::chrono::duration_cast<SteadyTime::duration>(after);
    http::asio::steady_timer timer(co_await http::asio::this_coro::executor);
    timer.expires_at(due);
    boost::system::error_code ignored;
    {
        const Listed listed(state.waiting, timer);
        co_await timer.async_wait(http::asio::redirect_error(http::asio::use_awaitable, ignored));
    }
    if (state.stopped) {
        co_return;
    }
    state.samples[index].late_ms = ms_between(due, std::chrono::steady_clock::now());
    co_await send_one(state, index, due);
}

// Runs all of `work` on `io`; empty: done, else what was thrown.
std::string run_all(http::asio::io_context& io, std::vector<http::Task<void>> work) {
    std::string failure;
    size_t running = work.size();
    for (http::Task<void>& task : work) {
        http::asio::co_spawn(io, std::move(task), [&failure, &running, &io](std::exception_ptr thrown) {
            if (--running == 0) {
                io.stop();  // Kept connections may still have timers; nobody needs them.
            }
            if (thrown) {
                try {
                    std::rethrow_exception(thrown);
                } catch (const std::exception& exception) {
                    failure = exception.what();
                }
            }
        });
    }
    try {
        io.run();
    } catch (const std::exception& exception) {
        failure = exception.what();
    }
    return failure;
}

double thread_cpu_s() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Status check(const Workload& workload) {
    if (workload.prompts.empty() || workload.concurrency == 0 || workload.requests == 0) {
        return invalid_argument("a run needs at least one prompt, one request and a concurrency of one");
    }
    const bool open = !workload.arrivals_s.empty();
    if (workload.turns == 0 || workload.requests % workload.turns != 0 || (open && workload.turns > 1)) {
        return invalid_argument("conversations have all their turns, one after the other");
    }
    if (open && workload.begin_within_s > 0) {
        return invalid_argument("requests that come by a rate end with the last of them, not by time");
    }
    if (open && workload.arrivals_s.size() != workload.requests) {
        return invalid_argument("an open loop needs the time of each request's arrival");
    }
    return Ok{};
}

}  // namespace

Result<Run> run(const Target& target, const Workload& workload, const Hooks& hooks) {
    GANTRY_TRY(check(workload));
    const double cpu_before = thread_cpu_s();
    http::asio::io_context io(1);
    http::ClientOptions client_options;
    client_options.ca_file = target.ca_file;
    client_options.body_bytes = kErrorBodyBytesMax;
    RunState state{target, workload, hooks, http::Client(io, client_options), {}, {}, 0, std::vector<RequestSample>(workload.requests)};
    const bool open = !workload.arrivals_s.empty();
    const uint32_t lanes = open ? workload.requests : std::min(workload.concurrency, workload.requests / workload.turns);
    std::vector<http::Task<void>> work;
    for (uint32_t i = 0; i < lanes; ++i) {
        work.push_back(open ? arrival(state, i) : lane(state));
    }
    state.begun = std::chrono::steady_clock::now();
    // Goes before the two that it refers to; what it posts too late is never run.
    const std::stop_callback stopping(hooks.stop, [&io, &state] { http::asio::post(io, [&state] { state.stop(); }); });
    const std::string failure = run_all(io, std::move(work));
    if (!failure.empty()) {
        return internal_error(fmt::format("the measuring client failed: {}", failure));
    }
    if (state.stopped) {
        return Error{ErrorCode::kCancelled, "the run was stopped", {}, {}};
    }
    if (!open) {
        state.samples.resize(std::min<size_t>(state.next, state.samples.size()));   // Of a run by time: what was sent.
    }
    Run result;
    result.concurrency = workload.concurrency;
    result.wall_s = ms_between(state.begun, state.ended) / 1000;
    result.client_cpu_s = thread_cpu_s() - cpu_before;
    result.offered_rate = workload.offered_rate;
    result.samples = std::move(state.samples);
    finish(result);
    return result;
}

}  // namespace gantry::bench
