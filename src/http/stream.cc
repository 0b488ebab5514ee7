// Connections beside HTTP: what took over an exchange, or was connected to by itself.

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>
#include <charconv>

#include "base/log.h"
#include "http/stream_state.h"

namespace gantry::http {
namespace {

SteadyTime now() { return std::chrono::steady_clock::now(); }

Result<asio::generic::stream_protocol::endpoint> address_of(const std::string& endpoint) {
    if (endpoint.starts_with("unix:") && endpoint.size() > 5 && endpoint.size() <= 5 + 107) {
        return asio::generic::stream_protocol::endpoint(asio::local::stream_protocol::endpoint(endpoint.substr(5)));
    }
    const size_t colon = endpoint.rfind(':');
    uint16_t port = 0;
    if (endpoint.starts_with("tcp:") && colon > 4) {
        const char* last = endpoint.data() + endpoint.size();
        const auto [end, failed] = std::from_chars(endpoint.data() + colon + 1, last, port);
        boost::system::error_code none;
        const auto address = asio::ip::make_address(endpoint.substr(4, colon - 4), none);
        if (failed == std::errc{} && end == last && port != 0 && !none) {
            return asio::generic::stream_protocol::endpoint(asio::ip::tcp::endpoint(address, port));
        }
    }
    return invalid_argument("an endpoint is written tcp:ADDRESS:PORT or unix:/path");
}

constexpr std::chrono::seconds kLastWords{1};

// One way of a splice. Whichever way ends first closes both, so that the other ends, too; a proper end a moment later, so that what is
// still on its way the other way arrives.
Task<void> pump(std::shared_ptr<Stream> from, std::shared_ptr<Stream> to, std::chrono::milliseconds patience) {
    while (true) {
        auto piece = co_await from->read(std::chrono::hours(24));   // a stream may be silent: who waits for it has a deadline
        if (piece && piece->empty()) {
            to->end_sending();
            co_await sleep_for(kLastWords);
        }
        if (!piece || piece->empty()) break;
        const bool written = co_await to->write(*piece, patience);
        if (!written) break;
    }
    from->close();
    to->close();
}

}  // namespace

Stream::Stream(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stream::~Stream() = default;
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;

Task<Result<std::string>> Stream::read(std::chrono::milliseconds timeout) {
    if (!state_->input.empty()) {
        std::string first = std::exchange(state_->input, {});
        co_return first;
    }
    const auto socket = state_->socket;   // this may be let go of while it waits
    std::string bytes;
    const Io got = co_await socket->read(bytes, kReadBytesMax, now() + timeout);
    if (got == Io::kOk) co_return bytes;
    if (got == Io::kEnd) co_return std::string();
    if (got == Io::kTimeout) co_return Error{ErrorCode::kDeadlineExceeded, "nothing came in time", {}, {}};
    co_return unavailable("the connection broke: " + socket->last_error());
}

Task<bool> Stream::write(std::string_view bytes, std::chrono::milliseconds timeout) {
    const auto socket = state_->socket;
    std::array<iovec, 1> parts = {iovec{const_cast<char*>(bytes.data()), bytes.size()}};
    std::span<iovec> left(parts);
    Io sent = socket->try_write(left);
    if (sent == Io::kWouldBlock) sent = co_await socket->write(left, timeout);
    co_return sent == Io::kOk;
}

void Stream::unread(std::string bytes) { state_->input.insert(0, bytes); }

void Stream::close() {
    if (!state_ || !state_->socket) return;
    state_->socket->end_tls();
    state_->socket->close();
}

void Stream::end_sending() {
    if (state_ && state_->socket) state_->socket->shutdown_send();
}

bool Stream::dead() const { return !state_ || !state_->socket || !state_->input.empty() || state_->socket->is_dead_while_idle(false); }

Task<Result<Stream>> Stream::connect(asio::io_context& io, std::string endpoint, std::chrono::milliseconds timeout) {
    const auto address = address_of(endpoint);
    if (!address) co_return address.error();
    auto socket = std::make_shared<TimedSocket>(io);
    const Io connected = co_await socket->connect(*address, now() + timeout);
    if (connected == Io::kOk) co_return Stream(std::make_unique<State>(std::move(socket), std::string()));
    co_return unavailable("could not connect: " + (connected == Io::kTimeout ? std::string("it took too long") : socket->last_error()));
}

Task<void> splice(Stream a, Stream b, std::chrono::milliseconds patience) {
    // Shared by the two ways, of which either may end last.
    auto one = std::make_shared<Stream>(std::move(a));
    auto other = std::make_shared<Stream>(std::move(b));
    const auto executor = co_await asio::this_coro::executor;
    asio::co_spawn(executor, pump(one, other, patience), [](const std::exception_ptr&) {});
    co_await pump(other, one, patience);
}

Task<std::optional<Stream>> Exchange::take_over(std::string) {
    co_await respond(text_response(500, "this connection can't leave HTTP\n"));
    co_return std::nullopt;
}

}  // namespace gantry::http
