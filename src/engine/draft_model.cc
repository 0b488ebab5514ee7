#include "engine/draft_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"

namespace gantry::engine {
namespace {

constexpr uint32_t kShareMin = 16;   // tokens that are worth waiting for, or taking over, instead of computing them

uint32_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
    return static_cast<uint32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

Result<std::unique_ptr<DraftModel>> DraftModel::make(std::unique_ptr<ModelRunner> runner, const ModelRunner& target,
                                                     const DraftModelOptions& options) {
    const RunnerCapacity capacity = runner->capacity();
    const uint32_t vocabulary = target.capacity().vocabulary;
    if (capacity.vocabulary != vocabulary) {
        return invalid_argument(fmt::format("the draft model has {} tokens, but the model it drafts for has {}: they must share a "
                                            "vocabulary", capacity.vocabulary, vocabulary));
    }
    for (uint32_t token = 0; token < vocabulary; ++token) {
        const auto id = static_cast<TokenId>(token);
        if (runner->is_end_of_generation(id) != target.is_end_of_generation(id)) {
            return invalid_argument(fmt::format("the token {} ends an answer of one model and not of the other: the draft model and "
                                                "the model it drafts for must share a vocabulary", token));
        }
    }
    if (capacity.sharing != PrefixSharing::kAny) {
        return invalid_argument("the draft model's memory can't be cut where a guess was wrong (it is recurrent, or has a sliding "
                                "window): use one with full attention");
    }
    return std::unique_ptr<DraftModel>(new DraftModel(std::move(runner), options));
}

DraftModel::DraftModel(std::unique_ptr<ModelRunner> runner, const DraftModelOptions& options)
    : runner_(std::move(runner)), options_(options), capacity_(runner_->capacity()), contexts_(capacity_.slots) {}

void DraftModel::propose(std::span<DraftRequest> requests) {
    for (DraftRequest& request : requests) {
        request.draft.clear();
    }
    if (failures_in_row_ >= options_.failures_max) {
        return;
    }
    choose_tasks(requests);
    if (catch_up()) {
        while (guess_on()) {
        }
    }
    batch_.clear();
    task_of_row_.clear();
    logit_rows_ = 0;
}

void DraftModel::forget(Slot slot) {
    if (slot >= 0 && static_cast<size_t>(slot) < contexts_.size() && !context(slot).tokens.empty()) {
        runner_->truncate(slot, 0);
        context(slot).tokens.clear();
    }
}

void DraftModel::set_threads(uint32_t threads) { runner_->set_threads(std::min(threads, runner_->threads_max())); }

void DraftModel::set_asleep(bool asleep) {
    for (Context& own : contexts_) {
        own.tokens.clear();
    }
    if (!runner_->set_asleep(asleep) && !asleep) {
        log::warn("not enough memory to wake the draft model; it is not asked again");
        failures_in_row_ = options_.failures_max;
    }
}

// --- what to compute ---------------------------------------------------------------------------------------------------

// Those that lack least come first, so that a newcomer's prompt takes the rows that are left and no others.
void DraftModel::choose_tasks(std::span<DraftRequest> requests) {
    tasks_.clear();
    for (DraftRequest& request : requests) {
        const bool fits = request.slot >= 0 && static_cast<size_t>(request.slot) < contexts_.size() &&
                          !request.tokens.empty() && request.tokens.size() < capacity_.context_tokens;
        if (!fits || request.most == 0) {
            continue;
        }
        adjust(request);
        const Task task{&request, static_cast<uint32_t>(context(request.slot).tokens.size()), 0};
        if (!waits(task)) {
            tasks_.push_back(task);
        }
    }
    std::stable_sort(tasks_.begin(), tasks_.end(), [](const Task& a, const Task& b) { return a.missing() < b.missing(); });
    uint32_t rows = options_.call_rows_max;
    for (Task& task : tasks_) {
        if (task.missing() > rows) {
            continue;   // catch_up() gives it what is left, without a guess
        }
        rows -= task.missing();
        const uint32_t room = capacity_.context_tokens - static_cast<uint32_t>(task.request->tokens.size());
        const uint32_t more = std::min({task.request->most - 1, options_.guesses_max - 1, rows, room - 1});
        task.most = 1 + more;
        rows -= more;
    }
}

// Leaves in the slot's context what it shares with the request's tokens, but for the last one, whose logits are needed; or takes
// over more from another slot.
void DraftModel::adjust(const DraftRequest& request) {
    Context& own = context(request.slot);
    const auto wanted = request.tokens.first(request.tokens.size() - 1);
    uint32_t kept = common_prefix(own.tokens, wanted);
    if (own.salt != request.salt) {
        kept = 0;
    }
    Slot best = -1;
    uint32_t longest = kept + kShareMin - 1;
    for (size_t slot = 0; slot < contexts_.size() && can_share_ && wanted.size() > longest; ++slot) {
        const Context& other = contexts_[slot];
        const bool may = static_cast<Slot>(slot) != request.slot && other.salt == request.salt && other.tokens.size() > longest;
        const uint32_t common = may ? common_prefix(other.tokens, wanted) : 0;
        if (common > longest) {
            longest = common;
            best = static_cast<Slot>(slot);
        }
    }
    kept = best >= 0 ? 0 : kept;
    if (own.tokens.size() > kept) {
        runner_->truncate(request.slot, static_cast<int32_t>(kept));
        own.tokens.resize(kept);
    }
    own.salt = request.salt;
    if (best >= 0) {
        can_share_ = runner_->share_prefix(best, request.slot, static_cast<int32_t>(longest));
        if (can_share_) {
            own.tokens.assign(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(longest));
        }
    }
}

// Another task of this call computes what this one lacks: it is taken over in a later call.
bool DraftModel::waits(const Task& task) const {
    return can_share_ && std::any_of(tasks_.begin(), tasks_.end(), [&](const Task& other) {
        return other.request->salt == task.request->salt && other.missing() >= kShareMin &&
               common_prefix(other.request->tokens, task.request->tokens) >= std::max(task.kept, other.kept) + kShareMin;
    });
}

// --- computing ---------------------------------------------------------------------------------------------------------

// Computes what the contexts lack, within the rows of a call; the first guesses come out of it.
bool DraftModel::catch_up() {
    uint32_t promised = 0;
    for (const Task& task : tasks_) {
        promised += task.most > 0 ? task.missing() + task.most - 1 : 0;
    }
    uint32_t left = options_.call_rows_max - promised;
    for (Task& task : tasks_) {
        const std::span<const TokenId> tokens = task.request->tokens;
        uint32_t end = static_cast<uint32_t>(tokens.size());
        if (task.most == 0) {
            end = std::min(end - 1, task.kept + left);
            left -= end - task.kept;
        }
        for (uint32_t position = task.kept; position < end; ++position) {
            if (!add_row(task, tokens[position], position + 1 == tokens.size())) {
                return false;
            }
        }
    }
    return flush();
}

// One more guess for each that may have one. False: for none.
bool DraftModel::guess_on() {
    for (Task& task : tasks_) {
        const std::vector<TokenId>& draft = task.request->draft;
        if (!draft.empty() && draft.size() < task.most && !add_row(task, draft.back(), true)) {
            return false;
        }
    }
    return !batch_.empty() && flush();
}

// False: the batch had to be computed to make room for the row, and was not.
bool DraftModel::add_row(Task& task, TokenId token, bool wants_logits) {
    const uint32_t logit_rows_max = capacity_.logit_rows > 0 ? capacity_.logit_rows : capacity_.batch_rows;
    if ((batch_.size() == capacity_.batch_rows || (wants_logits && logit_rows_ == logit_rows_max)) && !flush()) {
        return false;
    }
    // What lies in the batch already for the same slot stands right before.
    size_t position = context(task.request->slot).tokens.size();
    for (size_t row = batch_.size(); row > 0 && batch_[row - 1].slot == task.request->slot; --row) {
        ++position;
    }
    batch_.push_back(BatchRow{.token = token, .position = static_cast<int32_t>(position), .slot = task.request->slot,
                              .wants_logits = wants_logits});
    task_of_row_.push_back(wants_logits ? &task : nullptr);
    logit_rows_ += wants_logits ? 1 : 0;
    return true;
}

bool DraftModel::flush() {
    if (batch_.empty()) {
        return true;
    }
    const Result<ForwardOutcome> outcome = runner_->forward(batch_);
    if (!outcome) {
        failed(outcome.error());
        return false;
    }
    if (*outcome == ForwardOutcome::kNoSpace) {
        make_room();
        return false;
    }
    if (*outcome == ForwardOutcome::kAborted) {
        return false;   // no row was kept
    }
    failures_in_row_ = 0;
    for (size_t row = 0; row < batch_.size(); ++row) {
        context(batch_[row].slot).tokens.push_back(batch_[row].token);
        if (task_of_row_[row]) {
            read_guess(*task_of_row_[row], row);
        }
    }
    batch_.clear();
    task_of_row_.clear();
    logit_rows_ = 0;
    return true;
}

// An end of generation is no guess: no token follows that a row could verify.
void DraftModel::read_guess(Task& task, size_t row) {
    const auto drawn = sampler_.sample(
        SampleInput{.logits = runner_->logits(row), .params = greedy_, .counts = {}, .index = 0, .end_tokens = {}});
    if (drawn && !runner_->is_end_of_generation(drawn->token)) {
        task.request->draft.push_back(drawn->token);
    } else {
        task.most = static_cast<uint32_t>(task.request->draft.size());
    }
}

// --- when it does not work ---------------------------------------------------------------------------------------------

// Contexts that this call did not ask for go first; else the longest, so that the others get on.
void DraftModel::make_room() {
    bool made = false;
    for (size_t slot = 0; slot < contexts_.size(); ++slot) {
        const bool asked = std::any_of(tasks_.begin(), tasks_.end(), [&](const Task& task) {
            return task.request->slot == static_cast<Slot>(slot);
        });
        if (!asked && !contexts_[slot].tokens.empty()) {
            forget(static_cast<Slot>(slot));
            made = true;
        }
    }
    if (!made) {
        const auto longest = std::max_element(contexts_.begin(), contexts_.end(), [](const Context& a, const Context& b) {
            return a.tokens.size() < b.tokens.size();
        });
        forget(static_cast<Slot>(longest - contexts_.begin()));
    }
}

// What the slots of the batch hold is not known any more.
void DraftModel::failed(const Error& error) {
    ++failures_in_row_;
    log::warn("the draft model failed: {}{}", error.message,
              failures_in_row_ >= options_.failures_max ? "; it is not asked again" : "");
    for (const BatchRow& row : batch_) {
        runner_->truncate(row.slot, 0);
        context(row.slot).tokens.clear();
    }
}

}  // namespace gantry::engine
