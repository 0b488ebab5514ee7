#pragma once
// A server's certificate chain and private key, from two PEM files, and their renewal while it runs.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;

namespace gantry::http {

struct TlsFiles {
    std::string certificate;   // the server's own first, then what signed it
    std::string key;           // without a passphrase
};

// Threads: any. load() and reload() block on the disk.
class TlsIdentity {
public:
    // Errors name the file and what to do: they are for whoever starts the server.
    static Result<std::shared_ptr<TlsIdentity>> load(TlsFiles files);
    ~TlsIdentity();
    // Reads both anew, for the connections that come from then on. An error: the pair before stays in force.
    Status reload();
    // Whether the files are others than those of the last load or reload, a failed one included.
    bool changed_on_disk() const;
    std::string summary() const;   // "gantry.example.com, valid until 2027-01-31": for the log

    // The library's own: calls `use` with what new connections take.
    void with_context(const std::function<void(ssl_ctx_st*)>& use) const;

private:
    struct Pair;
    using Stamp = std::array<int64_t, 8>;   // of both files: device, inode, size, time of change
    explicit TlsIdentity(TlsFiles files);
    Stamp stamp() const;

    const TlsFiles files_;
    mutable std::mutex mutex_;              // protects what follows
    std::unique_ptr<Pair> pair_;
    Stamp stamp_{};
};

}  // namespace gantry::http
