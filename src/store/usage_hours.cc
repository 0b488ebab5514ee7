// The table of usage by the hour, and summaries of it. A summary is read bucket by bucket, so that a page costs what it shows
// and not what comes after it.

#include "store/usage_hours.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "store/rows.h"
#include "store/sqlite_store.h"

namespace gantry::store {
namespace {

constexpr int64_t kDayMs = 24 * kHourMs;

constexpr char kSums[] =
    "sum(requests), sum(failed), sum(aborted), sum(estimated), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), "
    "sum(reasoning_tokens), sum(ttft_ms_sum), sum(ttft_count), sum(duration_ms_sum), sum(audio_ms), sum(images)";

void read(Columns& columns, UsageSummary& s) {
    UsageTotals& t = s.totals;
    columns >> s.user_id >> s.key_id >> s.model >> s.instance_id >> s.operation >> t.requests >> t.failed >> t.aborted >>
        t.estimated >> t.prompt_tokens >> t.cached_tokens >> t.completion_tokens >> t.reasoning_tokens >> t.ttft_ms_sum >>
        t.ttft_count >> t.duration_ms_sum >> t.audio_ms >> t.images;
}

// What a line is of, in the order of a page. As a cursor: "3:abc" each, one behind the other.
using Group = std::array<std::string, 5>;

Group group_of(const UsageSummary& s) { return {s.user_id.text, s.key_id.text, s.model, s.instance_id.text, s.operation}; }

std::string packed(const Group& group) {
    std::string text;
    for (const std::string& part : group) text += fmt::format("{}:{}", part.size(), part);
    return text;
}

std::optional<Group> unpacked(std::string_view text) {
    Group group;
    for (std::string& part : group) {
        size_t size = 0;
        const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), size);
        if (failure != std::errc() || end == text.data() + text.size() || *end != ':') return std::nullopt;
        text.remove_prefix(static_cast<size_t>(end + 1 - text.data()));
        if (size > text.size()) return std::nullopt;
        part = text.substr(0, size);
        text.remove_prefix(size);
    }
    return text.empty() ? std::optional(group) : std::nullopt;
}

struct Position {
    WallTime bucket{};
    Group group;
};

// Reads lines from where the page begins.
class SummaryReader {
public:
    SummaryReader(Connection& db, const UsageSummaryRequest& request)
        : db_(db), request_(request), width_ms_(request.bucket == UsageBucket::kHour ? kHourMs : kDayMs) {
        const int64_t last_ms = request.to ? to_unix_ms(*request.to) - 1 : 0;
        from_ = request.from ? span_start(*request.from, kHourMs) : kFirstTime;
        to_ = request.to ? span_start(from_unix_ms(last_ms), kHourMs) + std::chrono::milliseconds(kHourMs) : kLastTime;
        const std::string user = request.filter.user.empty() ? "?3 = ''" : "user_id = ?3";
        conditions_ = "FROM usage_hours WHERE hour >= ?1 AND hour < ?2 AND " + user +
                      " AND (?4 = '' OR key_id = ?4) AND (?5 = '' OR model = ?5)";
        const UsageGroups& by = request.by;
        columns_ = fmt::format("{}, {}, {}, {}, {}", by.user ? "user_id" : "''", by.key ? "key_id" : "''", by.model ? "model" : "''",
                               by.instance ? "instance_id" : "''", by.operation ? "operation" : "''");
    }

    Result<std::vector<UsageSummary>> read_page(const std::optional<Position>& behind) {
        std::vector<UsageSummary> out;
        const size_t wanted = size_t{request_.limit} + 1;
        if (request_.bucket == UsageBucket::kTotal) {
            GANTRY_TRY(read_bucket(out, std::nullopt, from_, to_, behind ? &behind->group : nullptr, wanted));
            return out;
        }
        WallTime next = behind ? std::max(from_, behind->bucket) : from_;
        while (out.size() < wanted) {
            auto hour = first_hour(next);
            if (!hour) return std::move(hour).error();
            if (!*hour) break;
            const WallTime bucket = span_start(**hour, width_ms_);
            const WallTime end = bucket + std::chrono::milliseconds(width_ms_);
            const bool cut = behind && bucket == behind->bucket;
            GANTRY_TRY(read_bucket(out, bucket, std::max(from_, bucket), std::min(to_, end), cut ? &behind->group : nullptr,
                                   wanted - out.size()));
            next = end;
        }
        return out;
    }

private:
    // The first hour from `from` on that has anything to show.
    Result<std::optional<WallTime>> first_hour(WallTime from) {
        const UsageFilter& f = request_.filter;
        Statement statement = db_.query("SELECT hour " + conditions_ + " ORDER BY hour LIMIT 1", from, to_, f.user, f.key, f.model);
        auto row = statement.step();
        if (!row) return std::move(row).error();
        if (!*row) return std::optional<WallTime>();
        return std::optional(from_unix_ms(statement.integer(0)));
    }

