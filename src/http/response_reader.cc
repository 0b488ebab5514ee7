#include "http/response_reader.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "http/text.h"

namespace gantry::http {
namespace {

namespace beast = boost::beast;
using beast::string_view;
using boost::system::error_code;

constexpr size_t kChunkLineBytesMax = 8 * 1024;

class Parser final : public beast::http::basic_parser<false> {
public:
    Parser() { body_limit(boost::none); }  // whoever reads the body bounds it

    int code = 0;
    Headers headers;
    std::string body;

private:
    void on_response_impl(int status, string_view, int, error_code& ec) override {
        code = status;
        ec = {};
    }
    void on_request_impl(beast::http::verb, string_view, string_view, int, error_code& ec) override {
        ec = {};  // not for answers
    }
    void on_field_impl(beast::http::field, string_view name, string_view value, error_code& ec) override {
        ec = {};
        if (!in_body_) headers.add(name, value);  // trailers are dropped
    }
    void on_header_impl(error_code& ec) override {
        in_body_ = true;
        ec = {};
    }
    void on_body_init_impl(const boost::optional<uint64_t>&, error_code& ec) override { ec = {}; }
    size_t on_body_impl(string_view piece, error_code& ec) override {
        ec = {};
        body.append(piece.data(), piece.size());
        return piece.size();
    }
    void on_chunk_header_impl(uint64_t, string_view, error_code& ec) override { ec = {}; }
    size_t on_chunk_body_impl(uint64_t, string_view piece, error_code& ec) override { return on_body_impl(piece, ec); }
    void on_finish_impl(error_code& ec) override { ec = {}; }

    bool in_body_ = false;
};

}  // namespace

struct ResponseReader::Impl {
    Parser parser;
    std::optional<std::string> error;
    bool ended = false;  // by the connection's close
};

ResponseReader::ResponseReader(size_t head_bytes, bool answers_head_request)
    : head_bytes_(head_bytes), answers_head_request_(answers_head_request) {
    start();
}
ResponseReader::~ResponseReader() = default;

void ResponseReader::start() {
    impl_ = std::make_unique<Impl>();
    impl_->parser.header_limit(static_cast<uint32_t>(std::min<size_t>(head_bytes_, UINT32_MAX)));
    impl_->parser.skip(answers_head_request_);
}

bool ResponseReader::head_done() const { return impl_->parser.is_header_done() && impl_->parser.code >= 200; }
bool ResponseReader::done() const { return !impl_->error && impl_->parser.is_done() && impl_->parser.code >= 200; }
const std::optional<std::string>& ResponseReader::failure() const { return impl_->error; }
int ResponseReader::status() const { return impl_->parser.code; }
const Headers& ResponseReader::headers() const { return impl_->parser.headers; }
bool ResponseReader::keep_alive() const { return done() && !impl_->ended && impl_->parser.keep_alive(); }
std::string& ResponseReader::body() { return impl_->parser.body; }

size_t ResponseReader::feed(std::string_view input) {
    size_t used = 0;
    while (!impl_->error && !done() && used < input.size()) {
        Parser& parser = impl_->parser;
        error_code ec;
        const bool in_head = !parser.is_header_done();
        const size_t taken = parser.put({input.data() + used, input.size() - used}, ec);
        used += taken;
        if (ec == beast::http::error::need_more) {
            const size_t limit = in_head ? head_bytes_ : kChunkLineBytesMax;
            if (input.size() - used > limit) impl_->error = "a line of the answer is too long";
            break;
        }
        if (ec) {
            impl_->error = ec.message();
            break;
        }
        if (in_head && parser.is_header_done()) {
            if (parser.code < 200) {
                if (parser.code == 101) {
                    impl_->error = "the other side changed to another protocol unasked";
                    break;
                }
                start();  // an interim answer: the real one follows
                continue;
            }
            const size_t encodings = parser.headers.count("transfer-encoding");
            if (encodings > 1 ||
                (encodings == 1 && !equal_without_case(parser.headers.get("transfer-encoding"), "chunked"))) {
                impl_->error = "the answer has a Transfer-Encoding other than 'chunked'";
                break;
            }
            parser.eager(true);
            continue;
        }
        if (taken == 0) break;
    }
    return used;
}

void ResponseReader::feed_end() {
    if (impl_->error || done()) return;
    impl_->ended = true;
    if (!head_done()) {
        impl_->error = "the connection was closed before the answer";
        return;
    }
    error_code ec;
    impl_->parser.put_eof(ec);
    if (ec) impl_->error = "the connection was closed in the middle of the answer";
}

}  // namespace gantry::http
