#include "backends/metrics_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/backends_for_test.h"

namespace gantry::backends {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MetricsNames, OfSglangAsRecorded) {
    EXPECT_EQ(common_metrics(BackendKind::kSglang, recorded("sglang-metrics.txt")),
              "# HELP gantry_engine_sequences_running Sequences that are computed.\n# TYPE gantry_engine_sequences_running gauge\n"
              "gantry_engine_sequences_running 162\n"
              "# HELP gantry_engine_sequences_waiting Sequences that wait for a place.\n# TYPE gantry_engine_sequences_waiting gauge\n"
              "gantry_engine_sequences_waiting 2826\n"
              "# HELP gantry_engine_kv_usage_ratio Share of the KV cache in use.\n# TYPE gantry_engine_kv_usage_ratio gauge\n"
              "gantry_engine_kv_usage_ratio 0.28\n"
              "# HELP gantry_engine_prompt_tokens_total Prompt tokens taken in.\n# TYPE gantry_engine_prompt_tokens_total counter\n"
              "gantry_engine_prompt_tokens_total 8128902\n"
              "# HELP gantry_engine_generated_tokens_total Tokens published.\n# TYPE gantry_engine_generated_tokens_total counter\n"
              "gantry_engine_generated_tokens_total 7557572\n"
              "# HELP gantry_engine_time_to_first_token_seconds From a request to its first token.\n"
              "# TYPE gantry_engine_time_to_first_token_seconds histogram\n"
              "gantry_engine_time_to_first_token_seconds_bucket{le=\"0.001\"} 0\n"
              "gantry_engine_time_to_first_token_seconds_bucket{le=\"0.1\"} 6\n"
              "gantry_engine_time_to_first_token_seconds_bucket{le=\"1.0\"} 27\n"
              "gantry_engine_time_to_first_token_seconds_bucket{le=\"10.0\"} 1330\n"
              "gantry_engine_time_to_first_token_seconds_bucket{le=\"30.0\"} 2513\n"
              "gantry_engine_time_to_first_token_seconds_bucket{le=\"+Inf\"} 11008\n"
              "gantry_engine_time_to_first_token_seconds_sum 2351897.9474117756\n"
              "gantry_engine_time_to_first_token_seconds_count 11008\n");
}

TEST(MetricsNames, OfVllmAndLlamaServerAsRecorded) {
    const std::string vllm = common_metrics(BackendKind::kVllm, recorded("vllm-metrics.txt"));
    for (const char* sample : {"sequences_running 0", "sequences_waiting 0", "kv_usage_ratio 0", "prompt_tokens_total 117",
                               "generated_tokens_total 42", "cached_tokens_total 0", "preemptions_total 0",
                               "time_to_first_token_seconds_count 3", "inter_token_seconds_count 39",
                               "request_seconds_bucket{le=\"+Inf\"} 3"}) {
        EXPECT_THAT(vllm, HasSubstr("\ngantry_engine_" + std::string(sample) + "\n"));
    }
    EXPECT_THAT(vllm, Not(HasSubstr("vllm:")));
    const std::string llama = common_metrics(BackendKind::kLlamaServer, recorded("llama-server-metrics.txt"));
    for (const char* sample : {"sequences_running 0", "sequences_waiting 0", "prompt_tokens_total 34", "generated_tokens_total 32",
                               "cached_tokens_total 32"}) {
        EXPECT_THAT(llama, HasSubstr("\ngantry_engine_" + std::string(sample) + "\n"));
    }
}

