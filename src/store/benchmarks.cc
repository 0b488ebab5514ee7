// The table of benchmarks: the API inserts, deletes and ends those that are queued; whoever runs them (control/benchmarks) writes the rest.

#include <fmt/format.h>

#include "domain/benchmark.h"
#include "store/rows.h"
#include "store/sqlite_store.h"

namespace gantry::store {
namespace {

// Without the result, which is by far the longest and wanted one at a time.
constexpr char kSelect[] = "SELECT id, name, user_id, user_name, key_id, settings, targets, state, reason, progress, created_at, "
                           "started_at, finished_at, runs FROM benchmarks";
constexpr ListSource kList{"benchmark", kSelect, "created_at", "id", "instr(lower(name), lower(?3)) > 0", " AND user_id = ?5"};

struct Texts {
    std::string settings, targets, progress;
};

// The texts of all that is JSON. kInvalidArgument for what JSON could not give back.
Result<Texts> texts_of(const Benchmark& b) {
    const Texts texts{json::serialize(to_json_value(b.settings)), json::serialize(to_json_value(b.targets)),
                      json::serialize(to_json_value(b.progress))};
    for (const std::string* text : {&texts.settings, &texts.targets, &texts.progress, &b.runs}) {
        if (!parse_json(*text)) return invalid_argument("a text in it is not valid UTF-8, or a number is none: correct it and try again.");
    }
    return texts;
}

template <class T>
void read_json(Columns& columns, T& out) {
    const auto value = parse_json(columns.text());
    if (!value || !from_json_value(*value, out)) columns.fail();
}

void read(Columns& columns, Benchmark& b) {
    columns >> b.id >> b.name >> b.user_id >> b.user_name >> b.key_id;
    read_json(columns, b.settings);
    read_json(columns, b.targets);
    if (!from_text(columns.text(), b.state)) columns.fail();
    columns >> b.reason;
    read_json(columns, b.progress);
    columns >> b.created_at >> b.started_at >> b.finished_at >> b.runs;
}

}  // namespace

Status SqliteStore::create_benchmark(const Benchmark& benchmark) {
    const Benchmark& b = benchmark;
    auto texts = texts_of(b);
    if (!texts) return std::move(texts).error();
    return change([&](Connection& db) -> Status {
        auto done = db.run("INSERT INTO benchmarks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", b.id, b.name, b.user_id, b.user_name,
                           b.key_id, texts->settings, texts->targets, b.state, b.reason, texts->progress, b.created_at, b.started_at,
                           b.finished_at, b.runs, b.result);
        if (!done) return std::move(done).error();
        auto cut = db.run(
            "DELETE FROM benchmarks WHERE id IN (SELECT id FROM benchmarks WHERE state NOT IN ('queued', 'running') "
            "ORDER BY created_at DESC, id DESC LIMIT -1 OFFSET ?)",
            kBenchmarksMax);
        if (!cut) return std::move(cut).error();
        return Ok{};
    });
}

Status SqliteStore::update_benchmark(const Benchmark& benchmark) {
    const Benchmark& b = benchmark;
    auto texts = texts_of(b);
    if (!texts) return std::move(texts).error();
    return change([&](Connection& db) -> Status {
        auto changed = db.run(
            "UPDATE benchmarks SET targets = ?, state = ?, reason = ?, progress = ?, started_at = ?, finished_at = ?, runs = ?, result = ? "
            "WHERE id = ? AND state IN ('queued', 'running')",
            texts->targets, b.state, b.reason, texts->progress, b.started_at, b.finished_at, b.runs, b.result, b.id);
        if (!changed) return std::move(changed).error();
        if (*changed == 1) return Ok{};
        auto there = read_one<Benchmark>(db, db.query(fmt::format("{} WHERE id = ?", kSelect), b.id), "benchmark", b.id.text, read);
        if (!there) return std::move(there).error();
        return conflict(fmt::format("benchmark {} is over: {}", b.id.text, to_string(there->state)));
    });
}

Status SqliteStore::delete_benchmark(const BenchmarkId& id) {
    return change([&](Connection& db) -> Status {
        auto deleted = db.run("DELETE FROM benchmarks WHERE id = ?", id);
        return one_row(deleted, "benchmark", id.text);
    });
}

Result<Benchmark> SqliteStore::benchmark(const BenchmarkId& id) {
    return control_->read([&](Connection& db) -> Result<Benchmark> {
        auto found = read_one<Benchmark>(db, db.query(fmt::format("{} WHERE id = ?", kSelect), id), "benchmark", id.text, read);
        if (!found) return found;
        Statement result = db.query("SELECT result FROM benchmarks WHERE id = ?", id);
        auto row = result.step();
        if (!row) return std::move(row).error();
        if (*row) found->result = result.text(0);
        return found;
    });
}

Result<Page<Benchmark>> SqliteStore::benchmarks(const PageRequest& page, const UserId& of) {
    return control_->read([&](Connection& db) {
        return read_page<Benchmark>(db, kList, page, of.text, read, [](const Benchmark& b) { return std::pair{b.created_at, b.id.text}; });
    });
}

Result<std::vector<Benchmark>> SqliteStore::open_benchmarks() {
    return control_->read([&](Connection& db) {
        return read_all<Benchmark>(db, db.query(fmt::format("{} WHERE state IN ('queued', 'running') ORDER BY created_at, id", kSelect)),
                                   "benchmark", read);
    });
}

}  // namespace gantry::store
