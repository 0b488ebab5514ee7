#include "base/url.h"

#include <gtest/gtest.h>

namespace gantry {
namespace {

TEST(url, whole_ones) {
    const Url url = parse_url("https://Hub.example:8443/a/b%20c?x=/1&y=a@b").value();
    EXPECT_EQ(url.host, "hub.example");
    EXPECT_EQ(url.origin(), "https://hub.example:8443");
    EXPECT_EQ(url.path, "/a/b%20c");
    EXPECT_EQ(url.query, "?x=/1&y=a@b");
    EXPECT_EQ(url.target(), "/a/b%20c?x=/1&y=a@b");
    EXPECT_EQ(url.text(), "https://hub.example:8443/a/b%20c?x=/1&y=a@b");
    EXPECT_EQ(url.endpoint(), "tls:hub.example:8443");
    EXPECT_EQ(parse_url("http://a?q").value().target(), "/?q");
    EXPECT_EQ(parse_url("http://a:80").value().text(), "http://a");
}

TEST(url, what_is_none_or_means_two_things) {
    for (const char* bad : {"", "hub.example", "ftp://a", "file:///etc/passwd", "gopher://a", "data:text/plain,x", "https:/a", "HTTPS://a", "http://",
                            "http://:80/", "http://a:0", "http://a:99999", "http://good@evil", "http://good:x@evil/", "http://good\\@evil",
                            "http://good\\.evil", "http://a#b", "http://a/#b", "http://a b", "http://a\tb", "http://a\nb", "http://a/\r\nx",
                            "http://\xe2\x80\xae", "http://a..b", "http://a.", "http://127.1", "http://0x7f.1", "http://2130706433", "http://[::1",
                            "http://[fe80::1%25lo]", "http://a%2fb", "http://1.2.3.4.5", "http://[1.2.3.4]"}) {
        const auto url = parse_url(bad);
        ASSERT_FALSE(url.ok()) << bad;
        EXPECT_FALSE(url.error().message.empty());
    }
    EXPECT_FALSE(parse_url("http://a/" + std::string(kUrlBytesMax, 'x')).ok());
    EXPECT_FALSE(parse_url(std::string_view("http://a\0b", 10)).ok());
}

TEST(url, where_a_redirect_leads) {
    const Url from = parse_url("https://a.example:444/x/y?z").value();
    EXPECT_EQ(parse_redirect(from, "/q?w").value().text(), "https://a.example:444/q?w");
    EXPECT_EQ(parse_redirect(from, "//b.example/q").value().text(), "https://b.example/q");
    EXPECT_EQ(parse_redirect(from, "http://b.example/q#part").value().text(), "http://b.example/q");
    for (const char* bad : {"", "q", "file:///etc/passwd", "javascript:x", "//", "/\\evil", "///evil"}) {
        EXPECT_FALSE(parse_redirect(from, bad).ok()) << bad;
    }
}

TEST(url, how_near_an_address_is) {
    const std::pair<const char*, Nearness> cases[] = {
        {"http://8.8.8.8", Nearness::kPublic},          {"http://10.1.2.3", Nearness::kPrivate},       {"http://172.31.0.1", Nearness::kPrivate},
        {"http://172.32.0.1", Nearness::kPublic},       {"http://192.168.9.9", Nearness::kPrivate},    {"http://100.64.0.1", Nearness::kPrivate},
        {"http://127.0.0.1", Nearness::kLoopback},      {"http://127.9.9.9", Nearness::kLoopback},     {"http://localhost", Nearness::kLoopback},
        {"http://a.localhost", Nearness::kLoopback},    {"http://169.254.169.254", Nearness::kForbidden}, {"http://0.0.0.0", Nearness::kForbidden},
        {"http://224.0.0.1", Nearness::kForbidden},     {"http://100.100.100.200", Nearness::kForbidden}, {"http://[::1]", Nearness::kLoopback},
        {"http://[::ffff:127.0.0.1]", Nearness::kLoopback}, {"http://[::ffff:10.0.0.1]", Nearness::kPrivate}, {"http://[::]", Nearness::kForbidden},
        {"http://[fe80::1]", Nearness::kForbidden},     {"http://[fd00:ec2::254]", Nearness::kForbidden}, {"http://[fd00::1]", Nearness::kPrivate},
        {"http://[2001:db8::1]", Nearness::kPublic},    {"http://[64:ff9b::a9fe:a9fe]", Nearness::kForbidden},
            {"http://[ff02::1]", Nearness::kForbidden},
        {"http://metadata.google.internal", Nearness::kForbidden}, {"http://hub.example", Nearness::kPublic}};
    for (const auto& [text, nearness] : cases) EXPECT_EQ(nearness_of_host(parse_url(text).value().host), nearness) << text;
}

TEST(url, encoded) {
    EXPECT_EQ(url_encoded("a b/c~%\xc3\xa9"), "a%20b%2Fc~%25%C3%A9");
    EXPECT_EQ(url_encoded("a b/c", true), "a%20b/c");
}

}  // namespace
}  // namespace gantry
