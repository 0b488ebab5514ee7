#pragma once
// The digest of a file while it arrives: a thread of its own reads behind the contiguous front, from the disk, so that what is checked
// is what is kept; what lay there from an earlier run is read as well. Threads: grow() and finish() from one; the rest is inside.

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "sources/hub_answers.h"

namespace gantry::sources {

class FrontDigest {
public:
    // Of the open file `descriptor`, which outlives this, `bytes` long.
    FrontDigest(int descriptor, uint64_t bytes, Digest::Kind kind);
    ~FrontDigest();   // ends early
    void grow(uint64_t front);          // so many bytes from the beginning are there
    Result<std::string> finish();       // waits until all are read: hex. REQUIRES: grow(bytes) was called

private:
    void read_along(const std::stop_token& stop);

    const int descriptor_;
    const uint64_t bytes_;
    const Digest::Kind kind_;
    std::mutex mutex_;
    std::condition_variable_any grown_;
    uint64_t front_ = 0;                // guarded by mutex_
    std::string hex_;                   // what the thread leaves; read after it ended
    int error_number_ = 0;
    std::jthread thread_;               // last: it uses all of the above
};

}  // namespace gantry::sources
