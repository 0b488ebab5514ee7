#include "engine/prompt_lookup.h"

#include <algorithm>
#include <array>
#include <random>

#include "base/assert.h"

namespace gantry::engine {
namespace {

constexpr size_t kLongestMax = 8;    // tokens that must agree
constexpr size_t kAnswersMax = 64;   // of one group, before those that ended are dropped
constexpr uint32_t kAgreeMax = 16;   // tokens that are looked at to see how far a place can be trusted
constexpr size_t kWindow = 16;       // tokens at either end that tell whether a slot still holds the same sequence

uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ull;
    return (x ^ (x >> 29)) * 0xd6e8feb86659fd93ull;
}

// Drawn anew by each process, so that nobody can choose prompts whose places collide.
const uint64_t kSeed = std::random_device()() * 0x9e3779b97f4a7c15ull;

uint64_t extend(uint64_t hash, TokenId token) { return mix(hash + static_cast<uint32_t>(token) + 1); }

uint32_t key_of(uint64_t hash) { return std::max<uint32_t>(1, static_cast<uint32_t>(hash >> 32)); }

}  // namespace

// --- the index ---------------------------------------------------------------------------------------------------------

size_t PromptLookup::Index::home_of(uint32_t key, Work& work) const {
    const size_t mask = entries_.size() - 1;
    size_t at = key & mask;
    for (++work.probed; entries_[at].key != 0 && entries_[at].key != key; ++work.probed) {
        at = (at + 1) & mask;
    }
    return at;
}

void PromptLookup::Index::put(uint32_t key, Place place, Work& work) {
    if (2 * (used_ + 1) > entries_.size()) {
        std::vector<Entry> old(std::max<size_t>(256, 2 * entries_.size()));
        std::swap(old, entries_);
        for (const Entry& entry : old) {
            if (entry.key != 0) {
                entries_[home_of(entry.key, work)] = entry;
            }
        }
    }
    Entry& entry = entries_[home_of(key, work)];
    used_ += entry.key == 0 ? 1 : 0;
    entry = Entry{key, place};
    ++work.put;
}

const PromptLookup::Place* PromptLookup::Index::find(uint32_t key, Work& work) const {
    if (entries_.empty()) {
        return nullptr;
    }
    const Entry& entry = entries_[home_of(key, work)];
    return entry.key == 0 ? nullptr : &entry.place;
}

const TokenId* PromptLookup::Group::at(Place place) const {
    if (place.position < prompt.size()) {
        return &prompt[place.position];
    }
    const std::vector<TokenId>& tokens = answers[place.answer].tokens;
    const size_t offset = place.position - prompt.size();
    return offset < tokens.size() ? &tokens[offset] : nullptr;
}

// --- what is kept ------------------------------------------------------------------------------------------------------

PromptLookup::PromptLookup(const PromptLookupOptions& options) : options_(options) {
    GANTRY_ASSERT(options.shortest > 0 && options.shortest <= options.longest && options.longest <= kLongestMax,
                  "a few tokens have to agree");
}

void PromptLookup::propose(std::span<DraftRequest> requests) {
    uint32_t budget = options_.call_tokens_max;
    for (const DraftRequest& request : requests) {
        GANTRY_ASSERT(request.slot >= 0 && request.prompt_tokens <= request.tokens.size(), "a draft for a sequence in a slot");
        const auto slot = static_cast<size_t>(request.slot);
        if (slot >= members_.size()) {
            members_.resize(slot + 1);
        }
        if (!goes_on(members_[slot], request)) {
            forget(request.slot);
            join(members_[slot], request);
        }
        if (members_[slot].group) {
            take_in(members_[slot], request, budget);
        }
    }
    for (DraftRequest& request : requests) {   // when all are up to date, so that they learn from each other's last tokens
        request.draft.clear();
        const Member& member = members_[static_cast<size_t>(request.slot)];
        if (member.group) {
            guess(member, request);
        }
    }
}

// Looks at both ends only: a slot that was given to another sequence without forget() shows there, but for texts that are the
// same wherever it matters.
bool PromptLookup::goes_on(const Member& member, const DraftRequest& request) const {
    const Group* group = member.group;
    if (!group || group->prompt.size() != request.prompt_tokens || group->salt != request.salt) {
        return false;
    }
    const size_t known = group->prompt.size() + group->answers[member.answer].tokens.size();
    if (request.tokens.size() < known) {
        return false;
    }
    const auto same = [&](size_t position) {
        return request.tokens[position] == *group->at(Place{member.answer, static_cast<uint32_t>(position)});
    };
    for (size_t i = 0; i < std::min(known, kWindow); ++i) {
        if (!same(i) || !same(known - 1 - i)) {
            return false;
        }
    }
    return true;
}

void PromptLookup::join(Member& member, const DraftRequest& request) {
    const std::span<const TokenId> prompt = request.tokens.first(request.prompt_tokens);
    if (tokens_kept_ + prompt.size() > options_.tokens_max) {
        return;
    }
    uint64_t hash = 0;
    for (TokenId token : prompt) {
        hash = extend(hash, token);
    }
    const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const std::unique_ptr<Group>& group) {
        return group->prompt_hash == hash && group->salt == request.salt &&
               std::equal(group->prompt.begin(), group->prompt.end(), prompt.begin(), prompt.end());
    });
    if (found != groups_.end()) {
        member.group = found->get();
    } else {
        auto group = std::make_unique<Group>();
        group->salt = request.salt;
        group->prompt.assign(prompt.begin(), prompt.end());
        group->prompt_hash = hash;
        tokens_kept_ += prompt.size();
        member.group = group.get();
        groups_.push_back(std::move(group));
    }
    Group& group = *member.group;
    if (group.answers.size() >= kAnswersMax) {
        drop_ended(group);
    }
    member.answer = static_cast<uint32_t>(group.answers.size());
    group.answers.emplace_back();
    ++group.running;
}

