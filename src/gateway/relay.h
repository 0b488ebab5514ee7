#pragma once
// One request on its way to an engine and back. Chooses an instance, forwards, re-frames what comes, meters. Internal to the
// gateway. Threads: the io thread.
//
// Promises: another instance is tried only before the first byte went to the client (of an answer that is no stream: while its engine has
// not sent all of it), and only after connect errors, resets, 502 and 503; the fallback of a route after all of those, after 500, where a
// queue is full or a circuit open, and where an outside provider refuses our key or says that it was asked too often. A client
// that left cancels the engine's work at once. What reaches the client is well-formed whatever the engine sends: a broken
// stream ends in `data: {"error":...}` without [DONE]. The usage record is written before the last byte goes out. A request
// that somebody cancels (live_requests.h) ends as for a client that left, but the client is told.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "domain/usage.h"
#include "gateway/answers.h"
#include "gateway/body.h"
#include "gateway/gateway.h"
#include "gateway/gateway_metrics.h"
#include "gateway/live_requests.h"
#include "gateway/media_events.h"
#include "gateway/meter.h"
#include "gateway/quota.h"
#include "gateway/route.h"
#include "gateway/stream_rewriter.h"
#include "gateway/waiting_room.h"
#include "http/http.h"
#include "protocol/openai/responses.h"
#include "protocol/translator.h"

namespace gantry::gateway {

// What an answer is, and how it is passed on.
enum class Answer {
    kWhole,    // one JSON object
    kStream,   // events of chat, whatever API they are in at the end
    kEvents,   // events of audio and images
    kText,     // a text in one piece
    kBytes,    // sound, as it comes
};

// A request that was understood and whose model has instances, or gets some when asked.
struct Job {
    std::shared_ptr<const RouteTable> routes;   // keeps `ways` alive while the tables are replaced
    std::shared_ptr<const RouteTable> woken;    // the same for `model`, where it was asleep
    std::array<Activity::Use, 2> uses;          // of the ways
    const ModelEntry* model = nullptr;          // who is asked now; record.model is the name that the client asked for
    std::vector<const ModelEntry*> ways;        // who may be asked, in this order: `model`, and a route's fallback
    std::string target;                         // path at the engine
    Body body;
    const char* answer_key = "choices";         // what an answer that is not streamed has in any case; null: nothing
    Answer answer = Answer::kWhole;
    std::string answer_types;                   // of kText and kBytes: media types that may go on, with spaces between
    bool media = false;                         // of audio or images: many engines have no such endpoint
    std::unique_ptr<protocol::Translator> translator;   // of another API's shape; null: none
    bool computes = true;                       // the answer counts the tokens it took
    bool stream = false;
    bool wants_usage = false;                   // the client itself asked for the usage chunk
    std::string trace;                          // traceparent for the engine
    std::optional<uint32_t> max_tokens;
    SteadyTime begun{};
    UsageRecord record;                         // filled as we learn
    bool output_seen = false;
    TokenGaps gaps;                             // of a stream
    LiveRequests::Entry* live = nullptr;        // outlives the job
    Quota::Lease lease;                         // settled when the request is metered
};

class Relay {
public:
    Relay(http::asio::io_context& io, const Clock& clock, const GatewayOptions& options, Meter& meter, GatewayMetrics& metrics,
          WaitingRoom& waiting);

    // Answers the exchange, whatever happens. The job outlives this.
    http::Task<void> run(http::Exchange& exchange, Job& job);
    uint32_t in_flight(const InstanceId& instance) const { return balancer_.in_flight(instance); }

private:
    // An engine that answered, while its body is read.
    struct Upstream {
        Balancer::Lease lease;
        http::Canceller stop;
        std::unique_ptr<http::ClientResponse> response;
        std::optional<Result<std::string>> whole;   // the body of an answer that is no stream; of sound its beginning
    };
    // The end of a stream, and how it came.
    enum class End { kDone, kClientGone, kBroken };

    http::Task<std::optional<Refusal>> connect(http::Exchange& exchange, Job& job, Upstream& upstream);
    http::Task<std::optional<Refusal>> connect_or_wake(http::Exchange& exchange, Job& job, Upstream& upstream);
    http::Task<std::optional<Refusal>> wake_and_connect(http::Exchange& exchange, Job& job, Upstream& upstream);
    http::Task<std::optional<Refusal>> connect_to_model(http::Exchange& exchange, Job& job, Upstream& upstream);
    http::Client::Call call_for(const http::Exchange& exchange, const Job& job, const Target& target) const;
    http::Task<void> refuse_upstream_error(http::Exchange& exchange, Job& job, Upstream& upstream);
    http::Task<void> relay_whole(http::Exchange& exchange, Job& job, Upstream& upstream);
    Refusal unread(const Job& job, Upstream& upstream, const Error& why);
    std::optional<Refusal> take_whole(Job& job, Upstream& upstream, std::string& body);
    http::Task<void> relay_stream(http::Exchange& exchange, Job& job, Upstream& upstream);
    http::Task<void> relay_text(http::Exchange& exchange, Job& job, Upstream& upstream);
    http::Task<void> relay_bytes(http::Exchange& exchange, Job& job, Upstream& upstream);
    http::Task<void> relay_events(http::Exchange& exchange, Job& job, Upstream& upstream);
    http::Task<End> pump_bytes(http::Exchange& exchange, Job& job, Upstream& upstream, uint64_t& bytes);
    http::Task<End> pump_events(http::Exchange& exchange, Job& job, Upstream& upstream, MediaEvents& events, Error& broken);
    std::optional<Refusal> wrong_type(Job& job, Upstream& upstream, std::string_view body);
    Error ended(const Job& job, const http::Exchange& exchange, const Error& why, End& end) const;
    void note_media(Job& job, const MediaUsage& usage);
    http::Task<End> pump(http::Exchange& exchange, Job& job, Upstream& upstream, StreamRewriter& rewriter, Error& broken);
    Status take_events(std::string_view bytes, const Job& job, http::SseReader& reader, StreamRewriter& rewriter, std::string& out) const;
    void settle_usage(Job& job, const StreamRewriter& rewriter);
    http::Task<void> drain(Upstream& upstream);
    http::Task<void> fail(http::Exchange& exchange, Job& job, Refusal failure);
    void failed(Balancer::Lease& lease, const Job& job);
    Refusal gone(const Job& job, const Error& cancelled) const;
    void note_output(Job& job, SteadyTime now);
    void note_tokens(Job& job, const StreamRewriter& rewriter);
    void note_usage(Job& job, const protocol::openai::Usage& usage);
    // `error`: the code of the error that the client was told; empty: none.
    void meter(http::Exchange& exchange, Job& job, int status, bool aborted, const std::string& error = {});

    const Clock& clock_;
    http::Client client_;
    http::asio::io_context& io_;
    Balancer balancer_;
    Meter& meter_;
    GatewayMetrics& metrics_;
    WaitingRoom& waiting_;
};

}  // namespace gantry::gateway
