#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(BenchmarkInput, ReadsEveryFieldOfALoad) {
    const auto input = parse_benchmark_create(R"({"name":"evening","kind":"load","concurrencies":[8,1],"prompt_tokens":512,
        "shared_prefix_tokens":100,"requests":40,"output_tokens":128,"temperature":0.5,"ignore_eos":true,"seed":7,
        "targets":[{"deployment":"a/b"},{"name":"other","url":"https://example.org/v1/","model":"m x","api_key":"s3cret"}]})");
    ASSERT_TRUE(input.ok()) << input.error().message;
    EXPECT_EQ(input->name, "evening");
    BenchmarkSettings expected;
    expected.concurrencies = {8, 1};
    expected.prompt_tokens = 512;
    expected.shared_prefix_tokens = 100;
    expected.requests = 40;
    expected.output_tokens = 128;
    expected.temperature = 0.5;
    expected.ignore_eos = true;
    expected.seed = 7;
    EXPECT_EQ(input->settings, expected);
    EXPECT_TRUE(input->seed_given);
    ASSERT_EQ(input->targets.size(), 2u);
    EXPECT_EQ(input->targets[0].name, "a/b");
    EXPECT_EQ(input->targets[0].deployment, "a/b");
    EXPECT_EQ(input->targets[0].model, "a/b");
    EXPECT_EQ(input->targets[1].deployment, "");
    EXPECT_EQ(input->targets[1].url, "https://example.org/v1");
    EXPECT_EQ(input->targets[1].model, "m x");
    EXPECT_TRUE(input->targets[1].has_api_key);
    EXPECT_EQ(input->targets[1].sealed_key, "") << "sealing is not protocol's";
    EXPECT_THAT(input->keys, testing::ElementsAre("", "s3cret"));
}

TEST(BenchmarkInput, HasSensibleDefaults) {
    const auto input = parse_benchmark_create(R"({"targets":[{"deployment":"a"},{"deployment":"b"}]})");
    ASSERT_TRUE(input.ok()) << input.error().message;
    EXPECT_EQ(input->name, "load: a, b");
    EXPECT_FALSE(input->seed_given);
    BenchmarkSettings expected;
    EXPECT_EQ(input->settings, expected);
    const auto compare = parse_benchmark_create(R"({"kind":"compare","rounds":3,"concurrencies":[6],"targets":[{"deployment":"a"}]})");
    ASSERT_TRUE(compare.ok()) << compare.error().message;
    EXPECT_EQ(requests_of_run(compare->settings, 6), 18u);
}

struct Refused {
    const char* body;
    const char* param;
    const char* says;
};

