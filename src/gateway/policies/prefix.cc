#include "gateway/policies/prefix.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace gantry::gateway {
namespace {
constexpr size_t kEntries = 1 << 16;   // 1 MiB: 4,000 prompts of 4 KB
}

std::vector<uint64_t> prefix_chain(std::string_view prompt, uint64_t seed) {
    std::vector<uint64_t> chain(std::min(prompt.size() / kPrefixChunkBytes, kPrefixChunks));
    for (uint64_t& hash : chain) {
        seed = std::rotl(seed * 0x9e3779b97f4a7c15ull, 29) ^ std::hash<std::string_view>{}(prompt.substr(0, kPrefixChunkBytes));
        hash = seed;
        prompt.remove_prefix(kPrefixChunkBytes);
    }
    return chain;
}

std::string_view prompt_of(std::string_view body) {
    // As a key only: within a text the quotes would be escaped.
    for (const std::string_view key : {"\"messages\":", "\"prompt\":", "\"input\":"}) {
        if (const size_t at = body.find(key); at != std::string_view::npos) return body.substr(at + key.size());
    }
    return {};
}

void PrefixOwners::remember(const std::vector<uint64_t>& chain, uint64_t owner) {
    if (chain.empty()) return;
    if (entries_.empty()) entries_.resize(kEntries);
    for (const uint64_t hash : chain) entries_[hash % kEntries] = {hash, owner};
}

std::optional<uint64_t> PrefixOwners::find(const std::vector<uint64_t>& chain) const {
    if (entries_.empty()) return std::nullopt;
    for (auto hash = chain.rbegin(); hash != chain.rend(); ++hash) {
        const Entry& entry = entries_[*hash % kEntries];
        if (entry.hash == *hash) return entry.owner;
    }
    return std::nullopt;
}

}  // namespace gantry::gateway
