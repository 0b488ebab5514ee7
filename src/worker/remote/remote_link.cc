#include "worker/remote/remote_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <thread>

#include "base/json.h"
#include "base/log.h"
#include "protocol/openai/errors.h"
#include "protocol/worker/join.h"
#include "protocol/worker/versions.h"
#include "worker/remote/near_http.h"
#include "worker/remote/own_http.h"
#include "worker/remote/report_box.h"

namespace gantry::worker {
namespace {

namespace asio = http::asio;
using http::Task;
using std::chrono::milliseconds;

constexpr milliseconds kConnectTimeout{5'000};
constexpr milliseconds kAnswerTimeout{10'000};
constexpr milliseconds kEventsSilence{15'000};    // three pings missed
constexpr milliseconds kBackoffFirst{200};
constexpr milliseconds kBackoffMax{5'000};        // well below the lease of 42 s
constexpr milliseconds kIdleFor{300'000};          // TCP asks after the other end meanwhile, so that no NAT forgets the connection
constexpr milliseconds kEngineTimeout{5'000};
constexpr milliseconds kPatience{60'000};         // with a reader of a spliced connection
constexpr std::chrono::minutes kRenewalLook{60};
constexpr size_t kIdleKept = 4;                   // connections of data that wait for the server
constexpr size_t kDataMax = 2'048;                // of them and those in use
constexpr size_t kLineBytesMax = 128;

// What the server said of why it refuses; of no reason where it said nothing.
Error error_in(int status, const std::string& body) {
    const auto value = parse_json(body);
    const auto error = value ? protocol::openai::error_of(status, *value) : std::nullopt;
    return error.value_or(Error{ErrorCode::kInternal, {}, {}, {}});
}

class RemoteLinkImpl final : public RemoteLink {
public:
    RemoteLinkImpl(RemoteOptions options, const Clock& clock, RandomSource& random)
        : options_(std::move(options)),
          clock_(clock),
          random_(random),
          incarnation_(random.token(16)),
          box_(incarnation_, machine_id(), [this] { asio::post(io_, [this] { report_soon(); }); }),
          guard_(io_.get_executor()),
          reported_(io_),
          own_(io_),
          near_(io_, [this](http::Client::Call call) { return send_to_server(std::move(call)); }) {}
    ~RemoteLinkImpl() override { stop(); }

    Status prepare() {
        GANTRY_TRY(renew_clients());
        GANTRY_TRY(near_.listen(options_.data_dir));
        return own_.listen(options_.data_dir);
    }
    const std::string& near_socket() const override { return near_.socket(); }
    void offer(sources::ModelFiles& files) override { own_.set_model_files(files); }
    protocol::ServerLink& reports() override { return box_; }

    void start(Worker& worker) override {
        worker_ = &worker;
        own_.set_worker(worker);
        begin(&RemoteLinkImpl::report_loop);
        begin(&RemoteLinkImpl::event_loop);
        begin(&RemoteLinkImpl::renewal_loop);
        thread_ = std::thread([this] { io_.run(); });
    }

    void stop() override {
        if (stopping_.exchange(true)) return;
        guard_.reset();
        io_.stop();
        if (thread_.joinable()) thread_.join();
    }

private:
    void begin(Task<void> (RemoteLinkImpl::*loop)()) { asio::co_spawn(io_, (this->*loop)(), asio::detached); }

    Status renew_clients() {
        const auto tls = link_tls(options_.identity);
        if (!tls) return tls.error();
        http::ClientOptions options;
        options.mutual = *tls;
        options.connect_timeout = kConnectTimeout;
        options.header_timeout = kAnswerTimeout;
        options.idle_timeout = kEventsSilence;
        // Shared: a call in progress keeps the one that it began with.
        client_ = std::make_shared<http::Client>(io_, std::move(options));
        return Ok{};
    }

    // How long to wait after so many failures in a row: some of it chance, so that many workers don't come at once.
    milliseconds backoff(unsigned failures) {
        const auto whole = std::min<milliseconds>(kBackoffMax, kBackoffFirst * (1u << std::min(failures, 6u)));
        return milliseconds(static_cast<int64_t>(static_cast<double>(whole.count()) * (0.5 + random_.uniform() / 2)));
    }

    void tell(bool reached, const std::string& why) {
        if (reached == reached_ && why == why_) return;
        if (reached) log::info("link: the server at {} is reached", shown());
        else log::warn("link: the server at {} is not reached: {}; the engines run on, and it is tried again", shown(), why);
        reached_ = reached;
        why_ = why;
    }
    std::string shown() const { return options_.server.substr(4); }

    Task<Result<std::unique_ptr<http::ClientResponse>>> send_to_server(http::Client::Call call) {
        const auto client = client_;
        auto answer = co_await client->send(options_.server, std::move(call));
        co_return answer;
    }

    Task<Result<http::SimpleResponse>> ask(std::string target, std::string body) {
        const auto client = client_;
        http::Client::Call call{.method = "POST", .target = std::move(target)};
        call.headers.set("content-type", "application/json");
        call.body = std::move(body);
        auto answer = co_await client->send(options_.server, std::move(call));
        if (!answer) co_return std::move(answer).error();
        auto text = co_await (*answer)->read_all();
        if (!text) co_return std::move(text).error();
        http::SimpleResponse out;
        out.status = (*answer)->status();
        out.body = *std::move(text);
        co_return out;
    }

    // One exchange. "": it went well; else why not.
    Task<std::string> exchange(protocol::ExchangeRequest request) {
        std::string body = protocol::encode(request);
        const auto answer = co_await ask("/cluster/v1/exchange", std::move(body));
        if (!answer) co_return answer.error().message;
        if (answer->status != 200) {
            const Error why = error_in(answer->status, answer->body);
            if (why.reason == "worker_removed") removed();
            if (why.reason == "worker_cloned") co_return std::string("another process speaks for this worker, with a copy of its data folder");
            if (why.reason == "worker_too_old" || why.reason == "worker_too_new") co_return why.message;
            co_return fmt::format("it answers {} {}", answer->status, why.reason);
        }
        auto read = protocol::decode_exchange_answer(answer->body);
        if (!read) co_return read.error().message;
        const Status fits = protocol::check_link_versions(protocol::kLinkVersion, read->link_version);   // an older server can't tell
        if (!fits) {
            outgrown(fits.error().message);
            co_return fits.error().message;
        }
        if (box_.take(*std::move(read))) worker_->poke();
        co_return std::string();
    }

    Task<void> report_loop() {
        unsigned failures = 0;
        while (!stopping_ && !removed_) {
            news_ = false;
            auto request = box_.next();
            std::string failed;
            if (request) failed = co_await exchange(*std::move(request));
            if (removed_) break;
            if (!failed.empty()) {
                box_.forget_sent();
                tell(false, failed);
                co_await http::sleep_for(backoff(failures++));
                continue;
            }
            if (request) tell(true, "");
            failures = 0;
            if (!news_) co_await reported_.wait(box_.report_every());   // else it came while the last one was on its way
        }
    }

    void report_soon() {
        news_ = true;
        reported_.notify();
    }

    void removed() {
        if (std::exchange(removed_, true)) return;
        log::error("link: the server says that this worker was removed");
        if (options_.removed) options_.removed("the server removed this worker");
    }

    // It takes our reports for those of its own kind and would go on placing instances here: nothing is to be said to it any more.
    void outgrown(const std::string& why) {
        if (std::exchange(removed_, true)) return;
        log::error("link: {}", why);
        if (options_.outgrown) options_.outgrown(why);
    }

    Task<void> event_loop() {
        unsigned failures = 0;
        while (!stopping_ && !removed_) {
            const SteadyTime began = clock_.steady();
            co_await listen_to_events();
            if (clock_.steady() - began > kBackoffMax) failures = 0;
            co_await http::sleep_for(backoff(failures++));
        }
    }

    Task<void> listen_to_events() {
        const auto client = client_;
        http::Client::Call call{.target = "/cluster/v1/events?incarnation=" + incarnation_};
        auto answer = co_await client->send(options_.server, std::move(call));
        if (!answer) co_return;   // the reports tell why
        if ((*answer)->status() != 200) {
            const auto body = co_await (*answer)->read_all();
            if (body && error_in((*answer)->status(), *body).reason == "worker_removed") removed();
            co_return;
        }
        listening_ = true;
        keep_idle(kIdleKept);
        http::SseReader reader;
        while (!stopping_ && !removed_) {
            const auto piece = co_await (*answer)->read();
            if (!piece || piece->empty()) break;
            const auto events = reader.feed(*piece);
            if (!events) break;
            for (const http::SseEvent& event : *events) take_event(event);
        }
        listening_ = false;
    }

    void take_event(const http::SseEvent& event) {
        if (event.event == "poke") {
            report_soon();
        } else if (event.event == "connect") {
            size_t wanted = 0;
            std::from_chars(event.data.data(), event.data.data() + event.data.size(), wanted);
            keep_idle(std::max(kIdleKept, wanted + std::min(idle_, kIdleKept)));
        }
    }

    void keep_idle(size_t wanted) {
        while (idle_ < wanted && data_ < kDataMax) {
            ++idle_;
            ++data_;
            asio::co_spawn(io_, serve_data(), [this](const std::exception_ptr&) { --data_; });
        }
    }

    // A connection of data from its beginning to its end.
    Task<void> serve_data() {
        const auto client = client_;
        http::Client::Call call{.method = "POST", .target = "/cluster/v1/data"};
        auto stream = co_await client->upgrade(options_.server, std::move(call), "gantry-data/1");
        std::string line;
        while (stream && line.find('\n') == std::string::npos && line.size() <= kLineBytesMax) {
            const auto more = co_await stream->read(kIdleFor);
            if (!more || more->empty()) break;
            line += *more;
        }
        --idle_;
        const size_t end = line.find('\n');
        if (listening_ && (end != std::string::npos || stream.ok())) keep_idle(kIdleKept);
        if (!stream || end == std::string::npos) co_return;
        if (end + 1 < line.size()) stream->unread(line.substr(end + 1));
        line.resize(end);
        co_await serve_instance(*std::move(stream), std::move(line));
    }

    Task<void> serve_instance(http::Stream stream, std::string instance) {
        const std::string endpoint = instance == "@worker" ? own_.endpoint() : box_.endpoint_of(instance);
        std::string refusal = endpoint.empty() ? "no such instance runs here" : "";
        Result<http::Stream> engine = unavailable(refusal);
        if (refusal.empty()) {
            engine = co_await http::Stream::connect(io_, endpoint, kEngineTimeout);
            if (!engine) refusal = "its engine does not answer: " + engine.error().message;
        }
        const std::string answer = refusal.empty() ? "ok\n" : "no " + log::escape(refusal, 256) + "\n";
        const bool told = co_await stream.write(answer, kEngineTimeout);
        if (!told || !refusal.empty()) co_return;
        co_await http::splice(std::move(stream), *std::move(engine), kPatience);
    }

    Task<void> renewal_loop() {
        while (!stopping_ && !removed_) {
            if (wants_renewal(options_.identity, clock_.wall())) {
                const std::string failed = co_await renew();
                if (!failed.empty()) log::warn("link: the certificate can't be renewed yet: {}", failed);
            }
            co_await http::sleep_for(kRenewalLook);
        }
    }

    Task<std::string> renew() {
        const auto request = http::make_certificate_request(options_.identity.own.key, "worker");
        if (!request) co_return request.error().message;
        std::string body = protocol::encode(protocol::RenewRequest{*request});
        const auto answer = co_await ask("/cluster/v1/renew", std::move(body));
        if (!answer) co_return answer.error().message;
        if (answer->status != 200) co_return fmt::format("it answers {}", answer->status);
        const auto renewed = protocol::decode_join_answer(answer->body);
        if (!renewed) co_return renewed.error().message;
        Identity next = options_.identity;
        next.own.certificate = renewed->certificate;
        if (const Status fits = http::check_key_fits(next.own.certificate, next.own.key); !fits) co_return fits.error().message;
        if (const Status saved = save_identity(options_.data_dir, next); !saved) co_return saved.error().message;
        options_.identity = std::move(next);
        if (const Status renewed_clients = renew_clients(); !renewed_clients) co_return renewed_clients.error().message;
        log::info("link: the certificate is renewed");
        co_return std::string();
    }

    RemoteOptions options_;
    const Clock& clock_;
    RandomSource& random_;
    const std::string incarnation_;
    ReportBox box_;
    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_;
    // What follows belongs to the io thread.
    http::Signal reported_;
    bool news_ = false;            // there is something to report, or to ask for, at once
    OwnHttp own_;
    NearHttp near_;
    std::shared_ptr<http::Client> client_;
    size_t idle_ = 0;              // connections of data that nobody uses, those being made included
    size_t data_ = 0;              // all of them
    bool listening_ = false;
    bool removed_ = false;         // the server is not ours (any more), and nothing more is said
    bool reached_ = false;
    std::string why_ = "not tried yet";
    Worker* worker_ = nullptr;
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<RemoteLink>> RemoteLink::make(RemoteOptions options, const Clock& clock, RandomSource& random) {
    auto link = std::make_unique<RemoteLinkImpl>(std::move(options), clock, random);
    if (Status prepared = link->prepare(); !prepared) return prepared.error();
    return std::unique_ptr<RemoteLink>(std::move(link));
}

}  // namespace gantry::worker