TEST(BenchmarkInput, RefusalsNameThePath) {
    const Refused cases[] = {
        {"", "", "empty"},
        {"[]", "", "object"},
        {"{}", "targets", "missing"},
        {R"({"targets":null})", "targets", "missing"},
        {R"({"targets":{}})", "targets", "list"},
        {R"({"targets":[]})", "targets", "1 to 8"},
        {R"({"targets":[{"deployment":"a"},{"deployment":"b"},{"deployment":"c"},{"deployment":"d"},{"deployment":"e"},{"deployment":"f"},
             {"deployment":"g"},{"deployment":"h"},{"deployment":"i"}]})", "targets", "9 entries"},
        {R"({"targets":["a"]})", "targets[0]", "object"},
        {R"({"targets":[{}]})", "targets[0].deployment", "needs a deployment"},
        {R"({"targets":[{"deployment":7}]})", "targets[0].deployment", "string"},
        {R"({"targets":[{"deployment":"../x"}]})", "targets[0].deployment", "no deployment's name"},
        {R"({"targets":[{"deployment":"a","url":"http://x","model":"m"}]})", "targets[0].url", "one or the other"},
        {R"({"targets":[{"deployment":"a","api_key":"k"}]})", "targets[0].api_key", ""},
        {R"({"targets":[{"deployment":"a"},{"deployment":"a"}]})", "targets[1].name", "two targets"},
        {R"({"targets":[{"url":"http://x"}]})", "targets[0].model", "missing"},
        {R"({"targets":[{"url":"ftp://x","model":"m"}]})", "targets[0].url", "http"},
        {R"({"targets":[{"url":"http://u:p@x","model":"m"}]})", "targets[0].url", "user"},
        {R"({"targets":[{"url":"http://169.254.169.254/v1","model":"m"}]})", "targets[0].url", "keep secrets"},
        {R"({"targets":[{"url":"http://[fd00:ec2::254]/v1","model":"m"}]})", "targets[0].url", ""},
        {R"({"targets":[{"url":"http://x/../v1","model":"m"}]})", "targets[0].url", ".."},
        {R"({"targets":[{"url":"http://x?y=1","model":"m"}]})", "targets[0].url", "query"},
        {R"({"targets":[{"url":"http://x\\@y","model":"m"}]})", "targets[0].url", ""},
        {R"({"targets":[{"url":"unix:/run/x.sock","model":"m"}]})", "targets[0].url", ""},
        {R"({"targets":[{"url":"http://x","model":"m","api_key":"a\r\nx: y"}]})", "targets[0].api_key", "visible ASCII"},
        {R"({"targets":[{"url":"http://x","model":"a\nb"}]})", "targets[0].model", ""},
        {R"({"targets":[{"deployment":"a","name":""}]})", "targets[0].name", "1 to 64"},
        {R"({"targets":[{"deployment":"a","name":"\u001b[2J"}]})", "targets[0].name", "in a line"},
        {R"({"targets":[{"deployment":"a","other":1}]})", "targets[0].other", ""},
        {R"({"targets":[{"deployment":"a"}],"kind":"stress"})", "kind", "load or compare"},
        {R"({"targets":[{"deployment":"a"}],"kind":7})", "kind", "string"},
        {R"({"targets":[{"deployment":"a"}],"concurrencies":[]})", "concurrencies", "1 to 8"},
        {R"({"targets":[{"deployment":"a"}],"concurrencies":8})", "concurrencies", "list"},
        {R"({"targets":[{"deployment":"a"}],"concurrencies":[1,0]})", "concurrencies[1]", "1 to 256"},
        {R"({"targets":[{"deployment":"a"}],"concurrencies":[257]})", "concurrencies[0]", "1 to 256"},
        {R"({"targets":[{"deployment":"a"}],"concurrencies":[1.5]})", "concurrencies[0]", "whole number"},
        {R"({"targets":[{"deployment":"a"}],"concurrencies":[18446744073709551615]})", "concurrencies[0]", "1 to 256"},
        {R"({"targets":[{"deployment":"a"}],"concurrencies":[2,4,2]})", "concurrencies[2]", "twice"},
        {R"({"targets":[{"deployment":"a"}],"concurrencies":[1,2,3,4,5,6,7,8,9]})", "concurrencies", "9 entries"},
        {R"({"targets":[{"deployment":"a"}],"prompt_tokens":23})", "prompt_tokens", "24 to 32768"},
        {R"({"targets":[{"deployment":"a"}],"prompt_tokens":32769})", "prompt_tokens", "24 to 32768"},
        {R"({"targets":[{"deployment":"a"}],"prompt_tokens":100,"shared_prefix_tokens":101})", "shared_prefix_tokens", "part of"},
        {R"({"targets":[{"deployment":"a"}],"requests":0})", "requests", "1 to 2000"},
        {R"({"targets":[{"deployment":"a"}],"requests":2001})", "requests", "1 to 2000"},
        {R"({"targets":[{"deployment":"a"}],"duration_seconds":601})", "duration_seconds", "1 to 600"},
        {R"({"targets":[{"deployment":"a"}],"duration_seconds":10,"requests":10})", "duration_seconds", "not both"},
        {R"({"targets":[{"deployment":"a"}],"rounds":2})", "rounds", "\"compare\""},
        {R"({"targets":[{"deployment":"a"}],"kind":"compare","requests":2})", "requests", "\"load\""},
        {R"({"targets":[{"deployment":"a"}],"kind":"compare","concurrencies":[256],"rounds":20})", "rounds", "2000"},
        {R"({"targets":[{"deployment":"a"}],"output_tokens":4097})", "output_tokens", "1 to 4096"},
        {R"({"targets":[{"deployment":"a"}],"temperature":-1})", "temperature", "0 to 2"},
        {R"({"targets":[{"deployment":"a"}],"temperature":"hot"})", "temperature", "number"},
        {R"({"targets":[{"deployment":"a"}],"ignore_eos":1})", "ignore_eos", "true or false"},
        {R"({"targets":[{"deployment":"a"}],"seed":0})", "seed", "from 1"},
        {R"({"targets":[{"deployment":"a"}],"name":"a\u0000b"})", "name", "NUL"},
        {R"({"targets":[{"deployment":"a"}],"user_id":"usr_admin"})", "user_id", ""},
        {R"({"targets":[{"deployment":"a"}],"requests":2000,"prompt_tokens":2001})", "prompt_tokens", "4000000"},
        {R"({"targets":[{"deployment":"a"},{"deployment":"b"}],"requests":2000,"concurrencies":[1,2,3,4,5,6]})", "requests", "20000"},
        {R"({"targets":[{"deployment":"a"},{"deployment":"b"}],"duration_seconds":600,"concurrencies":[1,2,3,4,5,6,7]})", "duration_seconds",
         "7200"},
    };
    for (const Refused& one : cases) {
        const auto input = parse_benchmark_create(one.body);
        ASSERT_FALSE(input.ok()) << one.body;
        EXPECT_EQ(input.error().code, ErrorCode::kInvalidArgument) << one.body;
        EXPECT_EQ(input.error().param, one.param) << one.body << "\n" << input.error().message;
        EXPECT_THAT(input.error().message, HasSubstr(one.says)) << one.body;
        EXPECT_THAT(input.error().message, Not(HasSubstr("base_url"))) << "that is another object's field";
    }
}

TEST(BenchmarkInput, ALongNameIsCutBetweenTargetsAndCharacters) {
    std::string targets;
    for (int i = 0; i < 8; ++i) {
        targets += (i == 0 ? "" : ",") + std::string(R"({"deployment":"a-rather-long-deployment-)") + std::to_string(i) + "\"}";
    }
    const auto many = parse_benchmark_create("{\"targets\":[" + targets + "]}");
    ASSERT_TRUE(many.ok());
    EXPECT_LE(many->name.size(), 64u);
    EXPECT_TRUE(many->name.ends_with("..."));
    std::string wide;
    for (int i = 0; i < 40; ++i) wide += "模";
    const auto chinese = parse_benchmark_create(R"({"targets":[{"url":"http://x","model":")" + wide + R"("}]})");
    ASSERT_TRUE(chinese.ok()) << chinese.error().message;
    EXPECT_EQ(chinese->targets[0].name.size(), 63u);
    EXPECT_EQ(chinese->targets[0].model, wide);
}

TEST(BenchmarkObject, ShowsNoKeyAndItsResultOnlyWhereAsked) {
    Benchmark b;
    b.targets.resize(1);
    b.targets[0].name = "t";
    b.targets[0].url = "http://x/v1";
    b.targets[0].sealed_key = "c2VhbGVk";
    b.targets[0].has_api_key = true;
    b.result = R"({"version":1})";
    const json::object whole = to_json(b, 3, true);
    EXPECT_THAT(json::serialize(whole), Not(HasSubstr("c2VhbGVk")));
    EXPECT_EQ(whole.at("before_it").to_number<int>(), 3);
    EXPECT_TRUE(whole.at("targets").at(0).at("deployment").is_null());
    EXPECT_EQ(whole.at("result").at("version").to_number<int>(), 1);
    EXPECT_FALSE(to_json(b, 0, false).contains("result"));
    b.result.clear();
    b.state = BenchmarkState::kRunning;
    EXPECT_TRUE(to_json(b, 0, true).at("result").is_null());
    EXPECT_TRUE(to_json(b, 0, true).at("before_it").is_null());
    b.settings.kind = BenchmarkKind::kCompare;
    EXPECT_TRUE(to_json(b, 0, false).at("prompt_tokens").is_null());
    EXPECT_EQ(to_json(b, 0, false).at("rounds").to_number<int>(), 1);
}

}  // namespace
}  // namespace gantry::protocol::management
