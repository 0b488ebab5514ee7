// Feeds what a worker may send to the server, and a server to a worker, with anything. What is taken keeps the bounds that later
// code relies on, and is the same once it was written and read again.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocol/worker/codec.h"
#include "protocol/worker/join.h"

using namespace gantry::protocol;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto request = decode_exchange_request(text)) {
        const WorkerReport& report = request->report;
        if (report.devices.size() > kReportedDevicesMax || report.instances.size() > kReportedInstancesMax) std::abort();
        for (const gantry::Device& device : report.devices) {
            if (device.name.size() > kReportedNameBytesMax || device.details.size() > kReportedTextBytesMax) std::abort();
            if (device.vendor.empty() || device.memory_total_bytes > kReportedBytesMax) std::abort();
        }
        for (const InstanceReport& one : report.instances) {
            if (one.id.empty() || one.id.text.find('/') != std::string::npos || one.reason.size() > kReportedTextBytesMax) std::abort();
        }
        if (!(cleaned(report) == report)) std::abort();
        const auto again = decode_exchange_request(encode(*request));
        if (!again || !(again->report == report) || again->hash != request->hash) std::abort();
    } else if (request.error().message.empty() || request.error().message.size() > 4096) {
        std::abort();
    }
    if (const auto answer = decode_exchange_answer(text); answer && !answer->resend && !answer->unchanged) {
        const auto again = decode_exchange_answer(encode(*answer));
        if (!again || revision_of(again->assignment) != revision_of(answer->assignment)) std::abort();
    }
    if (const auto join = decode_join_request(text)) {
        if (!valid_worker_name(join->name) || join->labels.size() > 64) std::abort();
    }
    (void)parse_join_token(text);
    return 0;
}
