#include "http/forwarded.h"

#include <gtest/gtest.h>

#include "http/http_test_support.h"

namespace gantry::http {
namespace {

Networks networks(const std::vector<std::string>& texts) {
    auto parsed = Networks::parse(texts);
    EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message);
    return parsed.ok() ? *parsed : Networks{};
}

TEST(Networks, HoldWhatTheirBitsSay) {
    const Networks some = networks({"10.1.2.3/9", "192.0.2.7", "2001:db8::/33", "::1"});
    for (const char* in : {"10.0.0.0", "10.127.255.255", "::ffff:10.1.1.1", "192.0.2.7", "2001:db8:7fff::1", "::1"}) {
        EXPECT_TRUE(some.contains(in)) << in;
    }
    for (const char* out : {"10.128.0.0", "11.0.0.0", "192.0.2.6", "2001:db8:8000::1", "::2", "unix", "", "10.0.0.0/8", "fe80::1%eth0"}) {
        EXPECT_FALSE(some.contains(out)) << out;
    }
    EXPECT_TRUE(networks({"0.0.0.0/0"}).contains("8.8.8.8"));
    EXPECT_FALSE(networks({"0.0.0.0/0"}).contains("2001:db8::1"));
    EXPECT_TRUE(networks({}).empty());
    for (const char* bad : {"", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8x", "nginx", "10.0.0.0/-1"}) {
        EXPECT_FALSE(Networks::parse({bad}).ok()) << bad;
    }
}

struct Case {
    const char* what;
    std::string peer;
    Headers headers;
    std::string client;
    bool tls;
};

TEST(Forwarded, IsBelievedOfTrustedProxiesOnly) {
    const Networks trusted = networks({"10.0.0.0/8", "::1"});
    const std::vector<Case> cases = {
        {"a stranger's word", "203.0.113.9", {{"X-Forwarded-For", "1.1.1.1"}, {"X-Forwarded-Proto", "https"}}, "203.0.113.9", false},
        {"the socket's", "unix", {{"X-Forwarded-For", "1.1.1.1"}}, "unix", false},
        {"one proxy", "10.0.0.1", {{"X-Forwarded-For", "203.0.113.9"}, {"X-Forwarded-Proto", "https"}}, "203.0.113.9", true},
        {"over IPv6", "::1", {{"X-Forwarded-For", "2001:db8::9"}}, "2001:db8::9", false},
        {"the client lies to the proxy", "10.0.0.1", {{"X-Forwarded-For", "127.0.0.1, 203.0.113.9"}}, "203.0.113.9", false},
        {"in a field of its own", "10.0.0.1", {{"X-Forwarded-For", "127.0.0.1"}, {"x-forwarded-for", "203.0.113.9"}}, "203.0.113.9", false},
        {"two proxies", "10.0.0.1", {{"X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.0.0.2"}}, "203.0.113.9", false},
        {"all are proxies", "10.0.0.1", {{"X-Forwarded-For", "10.0.0.3,10.0.0.2"}}, "10.0.0.3", false},
        {"garbage", "10.0.0.1", {{"X-Forwarded-For", "203.0.113.9, unknown"}}, "10.0.0.1", false},
        {"no peer called unix", "10.0.0.1", {{"X-Forwarded-For", "unix"}}, "10.0.0.1", false},
        {"with ports", "10.0.0.1", {{"X-Forwarded-For", "[2001:db8::9]:80, 10.0.0.2:4711"}}, "2001:db8::9", false},
        {"mapped", "10.0.0.1", {{"X-Forwarded-For", "::ffff:203.0.113.9"}}, "203.0.113.9", false},
        {"empty", "10.0.0.1", {{"X-Forwarded-For", ""}}, "10.0.0.1", false},
        {"the last scheme", "10.0.0.1", {{"X-Forwarded-Proto", "https, http"}}, "10.0.0.1", false},
        {"Forwarded is not read", "10.0.0.1", {{"Forwarded", "for=1.1.1.1;proto=https"}}, "10.0.0.1", false},
        {"a torn bracket", "10.0.0.1", {{"X-Forwarded-For", "[2001:db8::9"}}, "2001:db8::9", false},
    };
    for (const Case& one : cases) {
        Request request;
        request.peer = one.peer;
        request.headers = one.headers;
        apply_forwarded(request, trusted);
        EXPECT_EQ(request.peer, one.client) << one.what;
        EXPECT_EQ(request.tls, one.tls) << one.what;
    }
}

}  // namespace
}  // namespace gantry::http
