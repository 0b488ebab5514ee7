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
#include "sources/near.h"

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
    struct Parts {   // which outlive it
        const Fetcher& fetcher;
        const Near& near;
        const ModelCache& cache;
        BusyFiles& busy;
        const Clock& clock;
        // Makes room on the disk for what is to come, or says why there is none.
        std::function<Status(const std::vector<ChosenFile>& files)> room;
    };
    FetchJob(Source source, Parts parts);

    const Source& source() const { return source_; }
    Progress progress() const;
    // Blocking; again only after a pause. What it calls at each change is whoever listens then.
    void run();
    void cancel() {
        paused_ = false;
        state_.cancelled = true;
    }
    bool cancelled() const { return state_.cancelled && !paused_; }
    bool ended() const;
    // run() ends soon, and what it has stays. False: it has ended already.
    bool pause();
    // True: it was paused, and whoever runs jobs should run it again.
    bool resume();

    uint64_t listen(std::function<void()> changed);
    void unlisten(uint64_t id);
    size_t listeners() const;

private:
    Result<Manifest> fetch();
    Result<Manifest> plan();
    Status fetch_file(const Manifest& plan, const ChosenFile& file);
    Result<Located> locate_file(const Manifest& plan, const ChosenFile& file);
    Status check_beginning(const Manifest& plan, const ChosenFile& file);
    void tell(const std::function<void(Progress&)>& change);
    void ticked();

    const Source source_;
    const Fetcher& fetcher_;
    const Near& near_;
    const ModelCache& cache_;
    BusyFiles& busy_;
    const Clock& clock_;
    const std::function<Status(const std::vector<ChosenFile>&)> room_;
    const std::unique_ptr<Hub> hub_;
    DownloadState state_;
    std::atomic<bool> paused_{false};
    std::optional<Listing> listing_{};                 // of the hub, once it was asked; the job's thread
    unsigned near_tries_ = 0;                          // of this file; the same
    bool from_near_ = false;                           // some of this file came so; the same
    uint64_t before_ = 0;                              // bytes of the files that are done; the job's thread
    std::deque<std::pair<SteadyTime, uint64_t>> lately_;   // the same: bytes that were there then
    SteadyTime told_at_{};                             // the same

    struct Seen {
        Progress progress{};
        std::map<uint64_t, std::function<void()>> listeners{};
        uint64_t next_listener = 1;
        bool running = false;
    };
    mutable std::mutex mutex_;
    Seen seen_;                                        // guarded by mutex_
};

// Where the bytes of a file are now; what the hub says against it, for a person.
Result<Located> locate(const Fetcher& fetcher, const Hub& hub, const Source& source, const Url& url);

}  // namespace gantry::sources
