#pragma once
// Memory that holds a model's packed weights: new memory, into which they are packed, or a file of packed_cache.h, mapped. Either way it
// ends up in large pages, which are read faster: a file's weights are moved there when nobody else wants the machine.
// Threads: a load's are one; what happens afterwards has a thread of its own, which ends with the buffer.

#include <ggml-backend.h>

#include <memory>
#include <span>

#include "engine/kernels/packed_cache.h"

namespace gantry::engine::kernels {

class PackedBuffer;

// While one lives, the buffers that its thread makes are of this model, and kept in the cache. To be made before the file is opened.
// REQUIRES: the thread has no other.
class PackedLoad {
public:
    PackedLoad(PackedCacheOptions options, std::string model_path);
    ~PackedLoad();
    PackedLoad(const PackedLoad&) = delete;
    PackedLoad& operator=(const PackedLoad&) = delete;
    // All weights are there, and of the file as it was at first. To be called before any of the model's buffers is freed.
    void done();

private:
    friend class PackedBuffer;
    void let_go(std::span<const char> weights);

    PackedCacheOptions options_;
    std::string model_path_, identity_;
    std::vector<PackedBuffer*> buffers_;
    std::span<const char> mapped_;   // of the model's file, which llama.cpp keeps until it is loaded: what is packed need not stay in memory
};

// A buffer of ggml's with `size` bytes, whose weights are packed as they are set. Null: no memory.
ggml_backend_buffer_t alloc_packed_buffer(ggml_backend_buffer_type_t type, size_t size);

}  // namespace gantry::engine::kernels
