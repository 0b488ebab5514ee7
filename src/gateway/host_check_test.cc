#include <gtest/gtest.h>

#include "gateway/host_name.h"

namespace gantry::gateway {
namespace {

TEST(HostCheck, AddressesLocalhostAndOwnNamesPass) {
    const std::vector<std::string> allowed = {"gantry.example.org"};
    for (const char* host : {"127.0.0.1", "127.0.0.1:9090", "10.0.0.7:80", "[::1]", "[::1]:9090", "[2001:db8::1]", "localhost",
                             "LocalHost:9090", "localhost.", "gantry.example.org", "Gantry.Example.Org:443"}) {
        EXPECT_TRUE(host_allowed(host, allowed)) << host;
    }
    for (const char* host : {"", ":9090", "evil.example", "evil.example:9090", "gantry.example.org.evil.example",
                             "notlocalhost", "localhost.evil.example", "127.0.0.1.evil.example", "2130706433", "0x7f.1",
                             "127.1", "localhost:port", "localhost:123456", "localhost:", "[::1", "[::1]x", "[127.0.0.1]",
                             "[evil]", "::1", "a@localhost", "localhost/", "127.0.0.1:80:80", "127.0.0.1 ", "[fe80::1%eth0]"}) {
        EXPECT_FALSE(host_allowed(host, allowed)) << host;
    }
}

}  // namespace
}  // namespace gantry::gateway
