#pragma once
// The JSON of POST /cluster/v1/exchange. The worker's side cleans what it sends (names and texts may come from a vendor's tool or
// an engine's last words), so that an honest report is always taken; the server's side takes nothing that breaks a bound, and its
// errors name the path of what does.

#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/worker/messages.h"

namespace gantry::protocol {

inline constexpr size_t kExchangeBytesMax = 4u << 20;
inline constexpr size_t kReportedDevicesMax = 1'024;      // also of one device's links, and its processes
inline constexpr size_t kReportedInstancesMax = 4'096;
inline constexpr size_t kReportedNameBytesMax = 256;
inline constexpr size_t kReportedTextBytesMax = 4'096;    // reasons, details, problems, notes, endpoints, paths
inline constexpr uint64_t kReportedBytesMax = 1ull << 50; // of any memory

struct ExchangeRequest {
    int64_t link_version = 0;          // kLinkVersion of the worker (versions.h); 0: it says none
    std::string incarnation{};         // random, of this process: two at once are a clone
    std::string machine_id{};          // of the machine's installation
    int64_t epoch = 0;                // of the lease, as last heard; 0: not yet
    std::string held{};                // the revision of the newest assignment the worker has; "": none
    std::string hash{};                // hash_of(report)
    bool same = false;                // the report of this hash was taken before: `report` is left out
    std::string applied{};             // with `same`: WorkerReport::applied, which the hash does not cover
    WorkerReport report{};
};
struct ExchangeAnswer {
    int64_t link_version = 0;         // of the server, as above
    int64_t epoch = 0;
    bool resend = false;              // `same`, and no report of that hash is known here: send it whole
    bool unchanged = false;           // `held` is still right
    int64_t report_every_ms = 0;      // when nothing but figures changed; 0: the server is of before that
    Assignment assignment{};          // of no meaning with either
};

std::string encode(const ExchangeRequest& request);   // cleans the report; with `same` leaves it out
Result<ExchangeRequest> decode_exchange_request(std::string_view body);
std::string encode(const ExchangeAnswer& answer);
Result<ExchangeAnswer> decode_exchange_answer(std::string_view body);

// Of what encode() would send of it, but for `applied`.
std::string hash_of(const WorkerReport& report);
// Of the list alone: what Assignment::revision should be.
std::string revision_of(const Assignment& assignment);

// The report as encode() sends it: texts within bounds and without control characters, lists cut.
WorkerReport cleaned(WorkerReport report);

}  // namespace gantry::protocol
