#pragma once
// For this folder's tests: a whole control plane behind a real HTTP server, on a real store in a folder that goes away, with a
// worker that is played by the test.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "base/json.h"
#include "control/control.h"
#include "protocol/openai/errors.h"

namespace gantry::control {

using namespace std::chrono_literals;
using testing::HasSubstr;

template <class Condition>
bool eventually(const Condition& condition, std::chrono::milliseconds limit = 20s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

class TempDir {
public:
    TempDir() {
        std::string pattern = std::filesystem::exists("/dev/shm") ? "/dev/shm/gantry-ctl-XXXXXX" : "/tmp/gantry-ctl-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        path_ = pattern;
    }
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

struct Reply {
    int status = 0;
    json::value body;          // null when it is no JSON
    std::string text;
    http::Headers headers;
    std::string string(const std::string& pointer) const { return std::string(body.at_pointer(pointer).as_string()); }
    int64_t number(const std::string& pointer) const { return body.at_pointer(pointer).to_number<int64_t>(); }
    std::string code() const { return string("/error/code"); }
};

// In place of the gateway: says two chunks, the second torn, of what was asked; refuses the model "refused"; of the model "slow"
// says nothing until its client leaves, which it notes.
struct FakeChat {
    std::atomic<int> left{0};
    http::Task<void> answer(http::Exchange& exchange) {
        const json::value body = parse_json(exchange.request().body).value();
        const std::string model(body.at("model").as_string());
        if (model == "refused") {
            http::Response response = http::json_response(404, R"({"error":{"message":"no such model","type":"x","param":null,"code":"y"}})");
            co_await exchange.respond(std::move(response));
            co_return;
        }
        http::Headers headers{{"content-type", "text/event-stream"}};
        co_await exchange.start_stream(200, std::move(headers));
        if (model == "slow") {
            bool gone = false;
            exchange.on_client_gone([&gone] { gone = true; });
            while (!gone) co_await http::sleep_for(1ms);
            ++left;
            co_return;
        }
        const std::string first = "data: " + json::serialize(json::object{{"model", model}, {"asked", body}}) + "\n\ndata: {\"se";
        const std::string rest = "cond\":\"" + gateway::principal(exchange).user_name + "\"}\n\ndata: [DONE]\n\n";
        co_await exchange.write(first);
        co_await exchange.write(rest);
        co_await exchange.finish();
    }
};

// A server process's control plane; the same folder may be opened again after it.
class Plane {
public:
    explicit Plane(const std::string& dir, const std::string& bootstrap = "bootstrap-password") : dir_(dir) {
        auto opened = store::Store::open(dir);
        EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
        store_ = std::move(*opened);
        ControlOptions options;
        options.data_dir = dir;
        options.bootstrap_password = bootstrap;
        options.admin_endpoint = "unix:" + dir + "/admin.sock";
        options.live = &live_;
        options.activity = &activity_;
        options.chat = [this](http::Exchange& exchange) { return chat_.answer(exchange); };
        auto made = Control::create(io_, pool_, *store_, tables_, clock_, system_random(), options);
        EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
        control_ = std::move(*made);
        control_->add_routes(router_);
        http::ServerOptions server_options;
        server_options.error_response = [](int status, const std::string& message, const std::string&) {
            return http::json_response(status,
                                       protocol::openai::error_json(protocol::openai::error_from_status(status, message)));
        };
        server_ = std::make_unique<http::Server>(io_, router_, server_options);
        server_->use(gateway::authentication(tables_, clock_));
        server_->accept_mutual(control_->link_tls().value(), gateway::kLinkListener);
        port_ = server_->listen_tcp("127.0.0.1", 0, "public").value();
        EXPECT_TRUE(server_->listen_unix(dir + "/admin.sock", "admin").ok());
        thread_ = std::thread([this] { io_.run(); });
        worker_ = control_->embedded_worker("machine").value();
        control_->start();
    }
    ~Plane() {
        control_->stop();
        std::promise<void> stopped;
        http::asio::co_spawn(io_, server_->stop(Deadline::after(2s)),
                             [&](const std::exception_ptr&) { stopped.set_value(); });
        stopped.get_future().get();
        guard_.reset();
        io_.stop();
        thread_.join();
        server_.reset();
        control_.reset();
        EXPECT_TRUE(store_->close().ok());
    }

    // `who`: "" nobody; "admin" the admin socket; else a key or, with "=" in it, a cookie.
    Reply ask(const std::string& method, const std::string& target, const std::string& body = "", const std::string& who = "admin",
              const http::Headers& more = {}) const {
        http::Client::Call call{method, target, more, body};
        if (!body.empty() && call.headers.get("content-type").empty()) call.headers.set("content-type", "application/json");
        if (who.find('=') != std::string::npos) {
            call.headers.set("cookie", who);
            if (call.headers.get("origin").empty()) call.headers.set("origin", "http://127.0.0.1:" + std::to_string(port_));
            call.headers.set("host", "127.0.0.1:" + std::to_string(port_));
        } else if (!who.empty() && who != "admin") {
            call.headers.set("authorization", "Bearer " + who);
        }
        const auto answer = http::fetch(who == "admin" ? "unix:" + dir_ + "/admin.sock" : endpoint(), call);
        EXPECT_TRUE(answer.ok()) << method << " " << target << ": " << (answer.ok() ? "" : answer.error().message);
        if (!answer) return {};
        Reply reply{answer->status, nullptr, answer->body, answer->headers};
        if (auto parsed = parse_json(answer->body)) reply.body = *parsed;
        return reply;
    }
    Reply get(const std::string& target, const std::string& who = "admin") const { return ask("GET", target, "", who); }

    // A key of a fresh user with this role.
    std::string key_of(const std::string& user, const std::string& role) {
        const Reply made = ask("POST", "/api/v1/users", R"({"name":")" + user + R"(","password":"12345678","role":")" + role + "\"}");
        EXPECT_EQ(made.status, 201) << made.text;
        const Reply key = ask("POST", "/api/v1/keys", R"({"name":"k","user_id":")" + user + "\"}");
        EXPECT_EQ(key.status, 201) << key.text;
        return key.string("/secret");
    }
    std::string login(const std::string& name, const std::string& password, Reply* reply = nullptr, const std::string& cookie = "") {
        const Reply answer = ask("POST", "/api/v1/auth/login", R"({"name":")" + name + R"(","password":")" + password + "\"}", cookie);
        if (reply != nullptr) *reply = answer;
        const std::string set(answer.headers.get("set-cookie"));
        return set.substr(0, set.find(';'));
    }

