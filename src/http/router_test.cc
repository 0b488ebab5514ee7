#include <gmock/gmock.h>

#include "http/http.h"
#include "http/target.h"
#include "http/text.h"

namespace gantry::http {
namespace {

using testing::ElementsAre;
using testing::Pair;

Handler nothing() {
    return [](Exchange&) -> Task<void> { co_return; };
}

Router table() {
    Router router;
    const std::vector<std::pair<const char*, const char*>> lines = {
        {"GET", "/"},         {"GET", "/api/models"},      {"POST", "/api/models"}, {"GET", "/api/models/{id}"},
        {"GET", "/api/models/default"}, {"DELETE", "/api/models/{id}"}, {"GET", "/api/{kind}/{id}/logs"},
        {"GET", "/files/{path...}"},    {"GET", "/files/list"},         {"HEAD", "/files/list"},
    };
    for (const auto& [method, pattern] : lines) router.add({method, pattern, "open", nothing()});
    return router;
}

std::string pattern_of(const Router::Match& match) { return match.route == nullptr ? "" : match.route->pattern; }

TEST(Router, TheMostSpecificRouteWins) {
    const Router router = table();
    EXPECT_EQ(pattern_of(router.match("GET", "/")), "/");
    EXPECT_EQ(pattern_of(router.match("GET", "/api/models")), "/api/models");
    EXPECT_EQ(pattern_of(router.match("GET", "/api/models/default")), "/api/models/default");
    EXPECT_EQ(pattern_of(router.match("GET", "/files/list")), "/files/list");
    EXPECT_EQ(pattern_of(router.match("DELETE", "/api/models/default")), "/api/models/{id}");
    const auto by_id = router.match("GET", "/api/models/m 1");
    EXPECT_THAT(by_id.params, ElementsAre(Pair("id", "m 1")));
    const auto rest = router.match("GET", "/files/a/b/c.txt");
    EXPECT_THAT(rest.params, ElementsAre(Pair("path", "a/b/c.txt")));
    EXPECT_THAT(router.match("GET", "/files").params, ElementsAre(Pair("path", "")));
    EXPECT_THAT(router.match("GET", "/api/x/y/logs").params, ElementsAre(Pair("id", "y"), Pair("kind", "x")));
}

TEST(Router, UnknownPathAndWrongMethodAreToldApart) {
    const Router router = table();
    EXPECT_FALSE(router.match("GET", "/nothing").path_known);
    EXPECT_FALSE(router.match("GET", "/api/models/a/b").path_known);
    const auto wrong = router.match("PUT", "/api/models");
    EXPECT_EQ(wrong.route, nullptr);
    EXPECT_TRUE(wrong.path_known);
    EXPECT_THAT(wrong.allowed, ElementsAre("GET", "HEAD", "POST"));
}

TEST(Router, HeadFallsBackToGet) {
    const Router router = table();
    EXPECT_EQ(router.match("HEAD", "/api/models").route->method, "GET");
    EXPECT_EQ(router.match("HEAD", "/files/list").route->method, "HEAD");
}

TEST(RouterDeathTest, RefusesWhatWouldBeAHole) {
    EXPECT_DEATH({ Router router; router.add({"GET", "/a", "", nothing()}); }, "access");
    EXPECT_DEATH({ Router router = table(); router.add({"GET", "/api/models/{other}", "open", nothing()}); }, "exists");
    EXPECT_DEATH({ Router router; router.add({"GET", "/{a...}/b", "open", nothing()}); }, "last");
}

TEST(Target, IsDecodedOnceAndFolded) {
    EXPECT_EQ(parse_target("/a//b/")->path, "/a/b");
    EXPECT_EQ(parse_target("//")->path, "/");
    EXPECT_EQ(parse_target("/a%20b%252e")->path, "/a b%2e");
    EXPECT_EQ(parse_target("/a+b")->path, "/a+b");
    EXPECT_EQ(parse_target("/%e4%bd%a0")->path, "/\xe4\xbd\xa0");
    EXPECT_EQ(parse_target("http://h:1/x?y=1")->path, "/x");
    EXPECT_EQ(parse_target("http://h")->path, "/");
    EXPECT_EQ(parse_target("*")->path, "*");
    EXPECT_EQ(parse_target("/...")->path, "/...");
    EXPECT_THAT(parse_target("/?a=1&b=x+y%26&a=2&&c&=e")->query,
                ElementsAre(Pair("", "e"), Pair("a", "2"), Pair("b", "x y&"), Pair("c", "")));
    for (const char* bad : {"", "a", "/..", "/a/../b", "/.", "/%2e%2e/", "/%", "/%1", "/%zz", "/%00", "/%80", "/%ed%a0%80",
                            "/%f4%90%80%80", "/%f5%80%80%80", "/%e0%80%80", "/?a=%00", "/?%ff", "/#"}) {
        EXPECT_FALSE(parse_target(bad).ok()) << bad;
    }
}

TEST(Headers, CompareWithoutCase) {
    Headers headers{{"Content-Type", "a"}, {"X", "1"}, {"x", "2"}};
    EXPECT_EQ(headers.get("content-type"), "a");
    EXPECT_EQ(headers.count("x"), 2u);
    headers.set("X", "3");
    EXPECT_EQ(headers.count("x"), 1u);
    EXPECT_EQ(headers.get("x"), "3");
    headers.erase("CONTENT-TYPE");
    EXPECT_EQ(headers.get("content-type"), "");
    EXPECT_TRUE(has_word("keep-alive, Upgrade", "upgrade"));
    EXPECT_FALSE(has_word("keep-alive", "keep"));
}

}  // namespace
}  // namespace gantry::http
