#pragma once
// How often each token of one sequence was generated, 0 for those that stood in the prompt only. Walked once a drawn token when
// a penalty is set, so the entries lie side by side; a hash table of their places finds one.
// Threads: a plain value, no sharing.

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "engine/model_runner.h"

namespace gantry::engine {

class TokenCounts {
public:
    using Entry = std::pair<TokenId, uint32_t>;

    TokenCounts() = default;
    TokenCounts(std::initializer_list<Entry> entries) {
        for (const auto& [token, count] : entries) {
            try_emplace(token, count);
        }
    }

    // Does nothing when the token has an entry.
    void try_emplace(TokenId token, uint32_t count) {
        if (find(token)) {
            return;
        }
        if (2 * (entries_.size() + 1) > places_.size()) {
            grow();
        }
        entries_.emplace_back(token, count);
        places_[home_of(token)] = static_cast<uint32_t>(entries_.size());
    }
    uint32_t& operator[](TokenId token) {
        try_emplace(token, 0);
        return entries_[places_[home_of(token)] - 1].second;
    }
    // Null: it was never seen.
    const uint32_t* find(TokenId token) const {
        const uint32_t place = places_.empty() ? 0 : places_[home_of(token)];
        return place == 0 ? nullptr : &entries_[place - 1].second;
    }
    size_t size() const { return entries_.size(); }
    auto begin() const { return entries_.begin(); }   // in order of their first sight
    auto end() const { return entries_.end(); }

private:
    // Where the token's place stands in the table, or may stand.
    size_t home_of(TokenId token) const {
        const size_t mask = places_.size() - 1;
        size_t at = static_cast<size_t>((static_cast<uint64_t>(static_cast<uint32_t>(token)) * 0x9e3779b97f4a7c15ull) >> 32) & mask;
        while (places_[at] != 0 && entries_[places_[at] - 1].first != token) {
            at = (at + 1) & mask;
        }
        return at;
    }
    void grow() {
        places_.assign(places_.empty() ? 64 : 2 * places_.size(), 0);
        for (size_t i = 0; i < entries_.size(); ++i) {
            places_[home_of(entries_[i].first)] = static_cast<uint32_t>(i + 1);
        }
    }

    std::vector<Entry> entries_;
    std::vector<uint32_t> places_;   // 1 + index into entries_, 0: free; a power of two, at most half full
};

}  // namespace gantry::engine
