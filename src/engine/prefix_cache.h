#pragma once
// Which slot holds which tokens: a radix tree over token ids, shared by all that hold or will hold cells: sequences that run, prompts
// that are being computed, and what ended sequences left behind. It knows no cells and no model; KvSpace books those.
//
// A node is a run of tokens (an edge) with the slots whose paths use at least its first token; a path may end inside an edge. Each salt
// has a tree of its own. After SGLang's RadixAttention (Zheng et al., 2023), with slots of llama.cpp's unified cache in place of pages.
// Threads: none, a plain value.

#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/model_runner.h"

namespace gantry::engine {

inline constexpr uint32_t kSlotsMax = 256;   // llama.cpp's LLAMA_MAX_SEQ

struct PrefixMatch {
    Slot slot = -1;
    uint32_t length = 0;     // tokens in common
};

class PrefixCache {
public:
    PrefixCache();
    ~PrefixCache();
    PrefixCache(const PrefixCache&) = delete;
    PrefixCache& operator=(const PrefixCache&) = delete;

    // REQUIRES: the slot holds nothing.
    void insert(Slot slot, const std::string& salt, std::span<const TokenId> tokens);
    // REQUIRES: inserted before; the path may be empty.
    void append(Slot slot, TokenId token);
    void truncate(Slot slot, uint32_t length);
    void remove(Slot slot);          // nothing held: nothing done

    bool holds(Slot slot) const { return at(slot).node != nullptr; }
    uint32_t length(Slot slot) const { return at(slot).length; }
    // Every slot of that salt with at least `least` tokens in common, the most first, equal ones by slot.
    // Takes O(tokens compared + slots).
    std::vector<PrefixMatch> match(const std::string& salt, std::span<const TokenId> tokens, uint32_t least) const;

    // The slot's tokens, for tests and checks.
    std::vector<TokenId> path(Slot slot) const;
    // Whether the tree is sound; a text says what is not.
    std::optional<std::string> check_integrity() const;

private:
    struct Node;
    struct Place {
        Node* node = nullptr;        // the last one of the path; the root while the path is empty
        uint32_t length = 0;
        std::string salt;
    };
    const Place& at(Slot slot) const { return places_.at(static_cast<size_t>(slot)); }
    Place& at(Slot slot) { return places_.at(static_cast<size_t>(slot)); }
    Node& split(Node& node, uint32_t depth);
    void tidy(Node& node);
    void merge_with_only_child(Node& node);
    static std::optional<std::string> check(const Node& node, const std::vector<Place>& places);

    std::map<std::string, std::unique_ptr<Node>> roots_;   // by salt
    std::vector<Place> places_;                            // by slot
};

}  // namespace gantry::engine
