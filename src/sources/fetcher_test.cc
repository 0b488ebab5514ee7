#include "sources/fetcher.h"

#include <gmock/gmock.h>

#include "sources/content_range.h"
#include "sources/store_for_test.h"

namespace gantry::sources {
namespace {

using ::testing::HasSubstr;
using http::Exchange;
using http::Response;
using http::Task;

// Redirects each path to what is said.
TestStore::Misdeed redirects(std::map<std::string, std::string> to) {
    return [to](Exchange& exchange, size_t) -> Task<bool> {
        const auto found = to.find(exchange.request().path);
        if (found == to.end()) co_return false;
        Response response{.status = 302};
        response.headers.set("location", found->second);
        co_await exchange.respond(std::move(response));
        co_return true;
    };
}

class Fetching : public SourcesTest {
protected:
    Result<Answer> get(const Url& url, Nearness nearest = Nearness::kLoopback) {
        Fetcher::Wanted wanted;
        wanted.url = url;
        wanted.token = "hf_secret";
        wanted.nearest = nearest;
        return Fetcher(settings_).get(wanted);
    }
};

TEST_F(Fetching, follows_redirects_and_leaves_the_token_behind) {
    TestStore hub("hub"), elsewhere("elsewhere");
    hub.misbehave(redirects({{"/a", "/b"}, {"/b", elsewhere.url("/c").text()}}));
    const auto answer = get(hub.url("/a"));
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(answer->body, "elsewhere");
    EXPECT_EQ(answer->url, elsewhere.url("/c"));
    EXPECT_EQ(answer->nearness, Nearness::kLoopback);
    ASSERT_EQ(hub.asked().size(), 2u);
    for (const auto& asked : hub.asked()) EXPECT_EQ(asked.authorization, "Bearer hf_secret");
    ASSERT_EQ(elsewhere.asked().size(), 1u);
    EXPECT_EQ(elsewhere.asked()[0].authorization, "");
}

TEST_F(Fetching, redirects_that_are_not_followed) {
    TestStore canary("canary");
    const std::string port = std::to_string(canary.url().port);
    for (const std::string& location : {std::string("http://169.254.169.254/latest/meta-data"), std::string("http://0.0.0.0:") + port,
                                        std::string("http://[::]:") + port, std::string("file:///etc/passwd"), std::string("gopher://127.0.0.1/"),
                                        std::string("http://user@127.0.0.1:") + port, std::string("http://127.0.0.1\\@evil:") + port,
                                        std::string("http://2130706433:") + port, std::string("//metadata.google.internal/"), std::string("")}) {
        TestStore hub("hub");
        hub.misbehave(redirects({{"/a", location}}));
        const auto answer = get(hub.url("/a"));
        ASSERT_FALSE(answer.ok()) << location;
        EXPECT_FALSE(answer.error().message.empty());
    }
    TestStore round("hub");
    round.misbehave(redirects({{"/a", "/a"}}));
    EXPECT_THAT(get(round.url("/a")).error().message, HasSubstr("redirects more than 5 times"));
    EXPECT_EQ(round.asked().size(), 6u);
    EXPECT_TRUE(canary.asked().empty());
}

TEST_F(Fetching, never_nearer_than_allowed) {
    TestStore hub("hub");
    EXPECT_EQ(get(hub.url(), Nearness::kPublic).error().reason, "address_not_allowed");
    Url by_name = hub.url();
    by_name.host = "localhost";   // a name, which is looked at by what it resolves to, too
    EXPECT_EQ(get(by_name, Nearness::kPrivate).error().reason, "address_not_allowed");
    by_name.host = "ip6-localhost.invalid";
    EXPECT_THAT(get(by_name).error().message, HasSubstr("cannot be resolved"));
    EXPECT_TRUE(hub.asked().empty());
}

TEST_F(Fetching, offline_asks_nobody) {
    TestStore hub("hub");
    settings_.offline = true;
    EXPECT_EQ(get(hub.url()).error().reason, "offline");
    EXPECT_TRUE(hub.asked().empty());
}

TEST_F(Fetching, through_a_proxy) {
    TestStore proxy("by proxy");
    settings_.http_proxy = proxy.url("").text();
    settings_.no_proxy = "hub.internal";
    const auto answer = get(parse_url("http://hub.example/a").value());
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(answer->body, "by proxy");
    EXPECT_EQ(proxy.asked()[0].target, "http://hub.example/a");
    // A redirect by an address is looked at, whoever resolves names.
    proxy.misbehave([](Exchange& exchange, size_t) -> Task<bool> {
        Response response{.status = 302};
        response.headers.set("location", "http://10.0.0.1/");
        co_await exchange.respond(std::move(response));
        co_return true;
    });
    EXPECT_EQ(get(parse_url("http://hub.example/a").value()).error().reason, "address_not_allowed");
}

TEST_F(Fetching, bounded) {
    TestStore hub(std::string(1000, 'x'));
    Fetcher::Wanted wanted;
    wanted.url = hub.url();
    wanted.body_max = 999;
    EXPECT_EQ(Fetcher(settings_).get(wanted).error().code, ErrorCode::kTooLarge);
    wanted.head_only = true;
    EXPECT_EQ(Fetcher(settings_).get(wanted)->body, "");
}

TEST(ContentRange, what_is_one) {
    const auto range = parse_content_range("bytes 5-9/100");
    ASSERT_TRUE(range.has_value());
    EXPECT_EQ(range->begin, 5u);
    EXPECT_EQ(range->last, 9u);
    EXPECT_EQ(range->total, 100u);
    for (const char* bad : {"", "bytes", "bytes 5-9/*", "bytes 9-5/100", "bytes 5-100/100", "bytes -5-9/100", "bytes 5-9/100x",
        "bytes 5-9", "items 5-9/100",
                            "bytes 5-9/99999999999999999999999"}) {
        EXPECT_FALSE(parse_content_range(bad).has_value()) << bad;
    }
}

}  // namespace
}  // namespace gantry::sources
