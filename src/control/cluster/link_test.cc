// A whole control plane on a port, and a worker that the test plays over real mutual TLS.
#include "control/cluster/link.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "control/control_test_support.h"
#include "protocol/worker/join.h"
#include "protocol/worker/versions.h"

namespace gantry::control {
namespace {

using testing::HasSubstr;

class LinkTest : public testing::Test {
protected:
    // TLS goes by the machine's clock, so that what is signed must, too.
    static protocol::JoinToken token_of(Plane& plane) {
        plane.clock().set_wall(system_clock().wall());
        return protocol::parse_join_token(plane.ask("POST", "/api/v1/join-tokens", R"({"uses":5})").string("/secret")).value();
    }
    http::ClientOptions options(const http::CertifiedKey& own = {}) const {
        http::ClientOptions out;
        out.mutual = http::MutualTls::client(own, token_.authority, kClusterServerName, kClusterProtocol).value();
        return out;
    }
    Reply ask(const std::string& method, const std::string& target, const std::string& body, const http::CertifiedKey& own = {},
              const http::Headers& headers = {}) const {
        const auto answer = http::fetch(link_, {method, target, headers, body}, options(own));
        EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
        if (!answer) return {};
        Reply reply{answer->status, nullptr, answer->body, answer->headers};
        if (auto parsed = parse_json(answer->body)) reply.body = *parsed;
        return reply;
    }
    // Joins; what the worker is from then on.
    http::CertifiedKey join(const std::string& name, std::string* id) {
        http::CertifiedKey own;
        own.key = http::make_private_key().value();
        const protocol::JoinRequest request{token_.id, token_.secret, name, http::make_certificate_request(own.key, "x").value(), "m1", {}};
        const Reply answer = ask("POST", "/cluster/v1/join", protocol::encode(request));
        EXPECT_EQ(answer.status, 200) << answer.text;
        own.certificate = answer.string("/certificate");
        *id = answer.string("/worker_id");
        return own;
    }
    static std::string report_of(const std::string& worker) {
        protocol::ExchangeRequest request{.incarnation = "i1", .machine_id = "m1"};
        request.report.worker_id = WorkerId(worker);
        return protocol::encode(request);
    }

    TempDir dir_;
    Plane plane_{dir_.path()};
    const std::string link_ = "tls:" + plane_.endpoint().substr(4);
    const protocol::JoinToken token_ = token_of(plane_);
};

TEST_F(LinkTest, a_worker_joins_and_exchanges) {
    std::string id;
    const http::CertifiedKey own = join("box", &id);
    EXPECT_EQ(plane_.get("/api/v1/workers/box").string("/state"), "pending");
    const Reply answer = ask("POST", "/cluster/v1/exchange", report_of(id), own);
    ASSERT_EQ(answer.status, 200) << answer.text;
    EXPECT_TRUE(protocol::decode_exchange_answer(answer.text).ok());
    EXPECT_EQ(plane_.get("/api/v1/workers/box").string("/state"), "ready");
    EXPECT_EQ(plane_.get("/api/v1/workers/box").string("/address"), "127.0.0.1");
    const auto renewed = http::make_certificate_request(own.key, "x").value();
    const Reply again = ask("POST", "/cluster/v1/renew", protocol::encode(protocol::RenewRequest{renewed}), own);
    ASSERT_EQ(again.status, 200) << again.text;
    EXPECT_EQ(http::read_certificate(again.string("/certificate"))->common_name, id);

    ASSERT_EQ(plane_.ask("DELETE", "/api/v1/workers/box").status, 204);
    const Reply refused = ask("POST", "/cluster/v1/exchange", report_of(id), own);
    EXPECT_EQ(refused.status, 403);
    EXPECT_EQ(refused.code(), "worker_removed");
    EXPECT_EQ(ask("POST", "/cluster/v1/renew", protocol::encode(protocol::RenewRequest{renewed}), own).status, 403);
}

TEST_F(LinkTest, a_worker_one_version_apart_works_and_one_further_is_told_what_to_do) {
    std::string id;
    const http::CertifiedKey own = join("box", &id);
    const auto exchange = [&](int64_t version) {
        json::value report = parse_json(report_of(id)).value();
        report.as_object()["link_version"] = version;
        report.as_object()["of_next_year"] = json::array{1};
        return ask("POST", "/cluster/v1/exchange", json::serialize(report), own);
    };
    for (const int64_t version : {protocol::kLinkVersion - 1, protocol::kLinkVersion, protocol::kLinkVersion + 1}) {
        const Reply answer = exchange(version);
        ASSERT_EQ(answer.status, 200) << version << ": " << answer.text;
        EXPECT_EQ(answer.number("/link_version"), protocol::kLinkVersion) << "so that the worker can tell, too";
    }
    EXPECT_EQ(plane_.get("/api/v1/workers/box").string("/state"), "ready");
    const Reply refused = exchange(protocol::kLinkVersion + 2);
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.code(), "worker_too_new");
    EXPECT_THAT(refused.text, HasSubstr("upgrade the server's first"));
    EXPECT_THAT(plane_.get("/api/v1/audit?kind=worker").text, HasSubstr("refuse_version"));
    EXPECT_EQ(ask("GET", "/cluster/v1/events?incarnation=i1", "", own).status, 409) << "it is not taken for alive by another way";
    EXPECT_EQ(exchange(protocol::kLinkVersion).status, 200) << "once it was put right";

