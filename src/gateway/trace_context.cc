#include "gateway/trace_context.h"

#include <algorithm>
#include <cstdint>
#include <random>

namespace gantry::gateway {
namespace {

// "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
constexpr size_t kBytes = 55;
constexpr size_t kTraceAt = 3, kTraceBytes = 32;
constexpr size_t kParentAt = 36, kParentBytes = 16;
constexpr size_t kFlagsAt = 53;

bool is_hex(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool is_id(std::string_view text) { return is_hex(text) && text.find_first_not_of('0') != std::string_view::npos; }

// Later versions may have more behind the flags.
bool well_formed(std::string_view text) {
    if (text.size() < kBytes || text[2] != '-' || text[kParentAt - 1] != '-' || text[kFlagsAt - 1] != '-') return false;
    const std::string_view version = text.substr(0, 2);
    if (!is_hex(version) || version == "ff") return false;
    if (text.size() > kBytes && (version == "00" || text[kBytes] != '-')) return false;
    return is_id(text.substr(kTraceAt, kTraceBytes)) && is_id(text.substr(kParentAt, kParentBytes)) && is_hex(text.substr(kFlagsAt, 2));
}

void append_hex(std::string& out, uint64_t number) {
    char digits[16];
    for (int i = 0; i < 16; ++i) digits[i] = "0123456789abcdef"[(number >> (60 - 4 * i)) & 15];
    out.append(digits, sizeof(digits));
}

// Ids only have to differ: no secret, so that the kernel is asked once a thread.
std::string fresh() {
    thread_local std::mt19937_64 random{[] {
        std::random_device device;
        std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
        return std::mt19937_64(seed);
    }()};
    std::string out;
    out.reserve(kBytes);
    out += "00-";
    append_hex(out, random());
    append_hex(out, random() | 1);   // none is all zeros
    out += '-';
    append_hex(out, random() | 1);
    out += "-00";
    return out;
}

}  // namespace

std::string traceparent_of(const http::Headers& headers) {
    const std::string_view given = headers.get("traceparent");
    if (given.empty() || headers.count("traceparent") > 1 || !well_formed(given)) return fresh();
    return "00" + std::string(given.substr(2, kBytes - 2));
}

std::string_view trace_id(std::string_view traceparent) { return traceparent.substr(kTraceAt, kTraceBytes); }

}  // namespace gantry::gateway
