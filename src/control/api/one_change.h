#pragma once
// A request that changes something is one transaction: what it changes, its record in the audit log and its answer, where that is
// kept for a repeat, are on disk together or not at all. What others see of it follows once it is: api.once_stored().
// On the request's thread of the pool, one at a time.

#include <functional>
#include <memory>
#include <vector>

#include "control/api/api.h"

namespace gantry::control {

class OneChange {
public:
    explicit OneChange(ApiContext& api);
    ~OneChange();                          // without a commit(): nothing was changed, nothing follows
    OneChange(const OneChange&) = delete;
    OneChange& operator=(const OneChange&) = delete;
    // On disk; then what was to follow is done, too. An error: not on disk, or (its message says so) not in force yet.
    Status commit();

private:
    friend struct ApiContext;
    static OneChange* current();           // of this thread; null: none
    std::unique_ptr<store::Store::Together> writes_;
    std::vector<std::function<Status()>> follows_;
};

}  // namespace gantry::control
