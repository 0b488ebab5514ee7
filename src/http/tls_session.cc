#include "http/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "http/mutual_tls.h"
#include "http/timed_socket.h"

namespace gantry::http {
namespace {

constexpr size_t kRecordBytesMax = 16 * 1024;   // what one TLS record holds

// ---- OpenSSL's view of the socket. Its own would not know MSG_NOSIGNAL, nor what the poller knows.

struct Bottom {
    TimedSocket* socket = nullptr;
    bool ended = false;
};

Bottom& bottom_of(BIO* bio) { return *static_cast<Bottom*>(BIO_get_data(bio)); }

int bio_read(BIO* bio, char* into, size_t size, size_t* got) {
    BIO_clear_retry_flags(bio);
    Bottom& bottom = bottom_of(bio);
    const Io how = bottom.socket->receive(into, size, *got);
    if (how == Io::kWouldBlock) BIO_set_retry_read(bio);
    bottom.ended = how == Io::kEnd;
    return how == Io::kOk ? 1 : 0;
}

int bio_write(BIO* bio, const char* bytes, size_t size, size_t* sent) {
    BIO_clear_retry_flags(bio);
    const Io how = bottom_of(bio).socket->transmit(bytes, size, *sent);
    if (how == Io::kWouldBlock) BIO_set_retry_write(bio);
    return how == Io::kOk ? 1 : 0;
}

long bio_control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return bottom_of(bio).ended ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

int bio_destroy(BIO* bio) {
    delete &bottom_of(bio);
    return 1;
}

const BIO_METHOD* socket_method() {
    static const BIO_METHOD* const made = [] {
        BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gantry socket");
        GANTRY_ASSERT(method != nullptr, "no memory for a BIO method");
        BIO_meth_set_read_ex(method, bio_read);
        BIO_meth_set_write_ex(method, bio_write);
        BIO_meth_set_ctrl(method, bio_control);
        BIO_meth_set_destroy(method, bio_destroy);
        return method;
    }();
    return made;
}

bool is_address(const std::string& host) {
    const std::unique_ptr<ASN1_OCTET_STRING, decltype(&ASN1_OCTET_STRING_free)> parsed(a2i_IPADDRESS(host.c_str()),
                                                                                      &ASN1_OCTET_STRING_free);
    return parsed != nullptr;
}

void advance(std::span<iovec>& parts, size_t taken) {
    while (taken > 0) {
        iovec& part = parts.front();
        const size_t of_this = std::min(taken, part.iov_len);
        part.iov_base = static_cast<char*>(part.iov_base) + of_this;
        part.iov_len -= of_this;
        taken -= of_this;
        if (part.iov_len == 0) parts = parts.subspan(1);
    }
}

// The next record's worth of the parts: in place where one part fills it, else copied together. A write that must be repeated
// comes with the same parts, and so gives the same bytes, as OpenSSL wants.
std::string_view next_record(std::span<iovec>& parts) {
    thread_local std::array<char, kRecordBytesMax> scratch;
    while (!parts.empty() && parts.front().iov_len == 0) parts = parts.subspan(1);
    if (parts.empty()) return {};
    if (parts.size() == 1 || parts.front().iov_len >= kRecordBytesMax) {
        return {static_cast<const char*>(parts.front().iov_base), std::min(parts.front().iov_len, kRecordBytesMax)};
    }
    size_t filled = 0;
    for (const iovec& part : parts) {
        const size_t taken = std::min(part.iov_len, kRecordBytesMax - filled);
        if (taken > 0) std::memcpy(scratch.data() + filled, part.iov_base, taken);
        filled += taken;
    }
    return {scratch.data(), filled};
}

}  // namespace

void TlsSession::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsSession::~TlsSession() = default;

std::unique_ptr<TlsSession> TlsSession::accept(ssl_ctx_st* context) {
    SSL* ssl = SSL_new(context);
    if (ssl == nullptr) return nullptr;
    SSL_set_accept_state(ssl);
    return std::unique_ptr<TlsSession>(new TlsSession(ssl));
}

std::unique_ptr<TlsSession> TlsSession::connect(ssl_ctx_st* context, const std::string& host) {
    SSL* ssl = SSL_new(context);
    if (ssl == nullptr) return nullptr;
    std::unique_ptr<TlsSession> session(new TlsSession(ssl));
    SSL_set_connect_state(ssl);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
    bool named = false;
    if (is_address(host)) {
        named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
    } else {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        named = SSL_set1_host(ssl, host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
    }
    return named ? std::move(session) : nullptr;
}

std::unique_ptr<TlsSession> TlsSession::connect(const MutualTls& mutual) { return connect(mutual.context(), mutual.server_name()); }

void TlsSession::offer(const MutualTls& mutual) { mutual.offer(ssl_.get()); }

std::string TlsSession::protocol() const {
    const unsigned char* name = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &length);
    return name == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(name), length);
}