TEST(MetricsNames, SeveralSamplesBecomeOne) {
    const std::string text = common_metrics(BackendKind::kVllm,
                                            "vllm:num_requests_running{engine=\"0\",model_name=\"a\\\"}b\"} 2.0 1700000000\n"
                                            "vllm:num_requests_running{engine=\"1\"} 5.0\n"
                                            "vllm:prompt_tokens_total{engine=\"0\"} 10\nvllm:prompt_tokens_total{engine=\"1\"} 5\n"
                                            "vllm:prompt_tokens_created{engine=\"0\"} 1.7e9\n"
                                            "vllm:time_to_first_token_seconds_bucket{le=\"1\",engine=\"0\"} 1\n"
                                            "vllm:time_to_first_token_seconds_bucket{engine=\"1\",le=\"1\"} 2\n"
                                            "vllm:time_to_first_token_seconds_count 3\n");
    EXPECT_THAT(text, HasSubstr("\ngantry_engine_sequences_running 5\n"));
    EXPECT_THAT(text, HasSubstr("\ngantry_engine_prompt_tokens_total 15\n"));
    EXPECT_THAT(text, HasSubstr("\ngantry_engine_time_to_first_token_seconds_bucket{le=\"1\"} 3\n"));
    EXPECT_THAT(text, Not(HasSubstr("created")));
}

TEST(MetricsNames, OfTwoNamesTheNewerCounts) {
    const std::string both = common_metrics(BackendKind::kVllm, "vllm:gpu_cache_usage_perc 0.9\nvllm:kv_cache_usage_perc 0.5\n");
    EXPECT_THAT(both, HasSubstr("\ngantry_engine_kv_usage_ratio 0.5\n"));
    EXPECT_THAT(both, Not(HasSubstr("0.9")));
    EXPECT_THAT(common_metrics(BackendKind::kVllm, "vllm:gpu_cache_usage_perc 0.9\n"), HasSubstr("\ngantry_engine_kv_usage_ratio 0.9\n"));
}

TEST(MetricsNames, NonsenseSaysNothing) {
    for (const char* text : {"", "\n\n", "vllm:num_requests_running", "vllm:num_requests_running{", "vllm:num_requests_running{a=\"} 1",
                             "vllm:num_requests_running NaN", "vllm:num_requests_running +Inf", "vllm:num_requests_running x",
                             "vllm:num_requests_running_more 4", "vllm:time_to_first_token_seconds 4",
                             "# TYPE vllm:num_requests_running gauge",
                             "vllm:num_requests_running{a=\"\\"}) {
        EXPECT_EQ(common_metrics(BackendKind::kVllm, text), "") << text;
    }
    std::string many;
    for (int i = 0; i < 1000; ++i) many += "vllm:time_to_first_token_seconds_bucket{le=\"" + std::to_string(i) + "\"} 1\n";
    many += "vllm:time_to_first_token_seconds_bucket{le=\"1\\\"} evil\"} 1\nvllm:time_to_first_token_seconds_bucket{le=\"x\"} 1\n";
    const std::string few = common_metrics(BackendKind::kVllm, many);
    EXPECT_THAT(few, HasSubstr("{le=\"99\"}"));
    EXPECT_THAT(few, Not(HasSubstr("{le=\"100\"}")));
    EXPECT_EQ(common_metrics(BackendKind::kVllm, "vllm:time_to_first_token_seconds_bucket{le=\"1\\\"} evil\"} 1\n").find("evil"),
              std::string::npos);
    EXPECT_EQ(common_metrics(BackendKind::kCustom, "vllm:num_requests_running 1\n"), "");
    EXPECT_EQ(common_metrics(BackendKind::kEngine, "gantry_engine_steps_total 7\n"), "gantry_engine_steps_total 7\n");
}

TEST(MetricsNames, OfMindie) {
    const std::string text = common_metrics(BackendKind::kMindie,
                                            "num_requests_running{model_name=\"m\"} 3\nnpu_cache_usage_perc{model_name=\"m\"} 0.25\n"
                                            "request_prompt_tokens_sum 9\nprompt_tokens_total{model_name=\"m\"} 12\n");
    EXPECT_THAT(text, HasSubstr("gantry_engine_sequences_running 3\n"));
    EXPECT_THAT(text, HasSubstr("gantry_engine_kv_usage_ratio 0.25\n"));
    EXPECT_THAT(text, HasSubstr("gantry_engine_prompt_tokens_total 12\n"));
}

}  // namespace
}  // namespace gantry::backends
