#pragma once
// Which instance had a prompt's beginning last, so that it goes there again and finds it in the engine's cache.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace gantry::gateway {

// Hashes of a prompt's first 256 bytes, first 512 and so on, at most kPrefixChunks of them; what is left of the last chunk
// counts as none, so that short prompts have no beginning worth a thought. `seed` keeps models apart. Pure.
inline constexpr size_t kPrefixChunkBytes = 256;
inline constexpr size_t kPrefixChunks = 64;
std::vector<uint64_t> prefix_chain(std::string_view prompt, uint64_t seed);
// The part of a request's body where its prompt is: from "messages", "prompt" or "input" on. Pure.
std::string_view prompt_of(std::string_view body);

// Remembers, in memory of a fixed size that is taken at the first use: newer prompts push out older ones.
class PrefixOwners {
public:
    void remember(const std::vector<uint64_t>& chain, uint64_t owner);
    // Who had the longest part of it.
    std::optional<uint64_t> find(const std::vector<uint64_t>& chain) const;

private:
    struct Entry {
        uint64_t hash = 0;
        uint64_t owner = 0;
    };
    std::vector<Entry> entries_;
};

}  // namespace gantry::gateway
