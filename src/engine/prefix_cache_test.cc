#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace gantry::engine {
namespace {

using Tokens = std::vector<TokenId>;

std::vector<std::pair<Slot, uint32_t>> found(const PrefixCache& cache, const Tokens& tokens, uint32_t least = 1, const std::string& salt = "") {
    std::vector<std::pair<Slot, uint32_t>> all;
    for (const PrefixMatch& match : cache.match(salt, tokens, least)) {
        all.emplace_back(match.slot, match.length);
    }
    return all;
}

using Found = std::vector<std::pair<Slot, uint32_t>>;

TEST(PrefixCache, TheLongestBeginningInCommonComesFirst) {
    PrefixCache cache;
    cache.insert(0, "", Tokens{1, 2, 3, 4});
    cache.insert(1, "", Tokens{1, 2, 9});
    cache.insert(2, "", Tokens{5});
    EXPECT_EQ(found(cache, {1, 2, 3, 7}), (Found{{0, 3}, {1, 2}}));
    EXPECT_EQ(found(cache, {1, 2, 3, 4, 5}), (Found{{0, 4}, {1, 2}}));
    EXPECT_EQ(found(cache, {1, 2, 3, 7}, 3), (Found{{0, 3}}));
    EXPECT_EQ(found(cache, {7}), Found{});
    EXPECT_EQ(cache.check_integrity(), std::nullopt);
}

TEST(PrefixCache, SaltsShareNothing) {
    PrefixCache cache;
    cache.insert(0, "a", Tokens{1, 2, 3});
    EXPECT_EQ(found(cache, {1, 2, 3}, 1, "b"), Found{});
    EXPECT_EQ(found(cache, {1, 2, 3}, 1, "a"), (Found{{0, 3}}));
}

TEST(PrefixCache, EqualPathsGrowTogetherAndPart) {
    PrefixCache cache;
    cache.insert(0, "", Tokens{1, 2});
    cache.insert(1, "", Tokens{1, 2});
    for (TokenId token : {3, 4}) {
        cache.append(0, token);
        cache.append(1, token);
    }
    cache.append(0, 5);
    cache.append(1, 6);
    EXPECT_EQ(cache.path(0), (Tokens{1, 2, 3, 4, 5}));
    EXPECT_EQ(cache.path(1), (Tokens{1, 2, 3, 4, 6}));
    EXPECT_EQ(found(cache, {1, 2, 3, 4, 6}), (Found{{1, 5}, {0, 4}}));
    cache.remove(0);
    EXPECT_EQ(found(cache, {1, 2, 3, 4, 5}), (Found{{1, 4}}));
    EXPECT_EQ(cache.check_integrity(), std::nullopt);
}

// Against the definition: random paths over a tiny alphabet, so that they collide, split, grow and go in all ways.
TEST(PrefixCache, AgreesWithComparingEveryPath) {
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        std::mt19937_64 random(seed);
        const auto pick = [&](uint32_t from, uint32_t to) { return from + static_cast<uint32_t>(random() % (to - from + 1)); };
        PrefixCache cache;
        std::map<Slot, std::pair<std::string, Tokens>> model;
        const auto some = [&](uint32_t length) {
            Tokens tokens;
            for (uint32_t i = 0; i < length; ++i) {
                tokens.push_back(static_cast<TokenId>(pick(0, 2)));
            }
            return tokens;
        };
        for (int step = 0; step < 400; ++step) {
            const auto slot = static_cast<Slot>(pick(0, 11));
            const auto held = model.find(slot);
            if (held == model.end()) {
                const std::string salt = pick(0, 4) == 0 ? "x" : "";
                const Tokens tokens = some(pick(0, 9));
                cache.insert(slot, salt, tokens);
                model[slot] = {salt, tokens};
            } else if (pick(0, 9) < 6) {
                const auto token = static_cast<TokenId>(pick(0, 2));
                cache.append(slot, token);
                held->second.second.push_back(token);
            } else if (pick(0, 1) == 0) {
                const uint32_t length = pick(0, static_cast<uint32_t>(held->second.second.size()));
                cache.truncate(slot, length);
                held->second.second.resize(length);
            } else {
                cache.remove(slot);
                model.erase(held);
            }
            ASSERT_EQ(cache.check_integrity(), std::nullopt) << "seed " << seed << " step " << step;
            const Tokens query = some(pick(1, 12));
            std::vector<std::pair<Slot, uint32_t>> expected;
            for (const auto& [other, path] : model) {
                ASSERT_EQ(cache.path(other), path.second) << "seed " << seed << " step " << step;
                const auto same = std::mismatch(query.begin(), query.end(), path.second.begin(), path.second.end());
                const auto length = static_cast<uint32_t>(same.first - query.begin());
                if (path.first.empty() && length >= 2) {
                    expected.emplace_back(other, length);
                }
            }
            std::stable_sort(expected.begin(), expected.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
            ASSERT_EQ(found(cache, query, 2), expected) << "seed " << seed << " step " << step;
        }
    }
}

}  // namespace
}  // namespace gantry::engine
