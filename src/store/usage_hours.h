#pragma once
// Usage by UTC hour, user, key, model, instance and operation: what a batch of records adds to it.

#include <map>
#include <tuple>

#include "domain/usage.h"
#include "store/statement.h"

namespace gantry::store {

constexpr int64_t kHourMs = 3'600'000;

// Where the span of `width_ms` that holds `time` begins; before 1970, too.
WallTime span_start(WallTime time, int64_t width_ms);

class UsageHours {
public:
    void add(const UsageRecord& record);
    // A statement a group, not a record: a busy hour is a few rows.
    Status write(Connection& db) const;

private:
    using Key = std::tuple<WallTime, UserId, ApiKeyId, std::string, InstanceId, std::string>;
    std::map<Key, UsageTotals> totals_;
};

}  // namespace gantry::store
