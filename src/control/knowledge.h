#pragma once
// What placement must know beside the rows: what the models' files say, and what instances were measured to take.
// Threads: any that may block on the disk.

#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "base/guarded.h"
#include "domain/snapshot.h"
#include "placement/scheduler.h"
#include "sources/model_files.h"
#include "store/store.h"

namespace gantry::control {

class KnowledgeSource {
public:
    // `files`: this machine's model files, and its way to the hubs; null: neither. Outlives this.
    KnowledgeSource(store::Store& store, sources::ModelFiles* files) : store_(store), files_(files) {}

    // Of these sources. A model is read from its file here, once for each state of the file; where this machine has no such file
    // (it is a worker's), the catalogue's row says what was read before.
    placement::Knowledge of(const std::set<std::string>& sources, const Snapshot& view);
    // Of all whose instances wait for a place.
    placement::Knowledge of_waiting(const Snapshot& view);
    // What a model's files say, asked of its hub where they are not here. May take many seconds: for whoever wants this one. What it
    // learns, of() knows then, and it is not asked again.
    Result<ModelMeta> look(const std::string& source);

private:
    Result<ModelMeta> meta_of(const std::string& source, const Snapshot& view);
    std::optional<Result<ModelMeta>> known_of_hub(const std::string& source) const;
    Result<ModelMeta> meta_of_hub(const Source& source, const Snapshot& view);

    store::Store& store_;
    sources::ModelFiles* const files_;
    struct Read {
        std::string identity;      // of the file when it was read
        Result<ModelMeta> meta;
    };
    Guarded<std::unordered_map<std::string, Read>> read_;   // by source
};

}  // namespace gantry::control
