#pragma once
// Threads with deep stacks, for code of others that recurses on its input (template parsers,
// tokenizers' expressions).

#include <pthread.h>

#include <cstddef>

namespace gantry::engine_server {

inline constexpr size_t kDeepStackBytes = 256u
                                          << 20;  // address space, not memory, until it is used

// While one exists, threads are created with deep stacks.
class DeepStacks {
public:
    DeepStacks() {
        pthread_getattr_default_np(&before_);
        pthread_attr_t deep;
        pthread_getattr_default_np(&deep);
        pthread_attr_setstacksize(&deep, kDeepStackBytes);
        pthread_setattr_default_np(&deep);
        pthread_attr_destroy(&deep);
    }
    ~DeepStacks() {
        pthread_setattr_default_np(&before_);
        pthread_attr_destroy(&before_);
    }
    DeepStacks(const DeepStacks&) = delete;
    DeepStacks& operator=(const DeepStacks&) = delete;

private:
    pthread_attr_t before_;
};

}  // namespace gantry::engine_server
