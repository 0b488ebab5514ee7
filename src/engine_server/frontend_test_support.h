#pragma once
// For this folder's tests: the endpoints over real sockets, with a FakeRunner behind them that can be
// held inside a forward.

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <functional>
#include <future>
#include <thread>

#include "base/json.h"
#include "engine/fake_runner.h"
#include "engine_server/frontend.h"
#include "engine_server/letter_tokenizer_for_test.h"

namespace gantry::engine_server {

namespace asio = http::asio;

inline constexpr uint32_t kContext = 256;

// Holds the engine's thread inside forward() until let go, and can make it fail.
class Gate {
public:
    std::optional<Result<engine::ForwardOutcome>> pass() {
        std::unique_lock lock(mutex_);
        ++arrived_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return permits_ != 0; });
        if (permits_ > 0) {
            --permits_;
        }
        if (fail_after_ > 0 && --fail_after_ == 0) {
            return Result<engine::ForwardOutcome>(internal_error("the fake device is gone"));
        }
        return std::nullopt;
    }
    void open() { permit(-1); }
    void permit(int forwards) {
        set([this, forwards] { permits_ = forwards; });
    }
    void fail_at(int forward) {
        set([this, forward] { fail_after_ = forward; });
    }
    int arrived() {
        const std::lock_guard lock(mutex_);
        return arrived_;
    }
    bool wait_arrived(int times) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return arrived_ >= times; });
    }

private:
    template <class Change>
    void set(Change change) {
        const std::lock_guard lock(mutex_);
        change();
        changed_.notify_all();
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    int permits_ = -1;  // negative: any number
    int arrived_ = 0;
    int fail_after_ = 0;
};

class FrontendRig : public testing::Test {
protected:
    FrontendRig() : work_(asio::make_work_guard(io_)) {}

    void start(FrontendOptions options = {"", "letters", ""}, engine::EngineConfig config = {}) {
        frontend_ = std::make_unique<Frontend>(io_, std::move(options));
        Result<uint16_t> port = frontend_->server().listen_tcp("127.0.0.1", 0, "engine");
        ASSERT_TRUE(port.ok());
        endpoint_ = "tcp:127.0.0.1:" + std::to_string(*port);
        config_ = config;
        thread_ = std::thread([this] { io_.run(); });
    }

    void load(uint32_t context_tokens = kContext) {
        auto model = std::make_unique<LoadedModel>();
        auto tokenizer = std::make_unique<LetterTokenizer>();
        tokenizer->on_tokenize = on_tokenize_;
        model->tokenizer = std::move(tokenizer);
        model->chat_template = std::move(
            *ChatTemplate::create("{% for m in messages %}{{ m.content }}{% endfor %}", "", ""));
        engine::FakeRunnerOptions fake;
        fake.capacity = {.context_tokens = context_tokens,
                         .slots = 8,
                         .batch_rows = 64,
                         .vocabulary = kVocabulary};
        fake.on_forward = [this](const engine::Batch&) { return gate_.pass(); };
        auto runner = std::make_unique<engine::FakeRunner>(std::move(fake));
        model->capacity = runner->capacity();
        model->description = "arithmetic";
        config_.calibrate = false;   // tests count forwards
        model->engine = engine::Engine::start(std::move(runner), config_);
        engine_ = model->engine.get();
        model_ = model.get();
        std::promise<void> done;
        asio::post(io_, [&] {
            frontend_->set_model(std::move(model));
            done.set_value();
        });
        done.get_future().wait();
    }

    void TearDown() override {
        if (!thread_.joinable()) {
            return;
        }
        gate_.open();
        auto stop = [](Frontend& frontend, asio::io_context& io) -> http::Task<void> {
            co_await frontend.stop(Deadline::after(std::chrono::seconds(1)));
            io.stop();
        };
        asio::co_spawn(io_, stop(*frontend_, io_), asio::detached);
        thread_.join();
        frontend_.reset();
    }

    http::SimpleResponse call(const std::string& method, const std::string& target,
                              const std::string& body = "", http::Headers headers = {}) {
        Result<http::SimpleResponse> response =
            http::fetch(endpoint_, {method, target, std::move(headers), body});
        EXPECT_TRUE(response.ok()) << (response.ok() ? "" : response.error().message);
        return response.ok() ? *response : http::SimpleResponse{};
    }
    json::object post(const std::string& target, const std::string& body, int status) {
        const http::SimpleResponse response = call("POST", target, body);
        EXPECT_EQ(response.status, status) << response.body;
        Result<json::value> parsed = parse_json(response.body);
        EXPECT_TRUE(parsed.ok()) << response.body;
        return parsed.ok() && parsed->is_object() ? parsed->as_object() : json::object();
    }
    std::vector<std::string> stream(const std::string& target, const std::string& body) {
        std::vector<std::string> events;
        http::SseReader reader;
        const auto sink = [&](std::string_view bytes) {
            const Result<std::vector<http::SseEvent>> more = reader.feed(bytes);
            for (const http::SseEvent& event : *more) {
                events.push_back(event.data);
            }
            return true;
        };
        const Result<http::SimpleResponse> response =
            http::fetch_stream(endpoint_, {"POST", target, {}, body}, sink);
        EXPECT_TRUE(response.ok()) << (response.ok() ? "" : response.error().message);
        return events;
    }
    static bool eventually(const std::function<bool()>& holds) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!holds()) {
            if (std::chrono::steady_clock::now() > end) {
                return false;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        return true;
    }

    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    Gate gate_;
    std::function<void(std::string_view)> on_tokenize_;  // set before load()
    engine::EngineConfig config_;
    std::unique_ptr<Frontend> frontend_;
    engine::Engine* engine_ = nullptr;
    LoadedModel* model_ = nullptr;
    std::string endpoint_;
    std::thread thread_;
};

inline std::string chat_body(const std::string& content, const std::string& extra = "") {
    return R"({"messages":[{"role":"user","content":")" + content + "\"}]" + extra + "}";
}
inline const json::object& error_in(const json::object& body) { return body.at("error").as_object(); }
inline std::string content_of(const json::object& answer, size_t choice = 0) {
    return std::string(answer.at("choices").at(choice).at("message").at("content").as_string());
}

}  // namespace gantry::engine_server
