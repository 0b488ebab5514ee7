#include "domain/provider.h"

#include <gtest/gtest.h>

namespace gantry {
namespace {

TEST(base_url, what_is_one) {
    struct Case {
        const char *text, *normal, *endpoint, *path;
    };
    for (const Case& c : std::initializer_list<Case>{
             {"https://api.openai.com/v1", "https://api.openai.com/v1", "tls:api.openai.com:443", "/v1"},
             {"https://API.openai.com:443/v1/", "https://api.openai.com/v1", "tls:api.openai.com:443", "/v1"},
             {"http://127.0.0.1:8081/v1//", "", "", ""},
             {"http://127.0.0.1:8081", "http://127.0.0.1:8081", "tcp:127.0.0.1:8081", ""},
             {"http://localhost/", "http://localhost", "tcp:localhost:80", ""},
             {"http://localhost:443/", "http://localhost:443", "tcp:localhost:443", ""},
             {"http://[::1]:8081/a/b%20c/v1", "http://[::1]:8081/a/b%20c/v1", "tcp:[::1]:8081", "/a/b%20c/v1"},
             {"https://[2001:DB8::1]", "https://[2001:db8::1]", "tls:[2001:db8::1]:443", ""},
             {"http://10.0.0.7:1/v1", "http://10.0.0.7:1/v1", "tcp:10.0.0.7:1", "/v1"},
             {"https://my_box.a-b.example:65535", "https://my_box.a-b.example:65535", "tls:my_box.a-b.example:65535", ""}}) {
        SCOPED_TRACE(c.text);
        const auto url = parse_base_url(c.text);
        ASSERT_EQ(url.ok(), *c.normal != '\0');
        if (!url) continue;
        EXPECT_EQ(url->text(), c.normal);
        EXPECT_EQ(url->endpoint(), c.endpoint);
        EXPECT_EQ(url->path, c.path);
        EXPECT_EQ(parse_base_url(url->text())->text(), url->text());
    }
}

TEST(base_url, what_is_none) {
    for (const char* text : {
             "", "api.openai.com/v1", "//api.openai.com", "ftp://a/v1", "file:///etc/passwd", "unix:/run/x", "HTTPS://a",
             "https:/a", "https:a", "https://", "https:///v1", "https://:80", "https://a:", "https://a:0",
             "https://a:65536", "https://a:-1", "https://a:8x", "https://a:80:81", "https://user@a",
             "https://user:pass@a/v1", "https://a@169.254.169.254/", "https://a/v1@b", "https://a/v1?x=1", "https://a?x",
             "https://a#x", "https://a/v1#", "https://a/..", "https://a/../b", "https://a//b", "https://a\\b",
             "https://a /v1", "https://a/v 1", "https://a/\r\nHost: b", "https://a\r\n/", "https://\tb",
             "https://\xc3\xa9/v1", "https://a/\xc3\xa9", "https://a/\x7f", "https://a..b", "https://.a", "https://a.",
             "https://a,b", "https://a%2eb", "https://[::1", "https://::1", "https://[]", "https://[::1]x",
             "https://[fe80::1%25eth0]", "https://[a]",
             // This machine's own link, and where clouds tell a machine its secrets, in any spelling.
             "http://169.254.169.254", "http://169.254.0.1/latest/meta-data", "http://0.0.0.0:8080", "http://0.1.2.3",
             "http://[fe80::1]", "http://[febf::1]", "http://[::]", "http://[::ffff:169.254.169.254]",
             "http://[::ffff:a9fe:a9fe]", "http://[::169.254.169.254]", "http://[64:ff9b::a9fe:a9fe]",
             "http://[fd00:ec2::254]", "http://metadata.google.internal", "http://METADATA.google.internal",
             "http://100.100.100.200", "http://2852039166", "http://0xa9fea9fe", "http://0xa9.0xfe.0xa9.0xfe",
             "http://0251.0376.0251.0376", "http://169.254.43518", "http://127.1", "http://0"}) {
        const auto url = parse_base_url(text);
        ASSERT_FALSE(url.ok()) << text;
        EXPECT_EQ(url.error().param, "base_url") << text;
    }
    EXPECT_FALSE(parse_base_url("https://a/" + std::string(1100, 'x')).ok());
    EXPECT_FALSE(parse_base_url("https://" + std::string(64, 'x')).ok());
    EXPECT_FALSE(parse_base_url(std::string_view("https://a\0b", 11)).ok());
}

TEST(base_url, another_host_is_another) {
    const BaseUrl url = parse_base_url("https://a/v1").value();
    EXPECT_TRUE(url.same_origin(parse_base_url("https://A:443/v2").value()));
    for (const char* other : {"http://a:443/v1", "https://b/v1", "https://a:444/v1"}) {
        EXPECT_FALSE(url.same_origin(parse_base_url(other).value())) << other;
    }
}

TEST(provider, names) {
    for (const char* good : {"openai", "a", "0", "my-box_2"}) EXPECT_TRUE(valid_provider_name(good)) << good;
    for (const char* bad : {"", "-a", "_a", "A", "a/b", "a.b", "a b", "\xc3\xa9"}) EXPECT_FALSE(valid_provider_name(bad)) << bad;
    EXPECT_TRUE(valid_provider_name(std::string(64, 'a')));
    EXPECT_FALSE(valid_provider_name(std::string(65, 'a')));
}

}  // namespace
}  // namespace gantry
