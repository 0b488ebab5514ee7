// GPUStack's tables in PostgreSQL, by libpq.

#include <fmt/format.h>
#include <libpq-fe.h>

#include <array>
#include <memory>
#include <string_view>

#include "store/gpustack.h"

namespace gantry::store {
namespace {

constexpr Oid kBoolean = 16;   // pg_type.dat

struct Free {
    void operator()(PGconn* connection) const { PQfinish(connection); }
    void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, Free>;
using Answer = std::unique_ptr<PGresult, Free>;

// What libpq says ends in a line feed, and may be of several lines.
std::string said_by(PGconn* connection) {
    std::string text = PQerrorMessage(connection);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

Result<Answer> ask(PGconn* connection, const std::string& sql) {
    Answer answer(PQexec(connection, sql.c_str()));
    const ExecStatusType status = PQresultStatus(answer.get());
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return answer;
    return invalid_argument(fmt::format("it cannot be read as GPUStack's database: {}", said_by(connection)), "database");
}

// As SQLite has them: of the text that PostgreSQL gives only booleans differ.
GpuStackRow row_of(const PGresult* answer, int number) {
    GpuStackRow row;
    for (int i = 0; i < PQnfields(answer); ++i) {
        if (PQgetisnull(answer, number, i) != 0) continue;
        const std::string_view text(PQgetvalue(answer, number, i), static_cast<size_t>(PQgetlength(answer, number, i)));
        if (text.size() > kGpuStackTextMax) continue;
        row[PQfname(answer, i)] = PQftype(answer, i) == kBoolean ? (text == "t" ? "1" : "0") : std::string(text);
    }
    return row;
}

// `table` is one of our own words.
Result<std::optional<std::vector<GpuStackRow>>> rows_of(PGconn* connection, const char* table) {
    using Rows = std::optional<std::vector<GpuStackRow>>;
    const auto there = ask(connection, fmt::format("SELECT to_regclass('{}') IS NOT NULL", table));
    if (!there) return there.error();
    if (PQntuples(there->get()) != 1 || std::string_view(PQgetvalue(there->get(), 0, 0)) != "t") return Rows();
    const auto all = ask(connection, fmt::format("SELECT * FROM {} ORDER BY id LIMIT {}", table, kGpuStackRowsMax + 1));
    if (!all) return all.error();
    if (static_cast<size_t>(PQntuples(all->get())) > kGpuStackRowsMax) {
        return invalid_argument(fmt::format("its table {} has more than {} rows", table, kGpuStackRowsMax), "database");
    }
    std::vector<GpuStackRow> rows;
    for (int i = 0; i < PQntuples(all->get()); ++i) {
        GpuStackRow row = row_of(all->get(), i);
        if (!row.contains("deleted_at")) rows.push_back(std::move(row));
    }
    return Rows(std::move(rows));
}

}  // namespace

Result<GpuStack> read_gpustack_of_postgresql(const std::string& url) {
    const std::array<const char*, 5> keys = {"connect_timeout", "dbname", "fallback_application_name", "client_encoding", nullptr};
    const std::array<const char*, 5> values = {"10", url.c_str(), "gantry import", "UTF8", nullptr};
    const Connection connection(PQconnectdbParams(keys.data(), values.data(), 1));   // 1: dbname may be a URL, whose words count
    if (PQstatus(connection.get()) != CONNECTION_OK) return unavailable(said_by(connection.get()));
    const auto begun = ask(connection.get(), "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '60s'");
    if (!begun) return begun.error();
    return gpustack_of([&](const char* table) { return rows_of(connection.get(), table); });
}

}  // namespace gantry::store
