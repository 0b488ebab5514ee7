#include "http/request_reader.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "http/target.h"
#include "http/text.h"

namespace gantry::http {
namespace {

namespace beast = boost::beast;
using beast::string_view;
using boost::system::error_code;

constexpr size_t kFieldsMax = 256;
constexpr size_t kMethodBytesMax = 32;
// A chunk's size line with its extension, or all trailers: nothing we use, so little is allowed.
constexpr size_t kChunkLineBytesMax = 8 * 1024;
constexpr int kLeadingEmptyLinesMax = 4;

// Beast's parser, its findings put straight into a Request: no copy of the message in between.
class Parser final : public beast::http::basic_parser<true> {
public:
    Parser() { body_limit(boost::none); }  // checked in begin_body(), where the answer may still be a 401

    Request request;
    int version = 11;
    bool too_many_fields = false;

private:
    void on_request_impl(beast::http::verb, string_view method, string_view target, int v, error_code& ec) override {
        request.method.assign(method.data(), method.size());
        request.target.assign(target.data(), target.size());
        version = v;
        ec = {};
    }
    void on_response_impl(int, string_view, int, error_code& ec) override { ec = {}; }  // not for requests
    void on_field_impl(beast::http::field, string_view name, string_view value, error_code& ec) override {
        ec = {};
        // Trailers come here too, after the body; they must not pass for headers.
        if (in_body_) return;
        if (request.headers.size() >= kFieldsMax) {
            too_many_fields = true;
            ec = beast::http::error::header_limit;
            return;
        }
        request.headers.add(name, value);
    }
    void on_header_impl(error_code& ec) override {
        in_body_ = true;
        ec = {};
    }
    void on_body_init_impl(const boost::optional<uint64_t>&, error_code& ec) override { ec = {}; }
    size_t on_body_impl(string_view body, error_code& ec) override {
        ec = {};
        request.body.append(body.data(), body.size());
        return body.size();
    }
    // Nobody sends extensions, and parsers disagree about the line ends within them: a way to smuggle a request past a proxy.
    void on_chunk_header_impl(uint64_t, string_view extension, error_code& ec) override {
        ec = extension.empty() ? error_code{} : make_error_code(beast::http::error::bad_chunk_extension);
    }
    size_t on_chunk_body_impl(uint64_t, string_view body, error_code& ec) override { return on_body_impl(body, ec); }
    void on_finish_impl(error_code& ec) override { ec = {}; }

    bool in_body_ = false;
};

bool is_method_char(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_'; }

}  // namespace

struct RequestReader::Impl {
    explicit Impl(const ServerLimits& l) : limits(l) {}

    ServerLimits limits;
    Parser parser;
    std::optional<EdgeError> error;
    bool head_done = false;
    bool body_begun = false;
    int empty_lines = 0;
    size_t line_start = 0;   // of the first line of the head not yet seen whole
    bool expects = false;

