// What a streamed token costs the io thread, from the engine's event to the socket, and what a
// prompt costs the pool. The engine's forward is free here and waits for the clients, so that each
// token is woken for, framed and sent alone: the dearest case, and the usual one.

#include <benchmark/benchmark.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <future>
#include <thread>

#include "base/assert.h"
#include "base/json.h"
#include "engine/fake_runner.h"
#include "engine_server/frontend.h"
#include "engine_server/letter_tokenizer_for_test.h"

namespace gantry::engine_server {
namespace {

namespace asio = http::asio;

constexpr uint32_t kContext = 16384;
constexpr char kSocket[] = "/tmp/gantry_frontend_bench.sock";

double cpu_seconds(pthread_t thread) {
    clockid_t clock{};
    GANTRY_ASSERT(pthread_getcpuclockid(thread, &clock) == 0, "a thread's clock");
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// A token is a letter, so letters count tokens however they are framed. The engine waits for a
// number of them.
class Arrived {
public:
    void add(uint64_t letters) {
        const std::lock_guard lock(mutex_);
        letters_ += letters;
        changed_.notify_all();
    }
    void wait_for(uint64_t letters) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::seconds(10), [&] { return letters_ >= letters; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    uint64_t letters_ = 0;
};

// One thread that reads many streams at once.
class Clients {
public:
    Clients(size_t streams, const std::string& fields, Arrived& arrived) : arrived_(arrived) {
        for (size_t i = 0; i < streams; ++i) {
            const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            std::strncpy(address.sun_path, kSocket, sizeof(address.sun_path) - 1);
            GANTRY_ASSERT(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0,
                          "the server listens");
            const std::string body = R"({"messages":[{"role":"user","content":"hello )" +
                                     std::to_string(i) + "\"}]," + fields + "}";
            const std::string request =
                "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
                "content-length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body;
            GANTRY_ASSERT(::send(fd, request.data(), request.size(), 0) ==
                              static_cast<ssize_t>(request.size()),
                          "a small request fits the socket");
            polled_.push_back({fd, POLLIN, 0});
        }
    }
    ~Clients() {
        for (const pollfd& one : polled_) {
            ::close(one.fd);
        }
    }
    Clients(const Clients&) = delete;
    Clients& operator=(const Clients&) = delete;

    void read_all() {
        std::vector<char> buffer(256 * 1024);
        std::vector<std::string> tails(polled_.size());
        size_t open = polled_.size();
        while (open > 0) {
            ::poll(polled_.data(), polled_.size(), -1);
            uint64_t letters = 0;
            for (size_t i = 0; i < polled_.size(); ++i) {
                if (polled_[i].revents == 0) {
                    continue;
                }
                const ssize_t got = ::recv(polled_[i].fd, buffer.data(), buffer.size(), 0);
                if (got <= 0) {
                    ::close(polled_[i].fd);
                    polled_[i].fd = -1;
                    polled_[i].revents = 0;
                    --open;
                    continue;
                }
                bytes_ += static_cast<uint64_t>(got);
                letters += count(tails[i], {buffer.data(), static_cast<size_t>(got)});
            }
            arrived_.add(letters);
        }
    }
    uint64_t bytes() const { return bytes_; }
    uint64_t chunks() const { return chunks_; }

private:
    uint64_t count(std::string& tail, std::string_view bytes) {
        constexpr std::string_view kMark = R"("delta":{"content":")";
        tail.append(bytes);
        uint64_t letters = 0;
        size_t done = 0;
        for (size_t end = tail.find("\n\n"); end != tail.npos; end = tail.find("\n\n", done)) {
            const std::string_view event = std::string_view(tail).substr(done, end - done);
            if (const size_t at = event.find(kMark); at != event.npos) {
                const size_t begin = at + kMark.size();
                letters += event.find('"', begin) - begin;
                ++chunks_;
            }
            done = end + 2;
        }
        tail.erase(0, done);
        return letters;
    }

    Arrived& arrived_;
    std::vector<pollfd> polled_;
    uint64_t bytes_ = 0;
    uint64_t chunks_ = 0;
};

// A frontend on its io thread, before an engine whose forward costs nothing.
class Bench {
public:
    explicit Bench(bool lockstep) : work_(asio::make_work_guard(io_)) {
        frontend_ = std::make_unique<Frontend>(io_, FrontendOptions{"", "letters", ""});
        GANTRY_ASSERT(frontend_->server().listen_unix(kSocket, "engine").ok(), "a socket");
        auto model = std::make_unique<LoadedModel>();
        model->tokenizer = std::make_unique<LetterTokenizer>();
        model->chat_template = std::move(
            *ChatTemplate::create("{% for m in messages %}{{ m.content }}{% endfor %}", "", ""));
        engine::FakeRunnerOptions fake;
        fake.capacity = {.context_tokens = kContext,
                         .slots = 64,
                         .batch_rows = 512,
                         .vocabulary = kVocabulary};
        fake.on_forward =
            [this, lockstep](const engine::Batch&) -> std::optional<Result<engine::ForwardOutcome>> {
            if (lockstep && engine_ != nullptr) {
                arrived_.wait_for(engine_.load()->stats().generated_tokens_total);
            }
            return std::nullopt;
        };
        auto runner = std::make_unique<engine::FakeRunner>(std::move(fake));
        model->capacity = runner->capacity();
        model->engine = engine::Engine::start(std::move(runner), {});
        engine_ = model->engine.get();
        frontend_->set_model(std::move(model));
        thread_ = std::thread([this] { io_.run(); });
    }
    ~Bench() {
        auto stop = [](Frontend& frontend, asio::io_context& io) -> http::Task<void> {
            co_await frontend.stop(Deadline::after(std::chrono::seconds(1)));
            io.stop();
        };
        asio::co_spawn(io_, stop(*frontend_, io_), asio::detached);
        thread_.join();
        frontend_.reset();
    }
    double io_cpu() { return cpu_seconds(thread_.native_handle()); }
    Arrived& arrived() { return arrived_; }

private:
    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    Arrived arrived_;
    std::atomic<engine::Engine*> engine_{nullptr};
    std::unique_ptr<Frontend> frontend_;
    std::thread thread_;
};

void stream(benchmark::State& state, const std::string& fields, bool lockstep) {
    const auto streams = static_cast<size_t>(state.range(0));
    const uint64_t tokens = 200;
    Bench bench(lockstep);
    double cpu = 0;
    uint64_t total = 0;
    uint64_t bytes = 0;
    uint64_t chunks = 0;
    for (auto _ : state) {
        Clients clients(streams,
                        R"("stream":true,"ignore_eos":true,"max_tokens":)" +
                            std::to_string(tokens) + fields,
                        bench.arrived());
        const double before = bench.io_cpu();
        clients.read_all();
        cpu += bench.io_cpu() - before;
        total += streams * tokens;
        bytes += clients.bytes();
        chunks += clients.chunks();
    }
    const auto per_token = [total](double x) { return x / static_cast<double>(total); };
    state.counters["io_us_per_token"] = per_token(cpu * 1e6);
    state.counters["bytes_per_token"] = per_token(static_cast<double>(bytes));
    state.counters["tokens_per_chunk"] =
        static_cast<double>(total) / static_cast<double>(std::max<uint64_t>(chunks, 1));
    state.counters["tokens_per_s"] =
        benchmark::Counter(static_cast<double>(total), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(stream, paced, "", true)->Arg(1)->Arg(32)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(stream, paced_logprobs, R"(,"logprobs":true,"top_logprobs":5)", true)
    ->Arg(32)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(stream, unpaced, "", false)->Arg(32)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gantry::engine_server
