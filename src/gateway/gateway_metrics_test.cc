// What /metrics says of a model's requests.
#include "gateway/gateway_metrics.h"

#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

// The value of the line that begins with `series`; -1: there is none.
double value_of(const std::string& series) {
    const std::string text = metrics::text();
    const size_t at = text.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

TEST(TokenGaps, CountsWhatLiesBetweenEvents) {
    TokenGaps gaps;
    const SteadyTime begin{};
    gaps.add(begin + 100ms, 1);   // the first: no gap yet
    gaps.add(begin + 104ms, 2);   // 4 ms
    gaps.add(begin + 104ms, 2);   // nothing new
    gaps.add(begin + 134ms, 5);   // 30 ms, and two more that came with it
    EXPECT_EQ(gaps.events(), 5u);
    prometheus::Histogram& histogram = metrics::seconds("gantry_test_gaps_seconds", "of this test");
    gaps.observe_in(histogram);
    EXPECT_EQ(value_of("gantry_test_gaps_seconds_count"), 4);
    EXPECT_NEAR(value_of("gantry_test_gaps_seconds_sum"), 0.034, 1e-9);
    EXPECT_EQ(value_of("gantry_test_gaps_seconds_bucket{le=\"0.001\"}"), 2);
    EXPECT_EQ(value_of("gantry_test_gaps_seconds_bucket{le=\"0.0025\"}"), 2);
    EXPECT_EQ(value_of("gantry_test_gaps_seconds_bucket{le=\"0.005\"}"), 3);
    EXPECT_EQ(value_of("gantry_test_gaps_seconds_bucket{le=\"0.05\"}"), 4);
}

TEST(TokenGaps, AVeryLongGapIsInTheLastBucket) {
    TokenGaps gaps;
    gaps.add(SteadyTime{}, 1);
    gaps.add(SteadyTime{} + 1h, 2);
    gaps.observe_in(metrics::seconds("gantry_test_long_gaps_seconds", "of this test"));
    EXPECT_EQ(value_of("gantry_test_long_gaps_seconds_bucket{le=\"120\"}"), 0);
    EXPECT_EQ(value_of("gantry_test_long_gaps_seconds_bucket{le=\"+Inf\"}"), 1);
}

class GatewayMetricsTest : public GatewayRig {
protected:
    void serve_as(const std::string& name, ScriptedEngine::Script script) {
        ScriptedEngine& only = engine(std::move(script));
        model(name, {target_of("ins_0", only.endpoint())});
        start();
    }
};

TEST_F(GatewayMetricsTest, AStreamIsInEveryHistogramOfItsModel) {
    serve_as("streamed", streams({data(chunk("a")), data(chunk("b")), data(chunk("c")) + data(kFinish), data(kUsage) + kDone}));
    EXPECT_EQ(chat(true, {}, "streamed").status, 200);
    records(1);
    EXPECT_EQ(value_of("gantry_gateway_time_to_first_token_seconds_count{model=\"streamed\"}"), 1);
    EXPECT_EQ(value_of("gantry_gateway_inter_token_seconds_count{model=\"streamed\"}"), 2);
    EXPECT_EQ(value_of("gantry_gateway_request_seconds_count{model=\"streamed\"}"), 1);
    for (const char* part : {"queue", "prefill", "decode"}) {
        EXPECT_EQ(value_of("gantry_gateway_" + std::string(part) + "_seconds_count{model=\"streamed\"}"), 1) << part;
    }
    EXPECT_NEAR(value_of("gantry_gateway_queue_seconds_sum{model=\"streamed\"}"), 0.0015, 1e-9);
    EXPECT_EQ(value_of("gantry_gateway_cached_tokens_total{model=\"streamed\"}"), 8);
    EXPECT_EQ(value_of("gantry_gateway_reasoning_tokens_total{model=\"streamed\"}"), 0);
}

TEST_F(GatewayMetricsTest, AWholeAnswerHasNoGapsAndAFailureNoTime) {
    int asked = 0;
    serve_as("whole", [&asked](Exchange& exchange, ScriptedEngine&) {
        return respond_with(exchange, ++asked == 1 ? http::json_response(200, kAnswer) : http::json_response(400, "{}"));
    });
    EXPECT_EQ(chat(false, {}, "whole").status, 200);
    EXPECT_EQ(chat(false, {}, "whole").status, 400);
    records(2);
    EXPECT_EQ(value_of("gantry_gateway_request_seconds_count{model=\"whole\"}"), 1);
    EXPECT_EQ(value_of("gantry_gateway_queue_seconds_count{model=\"whole\"}"), 1);
    EXPECT_EQ(value_of("gantry_gateway_inter_token_seconds_count{model=\"whole\"}"), 0);
    EXPECT_EQ(value_of("gantry_gateway_tokens_total{direction=\"prompt\",model=\"whole\"}"), 11);
}

}  // namespace
}  // namespace gantry::gateway
