#include "engine/prefix_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"

namespace gantry::engine {

struct PrefixCache::Node {
    std::vector<TokenId> edge;                            // empty in a root only
    Node* parent = nullptr;
    uint32_t begin = 0;                                   // depth of the edge's first token
    std::map<TokenId, std::unique_ptr<Node>> children;    // by the first token of their edge
    std::bitset<kSlotsMax> slots;

    uint32_t end() const { return begin + static_cast<uint32_t>(edge.size()); }
};

PrefixCache::PrefixCache() : places_(kSlotsMax) {}
PrefixCache::~PrefixCache() = default;

void PrefixCache::insert(Slot slot, const std::string& salt, std::span<const TokenId> tokens) {
    GANTRY_ASSERT(!holds(slot), "a slot has one path");
    std::unique_ptr<Node>& root = roots_[salt];
    if (!root) {
        root = std::make_unique<Node>();
    }
    root->slots.set(static_cast<size_t>(slot));
    at(slot) = Place{root.get(), 0, salt};
    for (TokenId token : tokens) {
        append(slot, token);
    }
}

void PrefixCache::append(Slot slot, TokenId token) {
    Place& place = at(slot);
    GANTRY_ASSERT(place.node != nullptr, "a path begins with insert()");
    Node* node = place.node;
    if (place.length < node->end()) {                     // inside an edge that other slots go on with
        if (node->edge[place.length - node->begin] == token) {
            ++place.length;
            return;
        }
        node = &split(*node, place.length);
        place.node = node;
    }
    const auto found = node->children.find(token);
    if (found != node->children.end()) {
        place.node = found->second.get();
        place.node->slots.set(static_cast<size_t>(slot));
    } else if (node->parent != nullptr && node->children.empty() && node->slots.count() == 1) {
        node->edge.push_back(token);
    } else {
        auto child = std::make_unique<Node>();
        child->edge.push_back(token);
        child->parent = node;
        child->begin = node->end();
        child->slots.set(static_cast<size_t>(slot));
        place.node = child.get();
        node->children.emplace(token, std::move(child));
    }
    ++place.length;
}

// Cuts the edge at `depth`, so that the node ends there; what came after becomes its only child.
PrefixCache::Node& PrefixCache::split(Node& node, uint32_t depth) {
    GANTRY_ASSERT(depth > node.begin && depth < node.end(), "an edge is split within");
    auto tail = std::make_unique<Node>();
    const auto cut = node.edge.begin() + static_cast<int64_t>(depth - node.begin);
    tail->edge.assign(cut, node.edge.end());
    node.edge.erase(cut, node.edge.end());
    tail->parent = &node;
    tail->begin = depth;
    tail->children = std::move(node.children);
    node.children.clear();
    for (auto& [token, child] : tail->children) {
        child->parent = tail.get();
    }
    for (size_t slot = 0; slot < kSlotsMax; ++slot) {
        if (node.slots.test(slot) && places_[slot].length > depth) {
            tail->slots.set(slot);
            if (places_[slot].node == &node) {
                places_[slot].node = tail.get();
            }
        }
    }
    node.children.emplace(tail->edge.front(), std::move(tail));
    return node;
}

void PrefixCache::truncate(Slot slot, uint32_t length) {
    Place& place = at(slot);
    GANTRY_ASSERT(place.node != nullptr && length <= place.length, "a path is cut to what it has");
    place.length = length;
    Node* node = place.node;
    while (node->parent != nullptr && node->begin >= length) {
        Node* parent = node->parent;
        place.node = parent;
        node->slots.reset(static_cast<size_t>(slot));
        if (node->slots.none()) {
            const TokenId first = node->edge.front();
            parent->children.erase(first);
        } else {
            tidy(*node);
        }
        node = parent;
    }
    tidy(*node);
}

void PrefixCache::remove(Slot slot) {
    if (!holds(slot)) {
        return;
    }
    truncate(slot, 0);
    Place place = std::exchange(at(slot), Place{});
    place.node->slots.reset(static_cast<size_t>(slot));   // the root by now
    if (place.node->slots.none()) {
        roots_.erase(place.salt);
    }
}

// Drops the end of an edge that no path reaches any more, and a border that no path needs.
void PrefixCache::tidy(Node& node) {
    if (node.parent == nullptr) {
        return;
    }
    if (node.children.empty()) {
        uint32_t longest = node.begin;
        for (size_t slot = 0; slot < kSlotsMax; ++slot) {
            longest = node.slots.test(slot) ? std::max(longest, places_[slot].length) : longest;
        }
        node.edge.resize(longest - node.begin);
    }
    merge_with_only_child(node);
}

void PrefixCache::merge_with_only_child(Node& node) {
    if (node.children.size() != 1 || node.children.begin()->second->slots != node.slots) {
        return;
    }
    const std::unique_ptr<Node> child = std::move(node.children.begin()->second);
    node.edge.insert(node.edge.end(), child->edge.begin(), child->edge.end());
    node.children = std::move(child->children);
    for (auto& [token, grandchild] : node.children) {
        grandchild->parent = &node;
    }
    for (Place& place : places_) {
        if (place.node == child.get()) {
            place.node = &node;
        }
    }
}

std::vector<PrefixMatch> PrefixCache::match(const std::string& salt, std::span<const TokenId> tokens, uint32_t least) const {
    std::vector<PrefixMatch> matches;
    const auto root = roots_.find(salt);
    if (root == roots_.end()) {
        return matches;
    }
    const Node* node = root->second.get();
    uint32_t depth = 0;
    for (;;) {
        const auto compared = std::min<size_t>(node->edge.size(), tokens.size() - depth);
        const auto same = std::mismatch(node->edge.begin(), node->edge.begin() + static_cast<int64_t>(compared), tokens.begin() + depth);
        depth += static_cast<uint32_t>(same.first - node->edge.begin());
        if (depth < node->end() || depth == tokens.size()) {
            break;
        }
        const auto child = node->children.find(tokens[depth]);
        if (child == node->children.end()) {
            break;
        }
        node = child->second.get();
    }
    std::bitset<kSlotsMax> seen;
    for (; node != nullptr && depth >= std::max(least, 1u); node = node->parent) {
        const std::bitset<kSlotsMax> here = node->slots & ~seen;
        seen |= here;
        for (size_t slot = here._Find_first(); slot < kSlotsMax; slot = here._Find_next(slot)) {
            const uint32_t length = std::min(depth, places_[slot].length);
            if (length >= least) {
                matches.push_back(PrefixMatch{static_cast<Slot>(slot), length});
            }
        }
        depth = node->begin;
    }
    std::sort(matches.begin(), matches.end(), [](const PrefixMatch& a, const PrefixMatch& b) {
        return a.length != b.length ? a.length > b.length : a.slot < b.slot;
    });
    return matches;
}

std::vector<TokenId> PrefixCache::path(Slot slot) const {
    std::vector<TokenId> tokens;
    for (const Node* node = at(slot).node; node != nullptr; node = node->parent) {
        tokens.insert(tokens.begin(), node->edge.begin(), node->edge.end());
    }
    tokens.resize(at(slot).length);
    return tokens;
}

std::optional<std::string> PrefixCache::check(const Node& node, const std::vector<Place>& places) {
    uint32_t longest = node.begin;
    std::bitset<kSlotsMax> below;
    for (const auto& [token, child] : node.children) {
        if (child->parent != &node || child->begin != node.end() || child->edge.empty() || child->edge.front() != token) {
            return fmt::format("the child at depth {} hangs wrongly", node.end());
        }
        if ((child->slots & below).any() || (child->slots & ~node.slots).any()) {
            return fmt::format("a slot takes two ways at depth {}", node.end());
        }
        below |= child->slots;
        if (auto broken = check(*child, places)) {
            return broken;
        }
    }
    for (size_t slot = 0; slot < kSlotsMax; ++slot) {
        if (!node.slots.test(slot)) {
            continue;
        }
        longest = std::max(longest, std::min(places[slot].length, node.end()));
        if ((places[slot].node == &node) == below.test(slot)) {
            return fmt::format("slot {} says that it ends elsewhere than at depth {}", slot, places[slot].length);
        }
        if (places[slot].node == &node && (places[slot].length > node.end() || (node.parent && places[slot].length <= node.begin))) {
            return fmt::format("slot {} ends outside its edge", slot);
        }
    }
    if (longest != node.end()) {
        return fmt::format("tokens {} to {} belong to nobody", longest, node.end());
    }
    return std::nullopt;
}

std::optional<std::string> PrefixCache::check_integrity() const {
    std::bitset<kSlotsMax> rooted;
    for (const auto& [salt, root] : roots_) {
        if (root->slots.none() || (root->slots & rooted).any()) {
            return "a tree without slots, or a slot in two trees";
        }
        rooted |= root->slots;
        if (auto broken = check(*root, places_)) {
            return broken;
        }
    }
    for (size_t slot = 0; slot < kSlotsMax; ++slot) {
        if (holds(static_cast<Slot>(slot)) != rooted.test(slot)) {
            return fmt::format("slot {} has a path in no tree", slot);
        }
    }
    return std::nullopt;
}

}  // namespace gantry::engine
