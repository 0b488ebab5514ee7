#include "gateway/memory_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "base/metrics.h"
#include "gateway/answers.h"

namespace gantry::gateway {
namespace {

constexpr int kComeBackSeconds = 5;   // engines that end give their memory back within some seconds
constexpr uint64_t kReserveMin = 32ull << 20;
constexpr uint64_t kReserveMax = 512ull << 20;

uint64_t mib(uint64_t bytes) { return bytes >> 20; }

// The OpenAI surface and what is one of its requests in other clothes.
bool asks_a_model(const http::Request& head) {
    const std::string& path = head.path;
    const bool surface = path.starts_with("/v1/") || path.starts_with("/v1-openai/") || path.starts_with("/v2/");
    return head.method == "POST" && (surface || path == "/api/v1/compare");
}

uint64_t announced_bytes(const http::Request& head) {
    const std::string_view text = head.headers.get("content-length");
    uint64_t bytes = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), bytes);
    return parsed.ec == std::errc() ? bytes : MemoryGuard::kLargeBytes;   // chunked: it may be large
}

}  // namespace

MemoryGuard::MemoryGuard(const Clock& clock, std::optional<uint64_t> reserve_bytes, std::string root)
    : clock_(clock), given_(reserve_bytes), root_(std::move(root)) {}

uint64_t MemoryGuard::default_reserve(uint64_t total_bytes) { return std::clamp(total_bytes / 32, kReserveMin, kReserveMax); }

std::string MemoryGuard::shortage(uint64_t body_bytes) {
    if (given_ == 0u) return {};
    const std::lock_guard lock(mutex_);
    const SteadyTime now = clock_.steady();
    if (!looked_at_ || now - *looked_at_ >= kLookEvery || body_bytes >= kLargeBytes) {
        looked_at_ = now;
        look();
    }
    return shortage_;
}

void MemoryGuard::look() {
    static auto& headroom = metrics::gauge("gantry_memory_headroom_bytes", "Memory left before the kernel would have to end a process");
    const platform::MemoryFigures figures = platform::memory_figures(root_);
    if (figures.total_bytes == 0) return;   // this system doesn't say
    headroom.Set(static_cast<double>(figures.headroom_bytes));
    const uint64_t reserve = given_.value_or(default_reserve(figures.total_bytes));
    const bool was_short = !shortage_.empty();
    const bool is_short = figures.headroom_bytes < (was_short ? reserve + reserve / 4 : reserve);
    const std::string left = fmt::format("{} MiB of {} MiB are left", mib(figures.headroom_bytes), mib(figures.total_bytes));
    shortage_ = is_short ? fmt::format("memory is short: {}, and {} MiB are to stay free", left, mib(reserve)) : "";
    if (is_short && !was_short) log::warn("{}; requests to models are refused until there is more", shortage_);
    if (!is_short && was_short) log::info("memory is there again: {}; requests to models are taken", left);
}

HeadCheck refuse_while_short(MemoryGuard& guard, HeadCheck otherwise) {
    return [&guard, otherwise = std::move(otherwise)](const http::Request& head) -> std::optional<http::Response> {
        if (auto refused = otherwise(head)) return refused;
        if (!asks_a_model(head)) return std::nullopt;
        const std::string shortage = guard.shortage(announced_bytes(head));
        if (shortage.empty()) return std::nullopt;
        static auto& shed = metrics::counter("gantry_gateway_shed_total", "Inference requests refused because memory is short");
        shed.Increment();
        Error error = unavailable("This server takes no requests to models now, because its " + shortage +
                                      ". Try again in a moment; stopping a deployment, or putting one to sleep, makes room.",
                                  "server_memory_short");
        return answer_of({503, std::move(error), kComeBackSeconds}, head.path);
    };
}

}  // namespace gantry::gateway