    http::CertifiedKey other;
    other.key = http::make_private_key().value();
    const protocol::JoinRequest request{token_.id, token_.secret, "far", http::make_certificate_request(other.key, "x").value(), "m2", {},
                                        protocol::kLinkVersion + 2};
    const Reply stranger = ask("POST", "/cluster/v1/join", protocol::encode(request));
    EXPECT_EQ(stranger.status, 409);
    EXPECT_EQ(stranger.code(), "worker_too_new");
    EXPECT_EQ(plane_.get("/api/v1/workers/far").status, 404);
}

// As a gantry from before versions were said speaks (tests/data/worker_link/).
TEST_F(LinkTest, a_worker_of_version_one_is_served) {
    std::string id;
    const http::CertifiedKey own = join("box", &id);
    std::ifstream file(std::string(GANTRY_SOURCE_DIR) + "/tests/data/worker_link/v1/report.json");
    std::ostringstream text;
    text << file.rdbuf();
    json::value report = parse_json(text.str()).value();
    report.at("report").as_object()["worker_id"] = id;
    const Reply answer = ask("POST", "/cluster/v1/exchange", json::serialize(report), own);
    ASSERT_EQ(answer.status, 200) << answer.text;
    const Reply worker = plane_.get("/api/v1/workers/box");
    EXPECT_EQ(worker.string("/state"), "ready");
    EXPECT_EQ(worker.body.at("devices").as_array().size(), 2u);
}

TEST_F(LinkTest, without_a_certificate_one_may_join_and_nothing_else) {
    for (const char* path : {"/cluster/v1/exchange", "/cluster/v1/renew", "/cluster/v1/data"}) {
        EXPECT_EQ(ask("POST", path, "{}").status, 401) << path;
    }
    EXPECT_EQ(ask("GET", "/cluster/v1/events?incarnation=a", "").status, 401);
}

TEST_F(LinkTest, a_workers_certificate_opens_no_other_route_whatever_comes_with_it) {
    std::string id;
    const http::CertifiedKey own = join("box", &id);
    const std::string key = plane_.key_of("ann", "admin");
    for (const http::Route& route : plane_.router().routes()) {
        if (route.access == gateway::kLink || route.access == gateway::kJoin || route.pattern.find('{') != std::string::npos) continue;
        const Reply answer = ask(route.method, route.pattern, "", own, {{"authorization", "Bearer " + key}});
        EXPECT_EQ(answer.status, 404) << route.method << " " << route.pattern;
    }
}

TEST_F(LinkTest, what_is_no_report_is_refused_by_path_and_recorded) {
    std::string id;
    const http::CertifiedKey own = join("box", &id);
    json::value report = parse_json(report_of(id)).value();
    report.at("report").as_object()["devices"] = json::array(2000, json::object());
    const Reply answer = ask("POST", "/cluster/v1/exchange", json::serialize(report), own);
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.string("/error/param"), "report.devices");
    EXPECT_THAT(plane_.get("/api/v1/audit?kind=worker").text, HasSubstr("refuse_report"));
    EXPECT_EQ(ask("POST", "/cluster/v1/exchange", std::string(5u << 20, ' '), own).status, 413);
    std::string other;
    join("box-2", &other);
    EXPECT_EQ(ask("POST", "/cluster/v1/exchange", report_of(other), own).status, 400) << "it speaks for itself only";
}

TEST_F(LinkTest, tokens_are_listed_without_their_secret_and_revoked) {
    const Reply list = plane_.get("/api/v1/join-tokens");
    EXPECT_EQ(list.string("/items/0/state"), "usable");
    EXPECT_EQ(list.text.find(token_.secret), std::string::npos);
    EXPECT_EQ(plane_.get("/api/v1/join-tokens", plane_.key_of("bob", "user")).status, 403);
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/join-tokens/" + token_.id).status, 204);
    EXPECT_EQ(plane_.get("/api/v1/join-tokens").string("/items/0/state"), "revoked");
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/join-tokens/none").status, 404);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/join-tokens", R"({"uses":0})").status, 400);
    EXPECT_EQ(plane_.get("/join.sh?token=" + token_.text(), "").status, 403) << "a revoked one brings no binary either";
}

}  // namespace
}  // namespace gantry::control
