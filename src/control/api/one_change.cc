#include "control/api/one_change.h"

namespace gantry::control {
namespace {

thread_local OneChange* current_change = nullptr;

}  // namespace

OneChange::OneChange(ApiContext& api) : writes_(api.store.together()) { current_change = this; }

OneChange::~OneChange() { current_change = nullptr; }

OneChange* OneChange::current() { return current_change; }

Status OneChange::commit() {
    GANTRY_TRY(writes_->commit());
    writes_.reset();
    current_change = nullptr;
    Status worst = Ok{};
    for (const auto& follow : follows_) {
        if (Status done = follow(); !done && worst) worst = std::move(done);
    }
    return worst;
}

Status ApiContext::once_stored(std::function<Status()> follow) {
    OneChange* const change = OneChange::current();
    if (change == nullptr) return follow();
    change->follows_.push_back(std::move(follow));
    return Ok{};
}

}  // namespace gantry::control
