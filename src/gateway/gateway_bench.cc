// What the gateway costs a request and an event, beside the engine. The parts are measured alone, so that a change shows.

#include <benchmark/benchmark.h>

#include "gateway/api_key.h"
#include "gateway/event_check.h"
#include "gateway/gateway.h"
#include "gateway/gateway_metrics.h"
#include "gateway/meter.h"
#include "gateway/request_log.h"
#include "gateway/stream_rewriter.h"
#include "gateway/trace_context.h"

namespace gantry::gateway {
namespace {

const std::string kChunk =
    R"({"id":"chatcmpl-0123456789abcdefghjkmnpq","object":"chat.completion.chunk","created":1795468943,)"
    R"("model":"smollm2","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]})";

void check(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(check_event(kChunk));
}
BENCHMARK(check);

void rewrite(benchmark::State& state) {
    StreamRewriter rewriter({"smollm2", state.range(0) == 1, false});
    http::SseReader reader;
    const std::string framed = "data: " + kChunk + "\n\n";
    std::string out;
    for (auto _ : state) {
        out.clear();
        const auto events = reader.feed(framed);
        benchmark::DoNotOptimize(rewriter.take(events->front(), out));
    }
}
BENCHMARK(rewrite)->ArgName("foreign")->Arg(0)->Arg(1);

void authenticate_key(benchmark::State& state) {
    AuthTable table;
    const NewKey key = make_key(system_random());
    User user;
    user.id = UserId("usr_1");
    table.users[user.id] = user;
    ApiKey row;
    row.user_id = user.id;
    row.secret_digest = key.secret_digest;
    table.keys[key.public_id] = row;
    http::Request request;
    request.headers = {{"host", "localhost"}, {"authorization", "Bearer " + key.text}};
    for (auto _ : state) benchmark::DoNotOptimize(authenticate(table, request, WallTime{}));
}
BENCHMARK(authenticate_key);

void token_gap(benchmark::State& state) {
    TokenGaps gaps;
    uint32_t events = 0;
    for (auto _ : state) gaps.add(system_clock().steady(), ++events);
    benchmark::DoNotOptimize(gaps.events());
}
BENCHMARK(token_gap);

void log_line(benchmark::State& state) {
    const http::Headers headers{{"host", "localhost"}};
    Principal who;
    who.user_name = "ann";
    who.key_id = ApiKeyId("key_0123456789ab");
    UsageRecord record;
    record.model = "smollm2";
    record.instance_id = InstanceId("ins_0123456789ab");
    record.operation = "chat";
    record.prompt_tokens = 311;
    for (auto _ : state) benchmark::DoNotOptimize(log_fields(who, record, traceparent_of(headers), {}));
}
BENCHMARK(log_line);

void journal(benchmark::State& state) {
    auto meter = Meter::open("/tmp/gantry_bench_journal", 8u << 20);
    UsageRecord record;
    record.request_id = "0123456789abcdefghjkmnpq";
    record.model = "smollm2";
    for (auto _ : state) (*meter)->append(record);
}
BENCHMARK(journal)->Iterations(100'000);

}  // namespace
}  // namespace gantry::gateway
