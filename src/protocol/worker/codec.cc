#include "protocol/worker/codec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/digest.h"
#include "base/json.h"
#include "protocol/openai/utf8.h"
#include "protocol/worker/checked_reader.h"
#include "protocol/worker/fields.h"

namespace gantry::protocol {

template <Is<ExchangeRequest> T, class Visit>
void fields(T& r, Visit&& visit) {
    visit("link_version", r.link_version);
    visit("incarnation", r.incarnation);
    visit("machine_id", r.machine_id);
    visit("epoch", r.epoch);
    visit("held", r.held);
    visit("hash", r.hash);
    visit("same", r.same);
    visit("applied", r.applied);
    if (std::is_const_v<T> && r.same) return;   // written without: the server has it
    visit("report", r.report);
}

template <Is<ExchangeAnswer> T, class Visit>
void fields(T& a, Visit&& visit) {
    visit("link_version", a.link_version);
    visit("epoch", a.epoch);
    visit("resend", a.resend);
    visit("unchanged", a.unchanged);
    visit("report_every_ms", a.report_every_ms);
    if (std::is_const_v<T> && (a.resend || a.unchanged)) return;
    visit("assignment", a.assignment);
}

namespace {

constexpr std::string_view kLongTexts[] = {"reason", "details", "problem", "device_notes", "endpoint", "path"};

bool is_long_text(std::string_view key) {
    return std::find(std::begin(kLongTexts), std::end(kLongTexts), key) != std::end(kLongTexts);
}
size_t items_of(std::string_view key) { return key == "instances" ? kReportedInstancesMax : 0; }

constexpr ReadBounds kOfReports{.name_bytes = kReportedNameBytesMax,
                                .text_bytes = kReportedTextBytesMax,
                                .items = kReportedDevicesMax,
                                .plain_text = true,
                                .long_text = is_long_text,
                                .items_of = items_of};
// A server's word is law, so that only nonsense is kept out: arguments may hold whole templates, with their line ends.
constexpr ReadBounds kOfAssignments{.name_bytes = 1u << 20, .text_bytes = 1u << 20, .items = 65'536, .plain_text = false};

// Whole characters, at most `limit` bytes, nothing that steers a terminal.
std::string clean(const std::string& text, size_t limit) {
    std::string out = openai::to_utf8(text);
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    if (out.size() > limit) out = std::string(openai::beginning(out, limit));
    return out;
}

// A visitor: makes every string and list of a report fit.
struct Cleaner {
    template <class T>
    void operator()(const char* key, T& value) { fit(key, value); }

    void fit(std::string_view key, std::string& text) {
        text = clean(text, is_long_text(key) ? kReportedTextBytesMax : kReportedNameBytesMax);
    }
    template <class T>
    void fit(std::string_view key, std::vector<T>& list) {
        const size_t limit = items_of(key) == 0 ? kReportedDevicesMax : items_of(key);
        if (list.size() > limit) list.resize(limit);
        for (T& item : list) fit(key, item);
    }
    template <json_fields::HasFields T>
    void fit(std::string_view, T& value) { fields(value, *this); }
    void fit(std::string_view, double& value) { value = std::isfinite(value) ? value : 0; }
    void fit(std::string_view, uint64_t& value) { value = std::min(value, kReportedBytesMax); }
    template <class T>
    void fit(std::string_view, T&) {}
};

Result<json::value> parse_bounded(std::string_view body) {
    if (body.size() > kExchangeBytesMax) {
        return Error{ErrorCode::kTooLarge, fmt::format("it has {} bytes, {} at most", body.size(), kExchangeBytesMax), {}, {}};
    }
    auto value = parse_json(body);
    if (value && !value->is_object()) return invalid_argument("it must be a JSON object");
    return value;
}

bool is_word(const std::string& text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

Error wrong(std::string path, std::string_view what) {
    return invalid_argument(fmt::format("\"{}\" {}", path, what), path);
}

Status check_memory(uint64_t bytes, const std::string& path) {
    if (bytes <= kReportedBytesMax) return Ok{};
    return wrong(path, "is more memory than a machine has");
}

Status check_device(const Device& device, const std::string& path) {
    if (!is_word(device.vendor)) return wrong(path + ".vendor", "must be lower-case letters, digits, _ and -");
    GANTRY_TRY(check_memory(device.memory_total_bytes, path + ".memory_total_bytes"));
    GANTRY_TRY(check_memory(device.memory_free_bytes, path + ".memory_free_bytes"));
    for (size_t i = 0; i < device.processes.size(); ++i) {
        GANTRY_TRY(check_memory(device.processes[i].memory_bytes, fmt::format("{}.processes[{}].memory_bytes", path, i)));
    }
    return Ok{};
}

// What single fields can't show.
Status check_report(const WorkerReport& report) {
    std::set<std::pair<std::string, uint32_t>> devices;
    for (size_t i = 0; i < report.devices.size(); ++i) {
        const std::string path = fmt::format("report.devices[{}]", i);
        GANTRY_TRY(check_device(report.devices[i], path));
        if (!devices.emplace(report.devices[i].vendor, report.devices[i].index).second) return wrong(path, "is reported twice");
    }
    std::set<InstanceId> instances;
    for (size_t i = 0; i < report.instances.size(); ++i) {
        const InstanceReport& one = report.instances[i];
        const std::string path = fmt::format("report.instances[{}]", i);
        if (!is_word(one.id.text)) return wrong(path + ".id", "must be lower-case letters, digits, _ and -");
        if (!instances.insert(one.id).second) return wrong(path, "is reported twice");
        if (one.pid < 0) return wrong(path + ".pid", "must not be negative");
        GANTRY_TRY(check_memory(one.memory_bytes, path + ".memory_bytes"));
        GANTRY_TRY(check_memory(one.memory_private_bytes, path + ".memory_private_bytes"));
        GANTRY_TRY(check_memory(one.memory_peak_bytes, path + ".memory_peak_bytes"));
    }
    return Ok{};
}

}  // namespace

WorkerReport cleaned(WorkerReport report) {
    Cleaner cleaner;
    fields(report, cleaner);
    return report;
}

std::string encode(const ExchangeRequest& request) {
    ExchangeRequest out = request;
    if (!out.same) out.report = cleaned(std::move(out.report));
    return json::serialize(json_fields::Writer::written(std::as_const(out)));
}

Result<ExchangeRequest> decode_exchange_request(std::string_view body) {
    const auto value = parse_bounded(body);
    if (!value) return value.error();
    ExchangeRequest out;
    GANTRY_TRY(CheckedReader(kOfReports).read(*value, out));
    if (!is_word(out.incarnation)) return wrong("incarnation", "must be lower-case letters, digits, _ and -");
    if (out.same) {
        out.report = {};
        return out;
    }
    GANTRY_TRY(check_report(out.report));
    return out;
}

std::string encode(const ExchangeAnswer& answer) { return json::serialize(json_fields::Writer::written(answer)); }

Result<ExchangeAnswer> decode_exchange_answer(std::string_view body) {
    const auto value = parse_bounded(body);
    if (!value) return value.error();
    ExchangeAnswer out;
    GANTRY_TRY(CheckedReader(kOfAssignments).read(*value, out));
    return out;
}

std::string hash_of(const WorkerReport& report) {
    WorkerReport plain = cleaned(report);
    plain.applied.clear();
    return short_digest(json::serialize(json_fields::Writer::written(std::as_const(plain))));
}

std::string revision_of(const Assignment& assignment) {
    return short_digest(json::serialize(json_fields::Writer::written(assignment.run)));
}

}  // namespace gantry::protocol
