#pragma once
// One model on its way from a hub: what is asked, in order, and what of it is seen from outside. Private to this folder.

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "base/guarded.h"
#include "sources/download.h"
#include "sources/hub.h"
#include "sources/model_cache.h"
#include "sources/model_files.h"

namespace gantry::sources {

// Files that some thread downloads now: two models may share one.
class BusyFiles {
public:
    class Hold {
    public:
        Hold(BusyFiles& files, std::string digest) : files_(files), digest_(std::move(digest)) {}
        ~Hold();
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;

    private:
        BusyFiles& files_;
        const std::string digest_;
    };
    // Null: `cancelled` became true while another had it.
    std::unique_ptr<Hold> hold(const std::string& digest, const std::atomic<bool>& cancelled);

private:
    std::mutex mutex_;
    std::condition_variable freed_;
    std::set<std::string> busy_;
};

class FetchJob {
public:
    FetchJob(Source source, const Fetcher& fetcher, const ModelCache& cache, BusyFiles& busy, const Clock& clock);

    const Source& source() const { return source_; }
    Progress progress() const;
    // Blocking, once. What it calls at each change is whoever listens then.
    void run();
    void cancel() { state_.cancelled = true; }
    bool cancelled() const { return state_.cancelled; }
    bool ended() const;

    uint64_t listen(std::function<void()> changed);
    void unlisten(uint64_t id);
    size_t listeners() const;

private:
    Result<Manifest> fetch();
    Status fetch_file(const Hub& hub, const Listing& listing, const ChosenFile& file);
    void tell(const std::function<void(Progress&)>& change);
    void ticked();

    const Source source_;
    const Fetcher& fetcher_;
    const ModelCache& cache_;
    BusyFiles& busy_;
    const Clock& clock_;
    DownloadState state_;
    uint64_t before_ = 0;                              // bytes of the files that are done; the job's thread
    std::deque<std::pair<SteadyTime, uint64_t>> lately_;   // the same: bytes that were there then
    SteadyTime told_at_{};                             // the same

    struct Seen {
        Progress progress{};
        std::map<uint64_t, std::function<void()>> listeners{};
        uint64_t next_listener = 1;
    };
    mutable std::mutex mutex_;
    Seen seen_;                                        // guarded by mutex_
};

// Where the bytes of a file are now; what the hub says against it, for a person.
Result<Located> locate(const Fetcher& fetcher, const Hub& hub, const Source& source, const Url& url);

}  // namespace gantry::sources
