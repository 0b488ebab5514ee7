#pragma once
// One file of a hub, by several ranges at once, onto the disk; to be gone on with after any kill. Beside the file lies its journal
// (journal.h). At the end the file has the digest that the hub named, and is on the disk; or it is not there as a whole, and whoever
// asked gets no file. Blocking: a thread for each download, and one that computes the digest.

#include <atomic>
#include <functional>
#include <string>

#include "sources/hub.h"

namespace gantry::sources {

inline constexpr uint64_t kChunkBytes = 8ull << 20;       // what a kill loses of a range, at most

struct Located {
    Url url{};
    std::string token{};                       // for that URL; empty: none
    Nearness nearest = Nearness::kLoopback;    // no address nearer than that
    std::string unix_socket{};                 // as in Ask: somebody nearer than the hub
};

struct DownloadTask {
    HubFile file{};
    std::string path{};                                 // where it grows; its journal is `path` + ".journal"
    std::function<Result<Located>()> locate{};          // where the bytes are now: signed URLs expire
    uint64_t chunk_bytes = kChunkBytes;                 // tests make it small
    std::function<void()> progressed{};                 // a few times a second, on the calling thread
};

// Shared with whoever looks on. Threads: any.
struct DownloadState {
    std::atomic<bool> cancelled{false};
    std::atomic<uint64_t> bytes_done{0};       // of this file, what lay there included
};

// kCancelled; kStorageFull; kUnavailable, kRateLimited: retried in vain; kPermissionDenied, kNotFound: what locate() says;
// kInvalidArgument, reason "digest_mismatch": what came is not what the hub promised, and is deleted.
Status download(const Settings& settings, const DownloadTask& task, DownloadState& state);

}  // namespace gantry::sources