void PromptLookup::forget(Slot slot) {
    if (static_cast<size_t>(slot) >= members_.size() || !members_[static_cast<size_t>(slot)].group) {
        return;
    }
    Member& member = members_[static_cast<size_t>(slot)];
    Group& group = *member.group;
    group.answers[member.answer].running = false;
    member = Member{};
    if (--group.running > 0) {
        return;   // the others may still find use in what was answered
    }
    tokens_kept_ -= group.prompt.size();
    for (const Answer& answer : group.answers) {
        tokens_kept_ -= answer.tokens.size();
    }
    std::erase_if(groups_, [&](const std::unique_ptr<Group>& other) { return other.get() == &group; });
}

// The index knows answers by their number, so it is made anew; who waits for that is paid by the many that ended before.
void PromptLookup::drop_ended(Group& group) {
    std::vector<Answer> running;
    for (uint32_t number = 0; number < group.answers.size(); ++number) {
        Answer& answer = group.answers[number];
        if (!answer.running) {
            tokens_kept_ -= answer.tokens.size();
            continue;
        }
        const auto member = std::find_if(members_.begin(), members_.end(), [&](const Member& other) {
            return other.group == &group && other.answer == number;
        });
        GANTRY_ASSERT(member != members_.end(), "an answer that runs belongs to a slot");
        member->answer = static_cast<uint32_t>(running.size());
        answer.indexed = 0;
        running.push_back(std::move(answer));
    }
    group.answers = std::move(running);
    group.prompt_indexed = 0;
    group.index.clear();
}

void PromptLookup::take_in(const Member& member, const DraftRequest& request, uint32_t& budget) {
    Group& group = *member.group;
    Answer& answer = group.answers[member.answer];
    const auto prompt = static_cast<uint32_t>(group.prompt.size());
    for (; group.prompt_indexed < prompt && budget > 0; --budget) {
        index(group, Place{member.answer, group.prompt_indexed++});
    }
    const auto fresh = request.tokens.subspan(prompt + answer.tokens.size());
    const size_t room = options_.tokens_max - std::min(options_.tokens_max, tokens_kept_);
    const auto taken = fresh.first(std::min(fresh.size(), room));
    answer.tokens.insert(answer.tokens.end(), taken.begin(), taken.end());
    tokens_kept_ += taken.size();
    for (; answer.indexed < answer.tokens.size() && budget > 0; --budget) {
        index(group, Place{member.answer, prompt + answer.indexed++});
    }
}

// Notes that the token at the place follows the ones before it.
void PromptLookup::index(Group& group, Place place) {
    uint64_t hash = kSeed;
    for (uint32_t n = 1; n <= options_.longest && n <= place.position; ++n) {
        hash = extend(hash, *group.at(Place{place.answer, place.position - n}));
        if (n >= options_.shortest) {
            group.index.put(key_of(hash), place, work_);
        }
    }
}

// --- guessing ----------------------------------------------------------------------------------------------------------

void PromptLookup::guess(const Member& member, DraftRequest& request) {
    const Group& group = *member.group;
    const size_t known = std::min<size_t>(request.tokens.size(), kAgreeMax);
    context_.assign(request.tokens.end() - static_cast<std::ptrdiff_t>(known), request.tokens.end());
    uint32_t most = request.most;
    while (request.draft.size() < most) {
        const Place* found = latest(group, context_);
        if (!found) {
            return;
        }
        Place place = *found;
        if (place.position < group.prompt.size()) {
            place.answer = member.answer;   // past the prompt the own answer goes on
        }
        if (request.draft.empty()) {
            most = std::min(most, std::max<uint32_t>(1, agreeing(group, place, context_) - 1));
        }
        // Where the text ends, what was guessed so far leads to another place.
        for (const TokenId* token = group.at(place); token && request.draft.size() < most; token = group.at(place)) {
            request.draft.push_back(*token);
            context_.push_back(*token);
            ++place.position;
        }
    }
}

const PromptLookup::Place* PromptLookup::latest(const Group& group, std::span<const TokenId> context) {
    std::array<uint64_t, kLongestMax + 1> hashes{};
    hashes[0] = kSeed;
    const size_t longest = std::min<size_t>(options_.longest, context.size());
    for (size_t n = 1; n <= longest; ++n) {
        hashes[n] = extend(hashes[n - 1], context[context.size() - n]);
    }
    for (size_t n = longest; n >= options_.shortest; --n) {
        const Place* place = group.index.find(key_of(hashes[n]), work_);
        if (place && group.at(*place) && agreeing(group, *place, context.last(n)) == n) {
            return place;
        }
    }
    return nullptr;
}

// How many tokens before the place are the context's last ones.
uint32_t PromptLookup::agreeing(const Group& group, Place place, std::span<const TokenId> context) {
    const auto most = static_cast<uint32_t>(std::min<size_t>(context.size(), place.position));
    for (uint32_t n = 0; n < most; ++n) {
        ++work_.compared;
        if (*group.at(Place{place.answer, place.position - n - 1}) != context[context.size() - n - 1]) {
            return n;
        }
    }
    return most;
}

}  // namespace gantry::engine