std::string TlsSession::peer_common_name() const {
    const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
    return common_name_of(certificate);
}

void TlsSession::attach(TimedSocket& socket) {
    BIO* bio = BIO_new(socket_method());
    GANTRY_ASSERT(bio != nullptr, "no memory for a BIO");
    BIO_set_data(bio, new Bottom{&socket, false});
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);   // owns it
}

void TlsSession::note_failure() {
    if (!failure_.empty()) return;
    const long verified = SSL_get_verify_result(ssl_.get());
    const unsigned long error = ERR_peek_last_error();
    if (!SSL_is_server(ssl_.get()) && verified != X509_V_OK) {
        failure_ = std::string("its certificate is refused: ") + X509_verify_cert_error_string(verified);
    } else if (error != 0 && ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        failure_ = "the other side closed the connection without ending TLS";
    } else if (error != 0) {
        const char* reason = ERR_reason_error_string(error);
        failure_ = reason != nullptr ? reason : "OpenSSL error " + std::to_string(error);
    }
}

Io TlsSession::outcome(int done) {
    switch (SSL_get_error(ssl_.get(), done)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
            return Io::kWouldBlock;
        case SSL_ERROR_ZERO_RETURN:
            return Io::kEnd;
        default:
            note_failure();
            ERR_clear_error();
            return Io::kBroken;
    }
}

TlsSession::Step TlsSession::handshake() {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    if (done == 1) {
        more_ = SSL_has_pending(ssl_.get()) == 1;   // the first request came with the last of the handshake
        return Step::kDone;
    }
    const int error = SSL_get_error(ssl_.get(), done);
    if (error == SSL_ERROR_WANT_READ) return Step::kWantsRead;
    if (error == SSL_ERROR_WANT_WRITE) return Step::kWantsWrite;
    outcome(done);
    return Step::kFailed;
}

Io TlsSession::read(std::string& into, size_t limit) {
    thread_local std::array<char, kRecordBytesMax> scratch;
    if (ended_) return *ended_;
    size_t all = 0;
    more_ = false;
    while (all < limit) {
        size_t got = 0;
        ERR_clear_error();
        const int done = SSL_read_ex(ssl_.get(), scratch.data(), std::min(limit - all, scratch.size()), &got);
        if (done == 1) {
            into.append(scratch.data(), got);
            all += got;
            continue;
        }
        const Io how = outcome(done);
        if (how != Io::kWouldBlock) ended_ = how;
        break;
    }
    more_ = all >= limit || ended_.has_value();
    if (all > 0) return Io::kOk;
    return ended_.value_or(Io::kWouldBlock);
}

Io TlsSession::write(std::span<iovec>& parts) {
    while (true) {
        const std::string_view record = next_record(parts);
        if (record.empty()) return Io::kOk;
        size_t taken = 0;
        ERR_clear_error();
        const int done = SSL_write_ex(ssl_.get(), record.data(), record.size(), &taken);
        if (done != 1) return outcome(done);
        advance(parts, taken);
    }
}

bool TlsSession::has_more() const { return more_; }

void TlsSession::close_notify() {
    if (!SSL_is_init_finished(ssl_.get()) || !failure_.empty()) return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
}

}  // namespace gantry::http
