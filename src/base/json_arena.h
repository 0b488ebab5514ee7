#pragma once
// Documents that are read, used and forgotten at once: their memory comes from a buffer on the stack, and goes as a whole.
//   JsonArena<8192> arena;
//   const Result<json::value> document = parse_json(text, arena.memory());

#include "base/json.h"

namespace gantry {

// parse_json() with the document in `memory`, which outlives it.
Result<json::value> parse_json(std::string_view text, json::storage_ptr memory);

// What doesn't fit into the buffer comes from the heap.
template <size_t kBytes>
class JsonArena {
public:
    json::storage_ptr memory() { return &resource_; }

private:
    unsigned char buffer_[kBytes];
    json::monotonic_resource resource_{buffer_, kBytes};
};

}  // namespace gantry
