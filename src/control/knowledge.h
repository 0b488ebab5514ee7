#pragma once
// What placement must know beside the rows: what the models' files say, and what instances were measured to take.
// Threads: any that may block on the disk.

#include <set>
#include <string>
#include <unordered_map>

#include "base/guarded.h"
#include "domain/snapshot.h"
#include "placement/scheduler.h"
#include "store/store.h"

namespace gantry::control {

class KnowledgeSource {
public:
    explicit KnowledgeSource(store::Store& store) : store_(store) {}

    // Of these sources. A model is read from its file here, once for each state of the file; where this machine has no such file
    // (it is a worker's), the catalogue's row says what was read before.
    placement::Knowledge of(const std::set<std::string>& sources, const Snapshot& view);
    // Of all whose instances wait for a place.
    placement::Knowledge of_waiting(const Snapshot& view);

private:
    Result<ModelMeta> meta_of(const std::string& source, const Snapshot& view);

    store::Store& store_;
    struct Read {
        std::string identity;      // of the file when it was read
        Result<ModelMeta> meta;
    };
    Guarded<std::unordered_map<std::string, Read>> read_;   // by source
};

}  // namespace gantry::control
