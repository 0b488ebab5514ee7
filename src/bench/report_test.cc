#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/bench.h"

namespace gantry::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TargetRuns one_target(const std::string& name, std::vector<uint32_t> panels) {
    TargetRuns entry;
    entry.target.name = name;
    entry.target.model = "m";
    entry.target.url = "http://127.0.0.1:1";
    entry.target.backend = "engine";
    entry.target.devices = "cpu";
    entry.target.api_key = "s3cret";
    for (const uint32_t count : panels) {
        Run run;
        run.concurrency = count;
        run.wall_s = 0.5;
        for (uint32_t i = 0; i < count; ++i) {
            RequestSample sample;
            sample.ok = true;
            sample.ttft_ms = 20.0 * count;
            sample.token_ms = {20.0 * count, 20.0 * count + 5, 20.0 * count + 10};
            sample.e2e_ms = sample.token_ms.back();
            sample.output_tokens = 3;
            sample.prompt_tokens = 300;
            sample.counted_from_usage = true;
            run.samples.push_back(sample);
        }
        finish(run);
        entry.runs.push_back(run);
    }
    return entry;
}

// Every key of contract.md, "Measures".
TEST(Report, HasTheContractsShape) {
    const json::object report = bench::report({one_target("a", {1, 6})}, "abc1234", "gantry compare a");
    EXPECT_EQ(report.at("version").to_number<int>(), 1);
    EXPECT_EQ(report.at("commit").as_string(), "abc1234");
    const json::object& machine = report.at("machine").as_object();
    for (const char* key : {"cpu", "cores", "memory_bytes", "kernel", "load_average", "command_line"}) {
        EXPECT_TRUE(machine.contains(key)) << key;
    }
    EXPECT_GE(machine.at("cores").to_number<int>(), 1);
    const json::object& target = report.at("targets").at(0).as_object();
    for (const char* key : {"name", "url", "model", "backend", "devices", "runs", "version", "flags"}) {
        EXPECT_TRUE(target.contains(key)) << key;
    }
    const json::object& run = target.at("runs").at(1).as_object();
    EXPECT_EQ(run.at("concurrency").to_number<int>(), 6);
    EXPECT_EQ(run.at("output_tokens").to_number<int>(), 18);
    EXPECT_EQ(run.at("prompt_tokens").to_number<int>(), 1800);
    EXPECT_DOUBLE_EQ(run.at("throughput_tok_s").to_number<double>(), 36);
    EXPECT_EQ(run.at("counted_from").as_string(), "usage");
    for (const char* key : {"ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"}) {
        for (const char* part : {"mean", "p50", "p90", "p99", "max"}) {
            EXPECT_TRUE(run.at(key).as_object().contains(part)) << key << "." << part;
        }
    }
    EXPECT_DOUBLE_EQ(run.at("itl_ms").at("p99").to_number<double>(), 5);
    EXPECT_EQ(run.at("requests_ok").to_number<int>(), 6);
    EXPECT_EQ(run.at("requests_failed").to_number<int>(), 0);
    EXPECT_EQ(run.at("cached_tokens").to_number<int>(), 0);
    EXPECT_EQ(run.at("samples").as_array().size(), 6u);
    EXPECT_EQ(run.at("samples").at(0).at("token_ms").as_array().size(), 3u);
    EXPECT_THAT(json::serialize(report), Not(HasSubstr("s3cret")));
}

TEST(Report, GoodputNamesItsSlo) {
    TargetRuns entry = one_target("a", {6});
    EXPECT_FALSE(bench::report({entry}, "c", "l").at("targets").at(0).at("runs").at(0).as_object().contains("goodput"));
    bench::Run& run = entry.runs[0];
    run.samples[0].ttft_ms = 5000;
    run.slo = Slo{200, 0};
    run.offered_rate = 12.5;
    finish(run);
    const json::object report = bench::report({entry}, "c", "l");
    const json::object& made = report.at("targets").at(0).at("runs").at(0).as_object();
    EXPECT_DOUBLE_EQ(made.at("goodput").at("slo").at("ttft_ms").to_number<double>(), 200);
    EXPECT_TRUE(made.at("goodput").at("slo").at("tpot_ms").is_null()) << "no limit";
    EXPECT_EQ(made.at("goodput").at("requests_met").to_number<int>(), 5);
    EXPECT_DOUBLE_EQ(made.at("goodput").at("requests_per_s").to_number<double>(), 10);
    EXPECT_DOUBLE_EQ(made.at("offered_rate").to_number<double>(), 12.5);
    EXPECT_DOUBLE_EQ(made.at("achieved_rate").to_number<double>(), 12);
    const std::string text = table({entry}, 80, false, false);
    for (const char* line : {"Goodput", "Kept the SLO", "Offered", "Achieved", "SLO: TTFT 200 ms, TPOT any"}) {
        EXPECT_THAT(text, HasSubstr(line));
    }
}

