#include <gtest/gtest.h>

#include "http/http.h"

namespace gantry::http {
namespace {

std::string shown(const Headers& headers) {
    std::string text;
    for (const auto& [name, value] : headers) text.append(name).append("=").append(value).append(";");
    return text;
}

TEST(Headers, KeepTheirOrderAndCompareWithoutCase) {
    Headers headers{{"Host", "x"}, {"Accept", ""}, {"accept", "b"}};
    EXPECT_EQ(headers.get("ACCEPT"), "");
    EXPECT_EQ(headers.count("accept"), 2u);
    EXPECT_EQ(headers.get("none"), "");
    EXPECT_EQ(headers.get("hos"), "");
    headers.set("ACCEPT", "c");
    headers.add("z", std::string(1'000, 'z'));
    headers.add("", "nameless");
    EXPECT_EQ(shown(headers), "Host=x;ACCEPT=c;z=" + std::string(1'000, 'z') + ";=nameless;");
    const Headers copy = headers;
    headers.erase("host");
    headers.erase("z");
    EXPECT_EQ(headers.size(), 2u);
    EXPECT_EQ(headers.get("accept"), "c");
    EXPECT_EQ(copy.get("host"), "x");
    Headers moved = std::move(headers);
    EXPECT_EQ(shown(moved), "ACCEPT=c;=nameless;");
}

}  // namespace
}  // namespace gantry::http
