// The console's files over HTTP. Holds with and without the console built in.
#include "control/api/console.h"

#include "control/control_test_support.h"

namespace gantry::control {
namespace {

class ConsoleTest : public testing::Test {
protected:
    TempDir dir_;
    Plane plane_{dir_.path()};
    Reply get(const std::string& path, const std::string& coding = "") {
        http::Headers headers;
        if (!coding.empty()) headers.set("accept-encoding", coding);
        return plane_.ask("GET", path, "", "", headers);
    }
};

TEST_F(ConsoleTest, every_page_starts_the_application_and_allows_nothing_foreign) {
    const Reply home = get("/");
    ASSERT_EQ(home.status, 200);
    EXPECT_EQ(home.headers.get("content-type"), "text/html; charset=utf-8");
    EXPECT_EQ(home.headers.get("cache-control"), "no-cache");
    const std::string policy(home.headers.get("content-security-policy"));
    EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
    EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
    EXPECT_EQ(policy.find("unsafe"), std::string::npos) << policy;
    EXPECT_EQ(home.headers.get("x-content-type-options"), "nosniff");
    for (const char* page : kConsolePages) {
        EXPECT_EQ(get(std::string("/") + page).text, home.text) << page;
        EXPECT_EQ(get(std::string("/") + page + "/a/b?c=d").text, home.text) << page;
    }
    EXPECT_EQ(get("/no-page").status, 404);
}

TEST_F(ConsoleTest, files_are_immutable_and_compressed_as_asked) {
    for (const ConsoleFile& file : console_files()) {
        if (file.name == "index.html") continue;
        const std::string path = "/" + std::string(file.name);
        const Reply plain = get(path);
        EXPECT_EQ(plain.text, file.plain) << path;
        EXPECT_EQ(plain.headers.get("content-encoding"), "");
        EXPECT_THAT(std::string(plain.headers.get("cache-control")), HasSubstr("immutable"));
        EXPECT_EQ(plain.headers.get("vary"), "accept-encoding");
        if (file.gzip.empty()) continue;
        EXPECT_EQ(get(path, "gzip, deflate").headers.get("content-encoding"), "gzip");
        EXPECT_EQ(get(path, "gzip, deflate, br").text, file.brotli.empty() ? file.gzip : file.brotli);   // a tiny one may gain by one alone
        EXPECT_EQ(get(path, "gzip;q=0, br;q=0").headers.get("content-encoding"), "");
    }
}

TEST_F(ConsoleTest, a_file_of_another_version_is_not_there_and_is_not_kept) {
    const Reply missing = get("/assets/index-of-old.js");
    EXPECT_EQ(missing.status, 404);
    EXPECT_EQ(missing.headers.get("cache-control"), "no-store");
    EXPECT_EQ(get("/assets/..%2f..%2fetc%2fpasswd").status, 400);
}

}  // namespace
}  // namespace gantry::control