TEST(Table, ShowsEveryMeasureWithABarToTheRowsScale) {
    const std::string text = table({one_target("smollm2", {1, 6})}, 100, false, true);
    for (const char* word : {"TTFT mean", "TTFT p99", "TPOT", "ITL p50", "ITL p99", "Throughput", "Wall", "smollm2", "x 1", "x 6"}) {
        EXPECT_THAT(text, HasSubstr(word));
    }
    EXPECT_THAT(text, HasSubstr("20.0 ms"));
    EXPECT_THAT(text, HasSubstr("████████████     120.0 ms")) << "the largest of a row fills its bar of 12";
    EXPECT_THAT(text, HasSubstr("██           ")) << "a sixth of it fills two";
    for (const char* word : {"Failed", "Goodput", "SLO", "Offered"}) {
        EXPECT_THAT(text, Not(HasSubstr(word)));
    }
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(Table, PlainAsciiHasNoOtherBytes) {
    const std::string text = table({one_target("a", {1, 6})}, 80, false, false);
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
    EXPECT_THAT(text, HasSubstr("###"));
}

TEST(Table, NeverWiderThanTheTerminal) {
    for (const uint32_t width : {40u, 60u, 80u, 120u, 200u}) {
        const std::string text = table({one_target("a", {1, 6}), one_target("b", {1, 6}), one_target("c", {1, 6})}, width, false, false);
        size_t start = 0;
        for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', start)) {
            EXPECT_LE(end - start, width) << text.substr(start, end - start);
            start = end + 1;
        }
    }
}

TEST(Table, FailuresShow) {
    TargetRuns entry = one_target("a", {2});
    entry.runs[0].samples[0].ok = false;
    finish(entry.runs[0]);
    EXPECT_THAT(table({entry}, 80, false, false), HasSubstr("Failed"));
}

TEST(Report, ReadBackItMakesTheSameTable) {
    std::vector<TargetRuns> targets = {one_target("a", {1, 6}), one_target("b", {2})};
    targets[0].target.cards = 2;
    targets[1].error = "2 of 4 requests failed";
    const json::object report = bench::report(targets, "c", "l");
    const Result<std::vector<TargetRuns>> back = read_report(report);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(table(*back, 100, false, true), table(targets, 100, false, true));
    EXPECT_EQ(back->at(0).target.cards, 2u);
    EXPECT_EQ(back->at(0).error, "");
    EXPECT_EQ(back->at(1).error, targets[1].error);
    EXPECT_EQ(back->at(1).target.backend, "engine");
}

TEST(Report, WhatIsNoneIsRefusedAndSaysWhy) {
    for (const char* text : {"{}", R"({"version":2,"targets":[]})", R"({"version":1})", R"({"version":1,"targets":[{"name":"a"}]})",
                             R"({"version":1,"targets":[7]})", R"({"version":1,"targets":[{"runs":[7]}]})"}) {
        const Result<std::vector<TargetRuns>> read = read_report(parse_json(text)->as_object());
        ASSERT_FALSE(read) << text;
        EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
    }
    // Of another tool or a damaged file: what is missing is 0, what is absurd is no crash.
    const auto odd = read_report(parse_json(R"({"version":1,"targets":[{"runs":[{"concurrency":-1,"wall_s":"x","requests_ok":1e300}]}]})")->as_object());
    ASSERT_TRUE(odd);
    EXPECT_EQ(odd->at(0).runs.at(0).concurrency, 0u);
    EXPECT_EQ(odd->at(0).runs.at(0).requests_ok, 0u);
}

TEST(Report, SamplesBeyondTheLimitAreLeftOutAndSaidSo) {
    TargetRuns entry = one_target("a", {6});
    const double p99 = entry.runs[0].itl_ms.p99;
    ASSERT_NE(p99, 0);
    cap_samples(entry.runs[0], 4, 7);
    const json::object report = bench::report({entry}, "c", "l");
    const json::object& run = report.at("targets").at(0).at("runs").at(0).as_object();
    const json::array& samples = run.at("samples").as_array();
    ASSERT_EQ(samples.size(), 4u);
    EXPECT_EQ(run.at("samples_left_out").to_number<int>(), 2);
    EXPECT_EQ(samples.at(1).at("token_ms").as_array().size(), 3u);
    EXPECT_TRUE(samples.at(2).at("token_ms").is_null()) << "of whole requests";
    EXPECT_EQ(run.at("requests_ok").to_number<int>(), 6) << "figures are of all";
    EXPECT_DOUBLE_EQ(run.at("itl_ms").at("p99").to_number<double>(), p99);
    EXPECT_FALSE(bench::report({one_target("a", {6})}, "c", "l").at("targets").at(0).at("runs").at(0).as_object().contains("samples_left_out"));
}

}  // namespace
}  // namespace gantry::bench
