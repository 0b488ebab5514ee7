#include "http/file_answer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include "base/platform/files.h"

namespace gantry::http {
namespace {

constexpr uint64_t kPieceBytes = 1u << 20;

struct OpenFile {
    platform::UniqueFd handle;   // valid: a file that can be read
    uint64_t size = 0;
};
OpenFile open_file(const std::string& path) {
    OpenFile file{platform::UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW))};
    struct stat status {};
    if (!file.handle.valid() || ::fstat(file.handle.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
    file.size = static_cast<uint64_t>(status.st_size);
    return file;
}

// Shorter than asked for: it can't be read on.
std::string read_at(const OpenFile& file, uint64_t offset, uint64_t length) {
    std::string out(length, '\0');
    size_t got = 0;
    while (got < length) {
        const ssize_t n = ::pread(file.handle.get(), out.data() + got, length - got, static_cast<off_t>(offset + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += static_cast<size_t>(n);
    }
    out.resize(got);
    return out;
}

struct Span {
    uint64_t begin = 0, end = 0;   // of what is sent
};
// nullopt: no range, or none of the two forms.
std::optional<Span> span_of(std::string_view range, uint64_t size) {
    if (!range.starts_with("bytes=")) return std::nullopt;
    range.remove_prefix(6);
    Span span{0, size};
    const char* const end = range.data() + range.size();
    const auto [dash, failed] = std::from_chars(range.data(), end, span.begin);
    if (failed != std::errc() || dash == end || *dash != '-') return std::nullopt;
    if (dash + 1 == end) return span;
    uint64_t last = 0;
    const auto [stop, wrong] = std::from_chars(dash + 1, end, last);
    if (wrong != std::errc() || stop != end || last < span.begin) return std::nullopt;
    span.end = std::min(size, last == UINT64_MAX ? last : last + 1);
    return span;
}

}  // namespace

Task<void> answer_with_file(Exchange& exchange, BlockingPool& pool, std::string path) {
    const OpenFile file = co_await pool.run([&path] { return open_file(path); });
    if (!file.handle.valid()) {
        Response missing = text_response(404, "there is no such file here\n");
        co_await exchange.respond(std::move(missing));
        co_return;
    }
    const auto asked = span_of(exchange.request().headers.get("range"), file.size);
    const Span span = asked.value_or(Span{0, file.size});
    Headers headers{{"content-type", "application/octet-stream"}, {"accept-ranges", "bytes"}};
    if (asked && span.begin >= file.size) {
        Response wrong = text_response(416, "the range begins behind the end of the file\n");
        wrong.headers.set("content-range", fmt::format("bytes */{}", file.size));
        co_await exchange.respond(std::move(wrong));
        co_return;
    }
    if (asked) headers.set("content-range", fmt::format("bytes {}-{}/{}", span.begin, span.end - 1, file.size));
    const bool began = co_await exchange.start_stream(asked ? 206 : 200, std::move(headers));
    if (!began) co_return;
    for (uint64_t at = span.begin; at < span.end;) {
        const uint64_t length = std::min(kPieceBytes, span.end - at);
        const std::string piece = co_await pool.run([&file, at, length] { return read_at(file, at, length); });
        bool sent = piece.size() == length;   // else it can't be read on
        if (sent) sent = co_await exchange.write(piece);
        if (!sent) {
            exchange.abort();
            co_return;
        }
        at += length;
    }
    co_await exchange.finish();
}

Client::Call call_for(const Exchange& exchange, std::string target) {
    Client::Call call{.target = std::move(target)};
    if (const std::string_view range = exchange.request().headers.get("range"); !range.empty()) call.headers.set("range", std::string(range));
    return call;
}

Task<void> pass_on(Exchange& exchange, ClientResponse& from) {
    Headers headers;
    for (const char* const name : {"content-type", "content-range"}) {
        if (const std::string_view value = from.headers().get(name); !value.empty()) headers.set(name, std::string(value));
    }
    const bool began = co_await exchange.start_stream(from.status(), std::move(headers));
    if (!began) co_return;
    while (true) {
        const auto piece = co_await from.read();
        if (!piece) {
            exchange.abort();
            co_return;
        }
        if (piece->empty()) break;
        const bool sent = co_await exchange.write(*piece);
        if (!sent) co_return;
    }
    co_await exchange.finish();
}

}  // namespace gantry::http
