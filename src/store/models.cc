// The table of models: written by the API only.

#include <fmt/format.h>

#include "store/json_columns.h"
#include "store/rows.h"
#include "store/sqlite_store.h"
#include "store/tables.h"

namespace gantry::store {
namespace {

constexpr char kSelect[] = "SELECT id, name, source, path, meta, version, created_at, updated_at FROM models";
constexpr ListSource kList{"model", kSelect, "created_at", "id", "instr(lower(name), lower(?3)) > 0"};

void read(Columns& columns, Model& m) {
    columns >> m.id >> m.name >> m.source >> m.path >> m.meta >> m.version >> m.created_at >> m.updated_at;
}

Error explain_taken(Error error, const Model& model) {
    return explain(
        std::move(error),
        {{"models.name", ErrorCode::kConflict,
          fmt::format("there is a model named '{}' already: choose another name.", model.name), "name"},
         {"models.source", ErrorCode::kConflict, "a model with this source is there already: use that one.", "source"}});
}

Result<Model> find(Database& control, const char* where, const std::string& key) {
    return control.read([&](Connection& db) {
        return read_one<Model>(db, db.query(fmt::format("{} WHERE {} = ?", kSelect, where), key), "model", key, read);
    });
}

}  // namespace

Status SqliteStore::create_model(const Model& model) {
    const Model& m = model;
    auto meta = to_json_text(m.meta);
    if (!meta) return std::move(meta).error();
    return change([&](Connection& db) -> Status {
        auto done = db.run("INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?)", m.id, m.name, m.source, m.path, *meta,
                           m.version, m.created_at, m.updated_at);
        if (!done) return explain_taken(std::move(done).error(), m);
        return Ok{};
    });
}

Status SqliteStore::update_model(const Model& model, int64_t expected_version) {
    const Model& m = model;
    auto meta = to_json_text(m.meta);
    if (!meta) return std::move(meta).error();
    return change([&](Connection& db) -> Status {
        auto changed = db.run(
            "UPDATE models SET name = ?, source = ?, path = ?, meta = ?, version = ?, updated_at = ? "
            "WHERE id = ? AND version = ?",
            m.name, m.source, m.path, *meta, m.version, m.updated_at, m.id, expected_version);
        if (!changed) return explain_taken(std::move(changed).error(), m);
        if (*changed == 1) return Ok{};
        return missing_or_stale(db, "SELECT version FROM models WHERE id = ?", "model", m.id.text, expected_version);
    });
}

Status SqliteStore::delete_model(const ModelId& id) {
    return change([&](Connection& db) -> Status {
        {
            Statement users = db.query(
                "SELECT d.name FROM models m JOIN deployments d ON d.source = m.source WHERE m.id = ? LIMIT 1", id);
            auto row = users.step();
            if (!row) return std::move(row).error();
            if (*row) {
                return conflict(fmt::format("the deployment '{}' serves this model: delete that first.", users.text(0)));
            }
        }
        auto deleted = db.run("DELETE FROM models WHERE id = ?", id);
        return one_row(deleted, "model", id.text);
    });
}

Result<Model> SqliteStore::model(const ModelId& id) { return find(*control_, "id", id.text); }
Result<Model> SqliteStore::model_by_name(const std::string& name) { return find(*control_, "name", name); }
Result<Model> SqliteStore::model_by_source(const std::string& source) { return find(*control_, "source", source); }

Result<Page<Model>> SqliteStore::models(const PageRequest& page) {
    return control_->read([&](Connection& db) {
        return read_page<Model>(db, kList, page, {}, read,
                                [](const Model& m) { return std::pair{m.created_at, m.id.text}; });
    });
}

Result<std::vector<Model>> all_models(Connection& db) {
    return read_all<Model>(db, db.query(std::string(kSelect) + " ORDER BY created_at, id"), "model", read);
}

}  // namespace gantry::store
