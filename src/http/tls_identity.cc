#include "http/tls_identity.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/log.h"
#include "http/tls_context.h"

namespace gantry::http {
namespace {

template <auto kFree>
struct Freed {
    template <class T>
    void operator()(T* what) const {
        kFree(what);
    }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

constexpr off_t kFileBytesMax = 1 << 20;
constexpr mode_t kOthersRead = 0004;

class File {
public:
    explicit File(int fd) : fd_(fd) {}
    ~File() {
        if (fd_ >= 0) ::close(fd_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int fd() const { return fd_; }

private:
    int fd_;
};

Error unreadable(const std::string& what, const std::string& path, int error_number) {
    Error error = error_from_errno(what + " " + path + " can't be read", error_number);
    if (error_number == ENOENT) error.message += "; name the right file";
    if (error_number == EACCES) {
        error.message += "; let the user that gantry runs as (uid " + std::to_string(::geteuid()) + ") read it and its folders";
    }
    return error;
}

Result<Bio> read_file(const std::string& what, const std::string& path, bool secret) {
    const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat found{};
    if (file.fd() < 0 || ::fstat(file.fd(), &found) != 0) return unreadable(what, path, errno);
    if (!S_ISREG(found.st_mode)) return invalid_argument(what + " " + path + " is no file");
    if (found.st_size > kFileBytesMax) return invalid_argument(what + " " + path + " is over 1 MiB: that is no PEM file");
    if (secret && (found.st_mode & kOthersRead) != 0) {
        log::warn("tls: everybody on this machine can read the key {}; chmod o-r it", path);
    }
    std::string text(static_cast<size_t>(found.st_size), '\0');
    size_t filled = 0;
    while (filled < text.size()) {
        const ssize_t got = ::read(file.fd(), text.data() + filled, text.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return unreadable(what, path, errno);
        if (got == 0) break;
        filled += static_cast<size_t>(got);
    }
    Bio bio(BIO_new(BIO_s_mem()));
    if (!bio || BIO_write(bio.get(), text.data(), static_cast<int>(filled)) != static_cast<int>(filled)) {
        OPENSSL_cleanse(text.data(), text.size());
        return internal_error(what + " can't be read: no memory");
    }
    OPENSSL_cleanse(text.data(), text.size());
    return bio;
}

// There is nobody to ask for a passphrase; notes that one was wanted.
int no_passphrase(char*, int, int, void* wanted) {
    *static_cast<bool*>(wanted) = true;
    return -1;
}

Status use_certificates(SSL_CTX* context, const std::string& path) {
    const auto file = read_file("the certificate", path, false);
    if (!file) return file.error();
    ERR_clear_error();
    const Certificate own(PEM_read_bio_X509_AUX(file->get(), nullptr, nullptr, nullptr));
    if (!own) {
        ERR_clear_error();
        return invalid_argument(path + " holds no certificate: it must be PEM and begin with the server's own "
                                       "(\"-----BEGIN CERTIFICATE-----\")");
    }
    if (SSL_CTX_use_certificate(context, own.get()) != 1) {
        return invalid_argument("the certificate in " + path + " is not good enough for TLS: " + last_tls_error());
    }
    while (const Certificate next{PEM_read_bio_X509(file->get(), nullptr, nullptr, nullptr)}) {
        if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) {
            return invalid_argument("a certificate of the chain in " + path + " is not good enough for TLS: " + last_tls_error());
        }
    }
    const unsigned long end = ERR_peek_last_error();
    ERR_clear_error();
    if (ERR_GET_REASON(end) != PEM_R_NO_START_LINE) {
        return invalid_argument("the chain in " + path + " is damaged behind its first certificate");
    }
    if (X509_cmp_current_time(X509_get0_notAfter(own.get())) < 0) {
        log::warn("tls: the certificate in {} has expired; clients will refuse it", path);
    }
    return Ok{};
}

Status use_key(SSL_CTX* context, const TlsFiles& files) {
    const auto file = read_file("the key", files.key, true);
    if (!file) return file.error();
    ERR_clear_error();
    bool wants_passphrase = false;
    const Key key(PEM_read_bio_PrivateKey(file->get(), nullptr, no_passphrase, &wants_passphrase));
    if (wants_passphrase) {
        ERR_clear_error();
        return invalid_argument("the key in " + files.key + " is encrypted, and a server has nobody to ask for its passphrase: "
                                "write it without one (openssl pkey -in KEY -out FILE, mode 0600)");
    }
    if (!key) {
        ERR_clear_error();
        return invalid_argument(files.key + " holds no private key: it must be PEM (\"-----BEGIN PRIVATE KEY-----\")");
    }
    // Which also compares it with the certificate.
    if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
        ERR_clear_error();
        return invalid_argument("the key in " + files.key + " is not that of the first certificate in " + files.certificate +
                                "; the server's own certificate must be the first");
    }
    return Ok{};
}

std::string summary_of(const SSL_CTX* context) {
    X509* own = SSL_CTX_get0_certificate(context);
    std::string names;
    auto* alternatives = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(own, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives, i);
        if (name->type != GEN_DNS) continue;
        const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
        names.append(names.empty() ? "" : " ");
        names.append(text, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    }
    GENERAL_NAMES_free(alternatives);
    std::tm end{};
    char day[16] = "?";
    if (ASN1_TIME_to_tm(X509_get0_notAfter(own), &end) == 1) std::strftime(day, sizeof(day), "%Y-%m-%d", &end);
    return log::escape(names.empty() ? "no name" : names, 256) + ", valid until " + day;
}

}  // namespace

struct TlsIdentity::Pair {
    TlsContext context;
};

TlsIdentity::TlsIdentity(TlsFiles files) : files_(std::move(files)) {}
TlsIdentity::~TlsIdentity() = default;

Result<std::shared_ptr<TlsIdentity>> TlsIdentity::load(TlsFiles files) {
    std::shared_ptr<TlsIdentity> identity(new TlsIdentity(std::move(files)));  // shared: connections are made from it
    GANTRY_TRY(identity->reload());
    return identity;
}

Status TlsIdentity::reload() {
    const Stamp seen = stamp();   // before they are read: a change meanwhile is one more
    {
        const std::lock_guard lock(mutex_);
        stamp_ = seen;
    }
    auto context = server_tls_context();
    if (!context) return std::move(context).error();
    GANTRY_TRY(use_certificates(context->get(), files_.certificate));
    GANTRY_TRY(use_key(context->get(), files_));
    auto pair = std::make_unique<Pair>(Pair{std::move(context).value()});
    const std::lock_guard lock(mutex_);
    std::swap(pair_, pair);
    return Ok{};
}

TlsIdentity::Stamp TlsIdentity::stamp() const {
    Stamp stamp{};
    size_t at = 0;
    for (const std::string* path : {&files_.certificate, &files_.key}) {
        struct stat found{};
        if (::stat(path->c_str(), &found) == 0) {
            const int64_t changed = found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec;
            for (const int64_t part : {static_cast<int64_t>(found.st_dev), static_cast<int64_t>(found.st_ino),
                                       static_cast<int64_t>(found.st_size), changed}) {
                stamp[at++] = part;
            }
        }
        at = stamp.size() / 2;
    }
    return stamp;
}

bool TlsIdentity::changed_on_disk() const {
    const Stamp now = stamp();
    const std::lock_guard lock(mutex_);
    return now != stamp_;
}

std::string TlsIdentity::summary() const {
    const std::lock_guard lock(mutex_);
    return summary_of(pair_->context.get());
}

void TlsIdentity::with_context(const std::function<void(ssl_ctx_st*)>& use) const {
    const std::lock_guard lock(mutex_);
    use(pair_->context.get());
}

}  // namespace gantry::http