    Status read_bucket(std::vector<UsageSummary>& out, std::optional<WallTime> bucket, WallTime from, WallTime to, const Group* behind,
                       size_t limit) {
        static const Group kNone;
        const Group& group = behind != nullptr ? *behind : kNone;
        const UsageFilter& f = request_.filter;
        Statement statement = db_.query(
            fmt::format("SELECT {0}, {1} {2} AND (?6 = 0 OR ({0}) > (?7, ?8, ?9, ?10, ?11)) GROUP BY 1, 2, 3, 4, 5 "
                        "ORDER BY 1, 2, 3, 4, 5 LIMIT ?12",
                        columns_, kSums, conditions_),
            from, to, f.user, f.key, f.model, behind != nullptr, group[0], group[1], group[2], group[3], group[4], limit);
        auto rows = read_all<UsageSummary>(db_, std::move(statement), "usage hour", read);
        if (!rows) return std::move(rows).error();
        for (UsageSummary& row : *rows) {
            row.bucket = bucket;
            out.push_back(std::move(row));
        }
        return Ok{};
    }

    Connection& db_;
    const UsageSummaryRequest& request_;
    const int64_t width_ms_;
    WallTime from_{}, to_{};
    std::string conditions_, columns_;
};

}  // namespace

WallTime span_start(WallTime time, int64_t width_ms) {
    const int64_t ms = to_unix_ms(time);
    return from_unix_ms(ms - ((ms % width_ms) + width_ms) % width_ms);
}

void UsageHours::add(const UsageRecord& u) {
    totals_[{span_start(u.at, kHourMs), u.user_id, u.key_id, u.model, u.instance_id, u.operation}].add(u);
}

Status UsageHours::write(Connection& db) const {
    for (const auto& [key, t] : totals_) {
        const auto& [hour, user, api_key, model, instance, operation] = key;
        auto done = db.run(
            "INSERT INTO usage_hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (hour, user_id, key_id, model, instance_id, operation) DO UPDATE SET "
            "requests = requests + excluded.requests, failed = failed + excluded.failed, aborted = aborted + excluded.aborted, "
            "estimated = estimated + excluded.estimated, prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
            "cached_tokens = cached_tokens + excluded.cached_tokens, "
            "completion_tokens = completion_tokens + excluded.completion_tokens, "
            "reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens, ttft_ms_sum = ttft_ms_sum + excluded.ttft_ms_sum, "
            "ttft_count = ttft_count + excluded.ttft_count, duration_ms_sum = duration_ms_sum + excluded.duration_ms_sum, "
            "audio_ms = audio_ms + excluded.audio_ms, images = images + excluded.images",
            hour, user, api_key, model, instance, operation, t.requests, t.failed, t.aborted, t.estimated, t.prompt_tokens,
            t.cached_tokens, t.completion_tokens, t.reasoning_tokens, t.ttft_ms_sum, t.ttft_count, t.duration_ms_sum, t.audio_ms, t.images);
        if (!done) return std::move(done).error();
    }
    return Ok{};
}

Result<Page<UsageSummary>> SqliteStore::usage_summary(const UsageSummaryRequest& request) {
    const PageRequest page{.cursor = request.cursor, .limit = request.limit};
    GANTRY_TRY(check_page(page));
    std::optional<Position> behind;
    if (!request.cursor.empty()) {
        auto cursor = decode_cursor(page);
        if (!cursor) return std::move(cursor).error();
        const std::optional<Group> group = unpacked(cursor->second);
        if (!group) return bad_cursor();
        behind = Position{cursor->first, *group};
    }
    auto lines = usage_->read([&](Connection& db) { return SummaryReader(db, request).read_page(behind); });
    if (!lines) return std::move(lines).error();
    Page<UsageSummary> out;
    out.items = std::move(*lines);
    if (out.items.size() > request.limit) {
        out.items.resize(request.limit);
        const UsageSummary& last = out.items.back();
        out.next_cursor = encode_cursor(last.bucket.value_or(WallTime{}), packed(group_of(last)));
    }
    return out;
}

}  // namespace gantry::store
