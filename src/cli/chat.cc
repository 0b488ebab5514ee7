#include "cli/chat.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <exception>

#include "cli/output.h"

namespace gantry::cli {
namespace {

using OnText = std::function<void(const std::string&, bool)>;

http::Client::Call make_call(const ApiClient& api, const ChatOptions& options, const json::array& messages) {
    json::object body;
    body["model"] = options.model;
    body["messages"] = messages;
    body["stream"] = true;
    json::object stream_options;
    stream_options["include_usage"] = true;
    body["stream_options"] = std::move(stream_options);
    if (options.temperature >= 0) {
        body["temperature"] = options.temperature;
    }
    if (options.max_tokens > 0) {
        body["max_tokens"] = options.max_tokens;
    }
    http::Client::Call call;
    call.method = "POST";
    call.target = "/v1/chat/completions";
    call.headers = api.headers();
    call.headers.set("content-type", "application/json");
    call.headers.set("accept", "text/event-stream");
    call.body = json::serialize(body);
    return call;
}

// Takes one chunk; an Error when it carries one.
Status take_chunk(const json::object& chunk, ChatAnswer& answer, const OnText& on_text) {
    if (const json::object& error = object_at(chunk, "error"); !error.empty()) {
        return internal_error(text_at(error, "message"));
    }
    for (const json::value& choice : array_at(chunk, "choices")) {
        if (!choice.is_object()) {
            continue;
        }
        const json::object& delta = object_at(choice.get_object(), "delta");
        const std::string reasoning = text_at(delta, "reasoning_content");
        if (!reasoning.empty()) {
            on_text(reasoning, true);
        }
        const std::string content = text_at(delta, "content");
        if (!content.empty()) {
            answer.text += content;
            on_text(content, false);
        }
        if (const std::string reason = text_at(choice.get_object(), "finish_reason"); !reason.empty()) {
            answer.finish_reason = reason;
        }
    }
    if (const json::object& usage = object_at(chunk, "usage"); !usage.empty()) {
        answer.output_tokens = static_cast<uint32_t>(number_at(usage, "completion_tokens"));
    }
    return Ok{};
}

http::Task<Status> receive(http::ClientResponse& response, ChatAnswer& answer, const OnText& on_text) {
    http::SseReader reader;
    for (;;) {
        const Result<std::string> bytes = co_await response.read();
        if (!bytes) {
            co_return bytes.error();
        }
        if (bytes->empty()) {
            break;
        }
        const Result<std::vector<http::SseEvent>> events = reader.feed(*bytes);
        if (!events) {
            co_return events.error();
        }
        for (const http::SseEvent& event : *events) {
            const Result<json::value> chunk = parse_json(event.data);
            if (!chunk || !chunk->is_object()) {
                continue;  // [DONE]
            }
            Status taken = take_chunk(chunk->get_object(), answer, on_text);
            if (!taken) {
                co_return taken;
            }
        }
    }
    if (answer.finish_reason.empty()) {
        co_return unavailable("the answer broke off; the engine's log says why (`gantry logs`)");
    }
    co_return Ok{};
}

http::Task<void> converse(const ApiClient& api, http::Client& client, http::Client::Call call, http::Canceller stop,
                          ChatAnswer& answer, const OnText& on_text, Status& status) {
    const std::string endpoint = api.server().endpoint;
    Result<std::unique_ptr<http::ClientResponse>> response = co_await client.send(endpoint, std::move(call), stop);
    if (!response) {
        status = api.explained(response.error());
        co_return;
    }
    if ((*response)->status() != 200) {
        const Result<std::string> body = co_await (*response)->read_all();
        status = error_of((*response)->status(), body ? *body : "");
        co_return;
    }
    status = co_await receive(**response, answer, on_text);
}

}  // namespace

Result<ChatAnswer> chat(const ApiClient& api, const ChatOptions& options, const json::array& messages, const OnText& on_text) {
    http::asio::io_context io(1);
    http::Client client(io, api.client_options());
    http::Canceller stop;
    ChatAnswer answer;
    Status status = Ok{};
    http::asio::signal_set interrupt(io, SIGINT);
    interrupt.async_wait([&](const boost::system::error_code& failure, int) {
        if (!failure) {
            answer.cancelled = true;
            stop.cancel();
        }
    });
    http::Client::Call call = make_call(api, options, messages);
    http::asio::co_spawn(io, converse(api, client, std::move(call), stop, answer, on_text, status), [&](std::exception_ptr thrown) {
        if (thrown) {
            status = internal_error("the client failed");
        }
        io.stop();
    });
    io.run();
    if (!status && !answer.cancelled) {
        return status.error();
    }
    return answer;
}

}  // namespace gantry::cli
