#pragma once
// What the tables' files share: reading rows, pages, and turning "no row changed" and broken constraints into words.
// Every SQL text here is put together from literals of this folder only.

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/statement.h"
#include "store/store.h"

namespace gantry::store {

Error damaged_row(const std::string& file, const std::string& thing);

// All rows of a query as T. read: void(Columns&, T&).
template <class T, class Read>
Result<std::vector<T>> read_all(Connection& db, Statement statement, const char* thing, Read&& read) {
    std::vector<T> rows;
    while (true) {
        auto row = statement.step();
        if (!row) return std::move(row).error();
        if (!*row) return rows;
        Columns columns(statement);
        T value;
        read(columns, value);
        if (!columns.ok()) return damaged_row(db.file_name(), thing);
        rows.push_back(std::move(value));
    }
}

// The one row, or kNotFound "no <thing> '<key>'".
Error no_such(const std::string& thing, const std::string& key);
template <class T, class Read>
Result<T> read_one(Connection& db, Statement statement, const char* thing, const std::string& key, Read&& read) {
    auto rows = read_all<T>(db, std::move(statement), thing, read);
    if (!rows) return std::move(rows).error();
    if (rows->empty()) return no_such(thing, key);
    return std::move(rows->front());
}

// What became of a change of the one row that has a key: kNotFound where there is none.
Status one_row(const Result<int64_t>& changed, const char* thing, const std::string& key);

// No row has either.
inline constexpr WallTime kFirstTime = WallTime::min();
inline constexpr WallTime kLastTime = WallTime::max();

// Where a list comes from. All texts are literals.
struct ListSource {
    const char* thing;              // "deployment"
    const char* select;             // "SELECT ... FROM deployments"
    const char* time_column;        // the order: time, then id
    const char* id_column;
    const char* name_filter;        // true where the row's name holds ?3
    const char* owner_filter = "";  // " AND user_id = ?5", used where an owner is given
    const char* last_id = "?2";     // what the cursor says of id_column; "CAST(?2 AS INTEGER)" where that is a number from 1 on
};

// A column's condition with its value: " AND (?6 = '' OR model = ?6)". In the order of the parameters, from ?5 on.
using ListFilters = std::vector<std::pair<const char*, std::string>>;

Error bad_cursor();
Status check_page(const PageRequest& page);
std::string encode_cursor(WallTime time, const std::string& id);
// Where the page begins: behind the row that the cursor names, or at the end of the time asked for.
Result<std::pair<WallTime, std::string>> decode_cursor(const PageRequest& page);
std::string list_sql(const ListSource& source, bool descending, const ListFilters& filters);

// Keyset paging: a page goes on after the last row seen, whatever was inserted or deleted meanwhile.
// key: pair<WallTime, string>(const T&), the columns of the order.
template <class T, class Read, class Key>
Result<Page<T>> read_filtered_page(Connection& db, const ListSource& source, const PageRequest& page, const ListFilters& filters,
                                   Read&& read, Key&& key) {
    GANTRY_TRY(check_page(page));
    auto start = decode_cursor(page);
    if (!start) return std::move(start).error();
    Statement statement = db.query(list_sql(source, page.descending, filters), start->first, start->second,
                                   page.name_contains, int64_t{page.limit} + 1);
    for (const auto& [condition, value] : filters) statement.bind(value);
    statement.bind(page.from.value_or(kFirstTime)).bind(page.to.value_or(kLastTime));
    auto rows = read_all<T>(db, std::move(statement), source.thing, read);
    if (!rows) return std::move(rows).error();
    Page<T> out;
    out.items = std::move(*rows);
    if (out.items.size() > page.limit) {
        out.items.pop_back();
        const std::pair<WallTime, std::string> last = key(out.items.back());
        out.next_cursor = encode_cursor(last.first, last.second);
    }
    return out;
}
// The same of one owner's rows, or of all where `owner` is empty.
template <class T, class Read, class Key>
Result<Page<T>> read_page(Connection& db, const ListSource& source, const PageRequest& page, const std::string& owner,
                          Read&& read, Key&& key) {
    ListFilters filters;
    if (!owner.empty()) filters.emplace_back(source.owner_filter, owner);
    return read_filtered_page<T>(db, source, page, filters, std::forward<Read>(read), std::forward<Key>(key));
}

// The result of an INSERT, UPDATE or DELETE, where an error of a broken constraint gets the words for its column:
// {{"models.name", conflict text}, {"foreign_key", text}}.
struct Explanation {
    const char* constraint;
    ErrorCode code;
    std::string message;
    const char* param = "";
};
Error explain(Error error, std::initializer_list<Explanation> words);

// Why an UPDATE ... WHERE id = ? AND version = ? changed nothing.
Error missing_or_stale(Connection& db, const char* version_sql, const char* thing, const std::string& id, int64_t expected);

}  // namespace gantry::store
