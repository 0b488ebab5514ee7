#include "http/server_exchange.h"

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "http/message_head.h"
#include "http/stream_state.h"
#include "http/text.h"

namespace gantry::http {
namespace {

// What a client may send ahead of the answer it waits for. Over it, its bytes are thrown away and the connection is closed
// behind this answer. (Not to read on would keep a full receive window, behind which TCP can't tell us that it left.)
constexpr size_t kPipelinedBytesMax = 64 * 1024;
// A peer of a connection that was taken over: somebody waits for what is to come by it.
constexpr std::chrono::seconds kVanishedAfter{15};
// A stream whose reader is as quick as its writer never waits; it lets others have a turn every so often.
constexpr unsigned kWritesPerTurn = 32;
constexpr size_t kKeptBytesMax = 16u << 10;   // by try_write(): more is not copied

iovec part(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

}  // namespace

struct ServerExchange::Chunk {
    Chunk(const Chunk&) = delete;   // its parts point into it
    explicit Chunk(std::string_view bytes) {
        char* end = std::to_chars(size_line, size_line + 16, bytes.size(), 16).ptr;
        *end++ = '\r';
        *end++ = '\n';
        parts = {part({size_line, static_cast<size_t>(end - size_line)}), part(bytes), part("\r\n")};
    }
    char size_line[20];
    std::array<iovec, 3> parts;
};

ServerExchange::ServerExchange(Setup setup, Request request)
    : setup_(std::move(setup)), request_(std::move(request)), keep_alive_(setup_.keep_alive) {}

std::string ServerExchange::head_for(int status, const Headers& headers, std::optional<uint64_t> length) {
    if (has_word(headers.get("connection"), "close") || has_word(answer_headers.get("connection"), "close")) keep_alive_ = false;
    // Without a length and without chunks the end of the connection is the end of the body.
    const bool chunked = !length && !setup_.http_1_0 && !is_bodiless(status);
    if (!length && setup_.http_1_0) keep_alive_ = false;
    return make_answer_head({.status = status,
                             .headers = &headers,
                             .others = &answer_headers,
                             .request_id = request_.id,
                             .content_length = length,
                             .chunked = chunked,
                             .keep_alive = keep_alive_,
                             .http_1_0 = setup_.http_1_0});
}

// What the kernel takes at once, as it mostly does, needs no coroutine of its own. end_send() follows, after the rest was written.
Io ServerExchange::begin_send(std::span<iovec>& parts) {
    GANTRY_ASSERT(!writing_, "two writes of one exchange at once");
    sending_ = 0;
    for (const iovec& one : parts) sending_ += one.iov_len;
    const Io sent = setup_.socket->try_write(parts);
    writing_ = sent == Io::kWouldBlock;
    return sent;
}

bool ServerExchange::end_send(Io sent) {
    writing_ = false;
    if (sent != Io::kOk) {
        half_closed_ = false;
        lose_later();
        return false;
    }
    bytes_sent_ += sending_;
    return !gone_;
}

Task<bool> ServerExchange::send(std::span<iovec> parts) {
    Io sent = begin_send(parts);
    if (sent == Io::kWouldBlock) sent = co_await setup_.socket->write(parts, setup_.write_timeout);
    co_return end_send(sent);
}

Task<bool> ServerExchange::respond(Response response) {
    GANTRY_ASSERT(!started_, "a second answer to one request");
    started_ = true;
    finished_ = true;
    status_ = response.status;
    // A client that only closed its sending side can still read a whole answer, so that one is sent though nobody may be
    // there; the caller is told that the client is gone all the same.
    if (aborted_ || (gone_ && !half_closed_)) co_return false;
    const std::string head = head_for(response.status, response.headers, response.body.size());
    const bool with_body = !is_head() && !is_bodiless(response.status);
    std::array<iovec, 2> parts = {part(head), part(with_body ? std::string_view(response.body) : std::string_view{})};
    std::span<iovec> left(parts);
    Io sent = begin_send(left);
    if (sent == Io::kWouldBlock) sent = co_await setup_.socket->write(left, setup_.write_timeout);
    co_return end_send(sent);
}

Task<bool> ServerExchange::start_stream(int status, Headers headers) {
    GANTRY_ASSERT(!started_, "a second answer to one request");
    started_ = true;
    streaming_ = true;
    status_ = status;
    if (gone_ || aborted_) co_return false;
    if (headers.get("content-type").starts_with("text/event-stream")) {
        if (headers.get("cache-control").empty()) headers.add("cache-control", "no-cache");
        if (headers.get("x-accel-buffering").empty()) headers.add("x-accel-buffering", "no");
    }
    const std::string head = head_for(status, headers, std::nullopt);
    std::array<iovec, 1> parts = {part(head)};
    const bool delivered = co_await send(parts);
    co_return delivered;
}

Task<bool> ServerExchange::write(std::string_view bytes) {
    GANTRY_ASSERT(streaming_ && !finished_, "a write outside of a stream");
    if (gone_ || aborted_) co_return false;
    if (bytes.empty() || is_head() || is_bodiless(status_)) co_return true;
    if (++writes_ % kWritesPerTurn == 0) {
        co_await asio::post(setup_.socket->io(), asio::use_awaitable);
        if (gone_ || aborted_) co_return false;
    }
    if (setup_.http_1_0) {
        std::array<iovec, 1> parts = {part(bytes)};
        const bool delivered = co_await send(parts);
        co_return delivered;
    }
    Chunk chunk(bytes);
    std::span<iovec> left(chunk.parts);
    Io sent = begin_send(left);
    if (sent == Io::kWouldBlock) sent = co_await setup_.socket->write(left, setup_.write_timeout);
    co_return end_send(sent);
}

bool ServerExchange::try_write(std::string_view bytes) {
    GANTRY_ASSERT(streaming_ && !finished_ && !writing_, "a write outside of a stream, or two at once");
    const bool others_turn = (writes_ + 1) % kWritesPerTurn == 0;
    if (gone_ || aborted_ || others_turn || setup_.http_1_0 || bytes.empty() || bytes.size() > kKeptBytesMax || is_head() || is_bodiless(status_)) {
        return false;
    }
    const Chunk chunk(bytes);
    if (!setup_.socket->put(chunk.parts)) return false;
    ++writes_;
    for (const iovec& one : chunk.parts) bytes_sent_ += one.iov_len;
    return true;
}

Task<bool> ServerExchange::finish() {
    GANTRY_ASSERT(streaming_ && !finished_, "the end of what is no stream");
    if (gone_ || aborted_) co_return false;
    finished_ = true;
    if (setup_.http_1_0 || is_head() || is_bodiless(status_)) co_return true;
    std::array<iovec, 1> parts = {part("0\r\n\r\n")};
    const bool delivered = co_await send(parts);
    co_return delivered;
}

void ServerExchange::abort() {
    if (aborted_) return;
    aborted_ = true;
    started_ = true;
    keep_alive_ = false;
    // In HTTP/1.0 a close is the proper end of a body; only a reset tells the client that something is missing.
    if (setup_.http_1_0) {
        setup_.socket->reset();
    } else {
        setup_.socket->close();
    }
}

Task<std::optional<Stream>> ServerExchange::take_over(std::string protocol) {
    GANTRY_ASSERT(!started_, "a second answer to one request");
    started_ = true;
    finished_ = true;
    keep_alive_ = false;
    status_ = 101;
    if (gone_ || aborted_) co_return std::nullopt;
    if (flooded_) {   // part of what came behind the request is lost
        abort();
        co_return std::nullopt;
    }
    const std::string head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: " + protocol + "\r\n\r\n";
    std::array<iovec, 1> parts = {part(head)};
    const bool delivered = co_await send(parts);
    if (!delivered || aborted_) co_return std::nullopt;
    setup_.socket->unwatch();
    setup_.socket->notice_vanished_peer(kVanishedAfter);
    ended_ = true;   // what arrives from now on is the stream's
    taken_over_ = true;
    Stream stream(std::make_unique<Stream::State>(setup_.socket, std::move(*setup_.input)));
    setup_.input->clear();
    co_return std::optional<Stream>(std::move(stream));
}

void ServerExchange::on_client_gone(std::function<void()> callback) {
    callback_ = std::move(callback);
    if (gone_ && callback_) lose_later();
}

void ServerExchange::watch() {
    if (ended_ || gone_ || aborted_ || !setup_.socket->is_open()) return;
    setup_.socket->watch(*this);
}

void ServerExchange::on_arrival() {
    const auto self = shared_from_this();   // what is called from here may end it
    if (ended_ || gone_ || aborted_) return;
    switch (setup_.socket->try_read(*setup_.input, kPipelinedBytesMax)) {
        case Io::kOk:          // the next request, sent ahead: no sign of leaving
            flooded_ = flooded_ || setup_.input->size() > kPipelinedBytesMax;
            if (flooded_) {
                keep_alive_ = false;
                setup_.input->clear();
            }
            watch();
            return;
        case Io::kWouldBlock:
            watch();
            return;
        case Io::kEnd:
            half_closed_ = true;
            lose();
            return;
        default:
            lose();
            return;
    }
}

void ServerExchange::lose() {
    gone_ = true;
    keep_alive_ = false;
    if (ended_) return;
    if (const auto callback = std::exchange(callback_, nullptr)) callback();
}

void ServerExchange::lose_later() {
    gone_ = true;
    keep_alive_ = false;
    if (!callback_) return;
    asio::post(setup_.socket->io(), [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->lose();
    });
}

void ServerExchange::end() {
    ended_ = true;
    callback_ = nullptr;
    if (!taken_over_) setup_.socket->unwatch();
}

void ServerExchange::cut() {
    half_closed_ = false;
    setup_.socket->close();
    lose();
}

}  // namespace gantry::http
