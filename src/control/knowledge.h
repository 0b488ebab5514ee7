#pragma once
// What placement must know beside the rows: what the models' files say, and what instances were measured to take.
// Threads: of() any that may block on the disk; of_waiting() the reconciler's, which does not wait for slow files: a thread of this
// object's own reads them.

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>

#include "domain/snapshot.h"
#include "models/model_reader.h"
#include "placement/scheduler.h"
#include "sources/model_files.h"
#include "store/store.h"

namespace gantry::control {

class KnowledgeSource {
public:
    struct Options {
        sources::ModelFiles* files = nullptr;      // this machine's model files, and its way to the hubs; null: neither. Outlives this
        std::chrono::milliseconds patience{200};   // of of_waiting, for files it sees for the first time: nearly all are read by then
        std::chrono::seconds longest{60};          // that one model's files are read for
        std::function<void()> read{};              // called by the reading thread: of_waiting would say more now
        std::function<Result<ModelMeta>(const std::string& path, models::ReadLimits limits)> reader = models::read_model;
    };
    KnowledgeSource(store::Store& store, Options options);
    ~KnowledgeSource();
    KnowledgeSource(const KnowledgeSource&) = delete;
    KnowledgeSource& operator=(const KnowledgeSource&) = delete;
    // Gives up what is being read, and calls `read` no more. Not to be called twice at once.
    void stop();

    // Of these sources. A model is read from its file here, once for each state of the file; where this machine has no such file
    // (it is a worker's), the catalogue's row says what was read before.
    placement::Knowledge of(const std::set<std::string>& sources, const Snapshot& view);
    // Of all whose instances wait for a place; what is still being read is named as such.
    placement::Knowledge of_waiting(const Snapshot& view);
    // What a model's files say, asked of its hub where they are not here. May take many seconds: for whoever wants this one. What it
    // learns, of() knows then, and it is neither asked nor read again, until the files change.
    Result<ModelMeta> look(const std::string& source);

private:
    struct File {
        std::string source;
        std::string path;          // empty: at a hub
        std::string identity;      // of the file as it was found
    };
    struct Read {
        std::string identity;      // of the file when it was read
        Result<ModelMeta> meta;
    };
    Result<File> file_of(const std::string& source) const;
    std::optional<Result<ModelMeta>> known(const File& file, const Snapshot& view);   // without reading a file
    Result<ModelMeta> read_now(const File& file, const std::stop_token& stop);
    void remember(const File& file, const Result<ModelMeta>& meta);
    void add(placement::Knowledge& knowledge, const std::string& source, Result<ModelMeta> meta) const;
    void add_runs(placement::Knowledge& knowledge) const;
    void read_queued(const std::stop_token& stop);

    store::Store& store_;
    const Options options_;
    std::mutex mutex_;                               // protects what follows
    std::unordered_map<std::string, Read> read_;     // by source
    std::deque<File> queue_;                         // the first is being read
    std::condition_variable_any changed_;            // the queue
    std::jthread thread_;
};

}  // namespace gantry::control