    void fail(int status, std::string message) { error = EdgeError{status, std::move(message)}; }
    size_t feed_head(std::string_view input);
    std::optional<size_t> scan_head(std::string_view input);
    bool check_line(std::string_view line, bool whole);
    void check_start(std::string_view input);
    void check_framing();
    size_t feed_body(std::string_view input);
};

RequestReader::RequestReader(const ServerLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestReader::~RequestReader() = default;

bool RequestReader::head_done() const { return impl_->head_done; }
bool RequestReader::done() const { return impl_->body_begun && !impl_->error && impl_->parser.is_done(); }
const std::optional<EdgeError>& RequestReader::failure() const { return impl_->error; }
Request& RequestReader::request() { return impl_->parser.request; }
bool RequestReader::keep_alive() const { return impl_->head_done && impl_->parser.keep_alive(); }
bool RequestReader::http_1_0() const { return impl_->parser.version < 11; }
bool RequestReader::expects_continue() const { return impl_->expects && !impl_->parser.is_done(); }
size_t RequestReader::body_received() const { return impl_->parser.request.body.size(); }

size_t RequestReader::feed(std::string_view input) {
    GANTRY_ASSERT(!impl_->error && !done(), "a request reader fed after its end");
    if (!impl_->head_done) return impl_->feed_head(input);
    GANTRY_ASSERT(impl_->body_begun, "the body read before begin_body()");
    return impl_->feed_body(input);
}

void RequestReader::begin_body(size_t limit) {
    GANTRY_ASSERT(impl_->head_done && !impl_->body_begun, "begin_body() out of turn");
    impl_->body_begun = true;
    const auto length = impl_->parser.is_done() ? boost::optional<uint64_t>{} : impl_->parser.content_length();
    if (length && *length > limit) {
        impl_->fail(413, "the request's body of " + std::to_string(*length) + " bytes is over the limit of " +
                             std::to_string(limit));
        return;
    }
    impl_->limits.body_bytes = limit;
    impl_->parser.body_limit(limit);
    impl_->parser.eager(true);
}

// The request line is judged as it arrives, so that neither an endless URL nor a TLS hello is waited for.
void RequestReader::Impl::check_start(std::string_view input) {
    const size_t space = input.find(' ');
    const std::string_view method = input.substr(0, std::min(space, input.size()));
    for (const char c : method.substr(0, kMethodBytesMax)) {
        if (!is_method_char(c)) return fail(400, "the request doesn't start with a method; is this plain HTTP?");
    }
    if (method.size() > kMethodBytesMax) return fail(400, "the request's method is too long");
    if (space == std::string_view::npos) return;
    const std::string_view rest = input.substr(space + 1);
    if (std::min(rest.find_first_of(" \r\n"), rest.size()) > limits.target_bytes) {
        fail(414, "the URL is longer than the limit of " + std::to_string(limits.target_bytes) + " bytes");
    }
}

// What lets two parsers see two different requests is refused here: bare LF, bare CR, NUL, folded lines.
bool RequestReader::Impl::check_line(std::string_view line, bool whole) {
    if (whole) {
        if (line.empty() || line.back() != '\r') {
            fail(400, "a line of the request's head ends in a bare line feed");
            return false;
        }
        line.remove_suffix(1);
    } else if (!line.empty() && line.back() == '\r') {
        line.remove_suffix(1);
    }
    if (!line.empty() && line_start > 0 && (line.front() == ' ' || line.front() == '\t')) {
        fail(400, "a line of the request's head starts with white space; folded headers are not accepted");
        return false;
    }
    if (line.find('\r') != std::string_view::npos || line.find('\0') != std::string_view::npos) {
        fail(400, "the request's head holds a NUL or a bare carriage return");
        return false;
    }
    return true;
}

// The length of the head with its empty line, once it is all there.
std::optional<size_t> RequestReader::Impl::scan_head(std::string_view input) {
    while (!error) {
        const size_t end = input.find('\n', line_start);
        const bool whole = end != std::string_view::npos;
        const std::string_view line = input.substr(line_start, whole ? end - line_start : std::string_view::npos);
        if (!check_line(line, whole)) return std::nullopt;
        if (!whole) return std::nullopt;
        line_start = end + 1;
        if (line.size() == 1) return line_start;
    }
    return std::nullopt;
}

size_t RequestReader::Impl::feed_head(std::string_view input) {
    if (line_start == 0 && input.starts_with("\r\n")) {
        // RFC 9112, 2.2: an empty line before a request is to be ignored.
        if (++empty_lines > kLeadingEmptyLinesMax) fail(400, "empty lines instead of a request");
        return 2;
    }
    if (input.empty() || input == "\r") return 0;
    if (line_start == 0) check_start(input);
    if (error) return 0;
    const std::optional<size_t> head_bytes = scan_head(input);
    if (error) return 0;
    if (head_bytes.value_or(input.size()) > limits.header_bytes) {
        fail(431, "the request's headers are over the limit of " + std::to_string(limits.header_bytes) + " bytes");
        return 0;
    }
    if (!head_bytes) return 0;

    error_code ec;
    parser.header_limit(static_cast<uint32_t>(*head_bytes + 1));
    const size_t used = parser.put({input.data(), *head_bytes}, ec);
    if (parser.too_many_fields) {
        fail(431, "the request has more than " + std::to_string(kFieldsMax) + " header fields");
        return 0;
    }
    if (ec || used != *head_bytes || !parser.is_header_done()) {
        fail(400, "the request's head is not valid HTTP: " + (ec ? ec.message() : std::string("it ends early")));
        return 0;
    }
    check_framing();
    return *head_bytes;
}

// Which headers say where the body ends, and whom the request is for: exactly one reading must be possible.
void RequestReader::Impl::check_framing() {
    Request& request = parser.request;
    const Headers& headers = request.headers;
    const size_t encodings = headers.count("transfer-encoding");
    const size_t lengths = headers.count("content-length");
    if (encodings > 0 && lengths > 0) return fail(400, "the request has both Content-Length and Transfer-Encoding");
    if (encodings > 0 && parser.version < 11) return fail(400, "Transfer-Encoding is not part of HTTP/1.0");
    if (encodings > 1 || (encodings == 1 && !equal_without_case(headers.get("transfer-encoding"), "chunked"))) {
        return fail(400, "the only Transfer-Encoding accepted is 'chunked'");
    }
    if (lengths > 1) return fail(400, "the request has more than one Content-Length");
    if (lengths == 1) {
        const std::string_view length = headers.get("content-length");
        if (length.empty() || length.find_first_not_of("0123456789") != std::string_view::npos) {
            return fail(400, "the Content-Length is no number");
        }
    }
    const size_t hosts = headers.count("host");
    if (hosts > 1 || (hosts == 0 && parser.version >= 11)) {
        return fail(400, "an HTTP/1.1 request must have exactly one Host header");
    }
    auto target = parse_target(request.target);
    if (!target) return fail(400, std::move(target).error().message);
    request.path = std::move(target->path);
    request.query = std::move(target->query);
    expects = parser.version >= 11 && has_word(headers.get("expect"), "100-continue");
    head_done = true;
}

size_t RequestReader::Impl::feed_body(std::string_view input) {
    size_t used = 0;
    while (!parser.is_done() && used < input.size()) {
        error_code ec;
        const size_t taken = parser.put({input.data() + used, input.size() - used}, ec);
        used += taken;
        if (ec == beast::http::error::need_more) {
            if (input.size() - used > kChunkLineBytesMax) fail(400, "a chunk's size line or the trailers are too long");
            break;
        }
        if (ec == beast::http::error::body_limit) {
            fail(413, "the request's body is over the limit of " + std::to_string(limits.body_bytes) + " bytes");
            break;
        }
        if (ec) {
            fail(400, "the request's body is not valid HTTP: " + ec.message());
            break;
        }
        if (taken == 0) break;
    }
    return used;
}

}  // namespace gantry::http