    // The worker's part: reports what `running` says, returns what it should run.
    std::vector<protocol::InstanceSpec> report(std::vector<protocol::InstanceReport> instances = {}) {
        protocol::WorkerReport r;
        r.worker_id = worker_;
        r.name = "machine";
        r.address = "embedded";
        r.version = "0";
        r.os = "linux";
        r.arch = "x86_64";
        Device cpu;
        cpu.vendor = "cpu";
        cpu.name = "a cpu";
        cpu.memory_total_bytes = 16ull << 30;
        cpu.memory_free_bytes = 12ull << 30;
        r.devices = {cpu};
        r.instances = std::move(instances);
        return control_->exchange(r).run;
    }
    // As a good worker does, until `done`: runs all it is told to, in `state`, and nothing else.
    template <class Done>
    bool work_until(const Done& done, InstanceState state = InstanceState::kRunning,
                    const std::string& error_reason = "invalid model file: bad magic") {
        return eventually([&] {
            std::vector<protocol::InstanceReport> reports;
            for (const auto& spec : runs_) {
                protocol::InstanceReport one;
                one.id = spec.id;
                one.state = state;
                one.endpoint = "unix:/run/" + spec.id.text;
                one.api_key = "engine-secret";
                one.pid = 42;
                if (state == InstanceState::kError) one.reason = error_reason;
                reports.push_back(one);
            }
            runs_ = report(std::move(reports));
            return done();
        });
    }
    std::string deployment_state(const std::string& name) const {
        const Reply r = get("/api/v1/deployments/" + name);
        return r.status == 200 ? r.string("/status/state") : "";
    }

    std::string endpoint() const { return "tcp:127.0.0.1:" + std::to_string(port_); }
    FakeClock& clock() { return clock_; }
    Control& control() { return *control_; }
    const http::Router& router() const { return router_; }
    FakeChat& chat() { return chat_; }
    gateway::LiveRequests& live() { return live_; }   // while no request of the test's is under way
    store::Store& store() { return *store_; }
    gateway::Activity& activity() { return activity_; }   // within on_io()
    // On the io thread, where what the gateway keeps lives; what it gave.
    template <class Work>
    auto on_io(const Work& work) -> decltype(work()) {
        std::promise<decltype(work())> given;
        http::asio::post(io_, [&] { given.set_value(work()); });
        return given.get_future().get();
    }
    bool closed(const DeploymentId& deployment) {
        return on_io([&] { return activity_.closed(deployment); });
    }
    const gateway::Tables& tables() const { return tables_; }
    const WorkerId& worker() const { return worker_; }
    const std::vector<protocol::InstanceSpec>& runs() const { return runs_; }

private:
    std::string dir_;
    FakeClock clock_;
    std::unique_ptr<store::Store> store_;
    http::asio::io_context io_{1};
    http::asio::executor_work_guard<http::asio::io_context::executor_type> guard_{io_.get_executor()};
    http::BlockingPool pool_{4};
    gateway::Tables tables_;
    gateway::LiveRequests live_;
    gateway::Activity activity_{clock_};
    FakeChat chat_;
    http::Router router_;
    std::unique_ptr<Control> control_;
    std::unique_ptr<http::Server> server_;
    uint16_t port_ = 0;
    std::thread thread_;
    WorkerId worker_;
    std::vector<protocol::InstanceSpec> runs_;
};

}  // namespace gantry::control
