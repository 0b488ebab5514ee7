#include "store/rows.h"

#include <fmt/format.h>

#include <charconv>

#include "base/digest.h"

namespace gantry::store {
namespace {

constexpr uint32_t kPageMax = 500;
constexpr size_t kCursorMax = 1024;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

}  // namespace

Error damaged_row(const std::string& file, const std::string& thing) {
    return internal_error(fmt::format("{} is damaged: a {} in it can't be read. Stop gantry and bring back a backup with "
                                      "`gantry restore`.",
                                      file, thing));
}

Error no_such(const std::string& thing, const std::string& key) {
    return not_found(fmt::format("there is no {} '{}'.", thing, key), thing + "_not_found");
}

Status one_row(const Result<int64_t>& changed, const char* thing, const std::string& key) {
    if (!changed) return changed.error();
    if (*changed == 0) return no_such(thing, key);
    return Ok{};
}

Error bad_cursor() {
    return invalid_argument("the cursor is none that this server gave out: start the list from the beginning, without one.",
                            "cursor");
}

Status check_page(const PageRequest& page) {
    if (page.limit >= 1 && page.limit <= kPageMax) return Ok{};
    return invalid_argument(fmt::format("limit is {}, but must be 1 to {}.", page.limit, kPageMax), "limit");
}

// Hex of "<unix ms>:<id>".
std::string encode_cursor(WallTime time, const std::string& id) {
    const std::string text = fmt::format("{}:{}", to_unix_ms(time), id);
    return to_hex(reinterpret_cast<const unsigned char*>(text.data()), text.size());
}

Result<std::pair<WallTime, std::string>> decode_cursor(const PageRequest& page) {
    // No cursor: before every row of the order. The empty id is below all ids, so that this is right at both ends.
    if (page.cursor.empty()) {
        return std::pair{page.descending ? page.to.value_or(kLastTime) : page.from.value_or(kFirstTime), std::string()};
    }
    if (page.cursor.size() % 2 != 0 || page.cursor.size() > kCursorMax) return bad_cursor();
    std::string text;
    for (size_t i = 0; i < page.cursor.size(); i += 2) {
        const int high = hex_digit(page.cursor[i]);
        const int low = hex_digit(page.cursor[i + 1]);
        if (high < 0 || low < 0) return bad_cursor();
        text += static_cast<char>(high * 16 + low);
    }
    int64_t ms = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), ms);
    if (failure != std::errc() || end == text.data() + text.size() || *end != ':') return bad_cursor();
    std::string id = text.substr(static_cast<size_t>(end + 1 - text.data()));
    if (id.empty()) return bad_cursor();
    return std::pair{from_unix_ms(ms), std::move(id)};
}

std::string list_sql(const ListSource& source, bool descending, const ListFilters& filters) {
    const char* order = descending ? "DESC" : "ASC";
    std::string conditions;
    for (const auto& [condition, value] : filters) conditions += condition;
    return fmt::format("{0} WHERE ({1}, {2}) {3} (?1, {9}) AND (?3 = '' OR {4}){5} AND {1} >= ?{6} AND {1} < ?{7} "
                       "ORDER BY {1} {8}, {2} {8} LIMIT ?4",
                       source.select, source.time_column, source.id_column, descending ? "<" : ">", source.name_filter,
                       conditions, filters.size() + 5, filters.size() + 6, order, source.last_id);
}

Error explain(Error error, std::initializer_list<Explanation> words) {
    if (error.code != ErrorCode::kConflict) return error;
    for (const Explanation& word : words) {
        if (error.reason != word.constraint) continue;
        return Error{word.code, word.message, word.param, word.code == ErrorCode::kConflict ? "already_exists" : ""};
    }
    // An id of ours made twice, or a constraint that a table's file forgot: still a conflict, without the column's name.
    error.reason.clear();
    return error;
}

Error missing_or_stale(Connection& db, const char* version_sql, const char* thing, const std::string& id, int64_t expected) {
    Statement statement = db.query(version_sql, id);
    auto row = statement.step();
    if (!row) return std::move(row).error();
    if (!*row) return no_such(thing, id);
    return Error{ErrorCode::kConflict,
                 fmt::format("the {} was changed by someone else meanwhile (version {} now, your edit is of version {}): read "
                             "it again and repeat your edit.",
                             thing, statement.integer(0), expected),
                 "version",
                 "version_conflict"};
}

}  // namespace gantry::store
