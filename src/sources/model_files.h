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
    // What its files say: those here, or read from the hub by ranges, without fetching them. May take seconds.
    virtual Result<ModelMeta> look(const Source& source) = 0;
    virtual Result<std::vector<HubModel>> search(SourceKind hub, const std::string& words, unsigned most) = 0;

    // Fetches it for later, for nobody; goes on until it is there, has failed, or is removed.
    virtual void pull(const Source& source) = 0;
    virtual std::vector<ModelFileSet> list() const = 0;   // without used_by: only the server knows
    // Bytes freed. A download that goes on is cancelled. kNotFound; kConflict: somebody holds a ticket.
    virtual Result<uint64_t> remove(const std::string& id) = 0;
    virtual Status verify(const std::string& id) = 0;    // ModelCache::verify
};

}  // namespace gantry::sources
