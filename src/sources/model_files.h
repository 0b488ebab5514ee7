#pragma once
// The model files of this machine that come from hubs: fetched when an instance needs them or somebody asks, kept by content
// (model_cache.h), one download however many wait for it. Owns a few threads, which block on network and disk. Threads: any.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "domain/model.h"
#include "domain/model_files.h"
#include "domain/source.h"
#include "sources/choose.h"
#include "sources/settings.h"

namespace gantry::sources {

// How far a fetch is.
struct Progress {
    using State = ModelFilesState;
    State state = State::kWaiting;
    std::string path{};                 // kReady: what an engine is given
    uint64_t bytes = 0;                 // of all files; 0: not yet known
    uint64_t bytes_done = 0;
    uint64_t bytes_per_second = 0;      // lately
    std::optional<Error> error{};       // kFailed
    double fraction() const { return bytes == 0 ? 0 : static_cast<double>(bytes_done) / static_cast<double>(bytes); }
};
// "downloading 120.0 MB of 491.4 MB, 35.2 MB/s, 11 s left"
std::string describe(const Progress& progress);

class ModelFiles {
public:
    struct Options {
        std::string folder{};           // of models, absolute; made if need be
        Settings settings{};
        unsigned downloads = 2;         // models at once; the rest waits
        std::string near_socket{};      // who is asked before a hub (near.h); empty: nobody
    };
    static Result<std::unique_ptr<ModelFiles>> open(Options options, const Clock& clock);
    virtual ~ModelFiles() = default;    // cancels; partial downloads stay, to be gone on with

    // Wants the files as long as it lives. The last to go cancels the download.
    class Ticket {
    public:
        virtual ~Ticket() = default;
        virtual Progress progress() const = 0;
    };
    // `changed` is called from a thread of this, a few times a second and at the end; it must not call back into this, nor block.
    virtual std::unique_ptr<Ticket> fetch(const Source& source, std::function<void()> changed) = 0;

    // What an engine is given, if all of it is here.
    virtual std::optional<std::string> path_of(const Source& source) const = 0;
    // For other machines: what is here of a source, as near.h's manifest, and a file by its digest. nullopt: it isn't here.
    virtual std::optional<std::string> manifest_of(const Source& source) const = 0;
    virtual std::optional<std::string> blob_path(const std::string& digest) const = 0;
    // What its files say: those here, or read from the hub by ranges, without fetching them. May take seconds.
    virtual Result<ModelMeta> look(const Source& source) = 0;
    // The quantizations that the hub has where `source` leaves them open; empty: none to choose from, or it is here already. Asks the hub.
    virtual Result<std::vector<Offer>> offers(const Source& source) = 0;
    virtual Result<std::vector<HubModel>> search(SourceKind hub, const std::string& words, unsigned most) = 0;

    // Fetches it for later, for nobody; goes on until it is there, has failed, or is removed.
    virtual void pull(const Source& source) = 0;
    virtual std::vector<ModelFileSet> list() const = 0;   // without used_by: only the server knows
    // Pauses a download, also one that instances wait for, until resume() or the end of this process; what is here of it stays. kNotFound;
    // kConflict: it is not on its way, or not paused.
    virtual Status pause(const std::string& id) = 0;
    virtual Status resume(const std::string& id) = 0;
    // Which sources the quota (Settings::folder_bytes) leaves alone, beside those that somebody holds a ticket of; called from any thread.
    virtual void keep(std::function<bool(const std::string& source)> used) = 0;
    // Bytes freed. A download that goes on is cancelled. kNotFound; kConflict: somebody holds a ticket.
    virtual Result<uint64_t> remove(const std::string& id) = 0;
    virtual Status verify(const std::string& id) = 0;    // ModelCache::verify
};

}  // namespace gantry::sources
