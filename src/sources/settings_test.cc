#include "sources/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace gantry::sources {
namespace {

using ::testing::HasSubstr;

Result<Settings> from(const std::map<std::string, std::string>& environment) {
    return settings_from([&](const char* name) {
        const auto found = environment.find(name);
        return found == environment.end() ? std::string() : found->second;
    });
}

TEST(settings, what_the_environment_says) {
    const Settings none = from({}).value();
    EXPECT_EQ(none.hugging_face.text(), "https://huggingface.co");
    EXPECT_EQ(none.modelscope.text(), "https://www.modelscope.cn");
    EXPECT_FALSE(none.offline);
    const Settings all = from({{"HF_ENDPOINT", "http://mirror.local:8080/hf/"}, {"MODELSCOPE_DOMAIN", "ms.example"}, {"HF_TOKEN", "hf_x\n"},
                               {"MODELSCOPE_API_TOKEN", "ms-y"}, {"SSL_CERT_FILE", "/ca.pem"}, {"HTTPS_PROXY", "http://proxy:3128"},
                                   {"NO_PROXY", "a.example"},
                               {"HTTP_PROXY", "http://evil"}, {"GANTRY_OFFLINE", "true"}, {"GANTRY_DOWNLOAD_LIMIT", "20M"}})
                             .value();
    EXPECT_EQ(all.hugging_face.text(), "http://mirror.local:8080/hf");
    EXPECT_EQ(all.modelscope.text(), "https://ms.example");
    EXPECT_EQ(all.hugging_face_token, "hf_x");
    EXPECT_EQ(all.modelscope_token, "ms-y");
    EXPECT_EQ(all.ca_file, "/ca.pem");
    EXPECT_EQ(all.proxy_for(parse_url("https://hub.example/").value()), "http://proxy:3128");
    EXPECT_EQ(all.proxy_for(parse_url("https://a.example/").value()), "");
    EXPECT_EQ(all.proxy_for(parse_url("http://hub.example/").value()), "") << "HTTP_PROXY in capitals is no setting";
    EXPECT_TRUE(all.offline);
    EXPECT_EQ(all.bytes_per_second, 20u << 20);
    EXPECT_EQ(from({{"ALL_PROXY", "http://p"}}).value().proxy_for(none.hugging_face), "http://p");
}

TEST(settings, what_is_wrong_is_named) {
    for (const auto& [name, value] : std::map<std::string, std::string>{{"HF_ENDPOINT", "http://169.254.169.254"}, {"MODELSCOPE_DOMAIN", "a b"},
                                                                          {"HF_TOKEN", "a\r\nhost: b"}, {"GANTRY_DOWNLOAD_LIMIT", "fast"}}) {
        const auto settings = from({{name, value}});
        ASSERT_FALSE(settings.ok()) << name;
        EXPECT_THAT(settings.error().message, HasSubstr(name));
    }
    for (const char* rate : {"0", "-1", "M", "1T", "1MM", "99999999999999999999"}) EXPECT_FALSE(from({{"GANTRY_DOWNLOAD_LIMIT", rate}}).ok()) << rate;
    EXPECT_FALSE(from({{"HF_ENDPOINT", "ftp://x"}}).ok());
}

TEST(settings, no_proxy) {
    const std::string list = "localhost,.corp.example, other.example,10.0.0.0/8,192.168.1.7,fd00::/8";
    for (const char* host : {"localhost", "a.corp.example", "corp.example", "x.other.example", "10.9.8.7", "192.168.1.7",
        "[fd00::1]"}) EXPECT_TRUE(without_proxy(list, host)) << host;
    for (const char* host : {"example", "notcorp.example", "11.0.0.1", "192.168.1.8", "[fe00::1]",
        "0.example"}) EXPECT_FALSE(without_proxy(list, host)) << host;
    EXPECT_TRUE(without_proxy("*", "anything"));
    EXPECT_FALSE(without_proxy("", "anything"));
}

}  // namespace
}  // namespace gantry::sources
