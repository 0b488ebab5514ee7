#pragma once
// Names for the ids in what is listed.

#include <memory>
#include <string>
#include <unordered_map>

#include "control/api/api.h"
#include "protocol/management/objects.h"

namespace gantry::control {

// Names of the users and keys that there are now.
class NameFinder {
public:
    explicit NameFinder(const ApiContext& api) : table_(api.tables.auth()) {
        for (const auto& [public_id, key] : table_->keys) keys_.emplace(key.id.text, &key);
    }
    protocol::management::UsageNames names(const UserId& user, const ApiKeyId& key) const {
        const auto found_user = table_->users.find(user);
        const auto found_key = keys_.find(key.text);
        return {found_user == table_->users.end() ? "" : found_user->second.name,
                found_key == keys_.end() ? "" : found_key->second->name};
    }

private:
    std::shared_ptr<const gateway::AuthTable> table_;
    std::unordered_map<std::string, const ApiKey*> keys_;   // into table_
};

}  // namespace gantry::control
