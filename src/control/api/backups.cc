// /api/v1/backups: one consistent file of all that the server knows, made while it serves. It is written into the data folder and
// nowhere else, so that no request names a path on the server; `gantry restore` brings it back.
#include "control/api/api.h"

namespace gantry::control {
namespace {

Result<Answer> create(ApiContext& api, const Call& call) {
    GANTRY_TRY(check_content_type(call));
    const Result<store::BackupFile> made = store::backup_into_folder(api.store, api.options.data_dir, api.clock.wall());
    if (!made) return made.error();
    return json_answer(201, json::object{{"path", made->path}, {"bytes", made->bytes}, {"created_at", to_rfc3339(made->created_at)}});
}

}  // namespace

void add_backup_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api, {{"POST", "/api/v1/backups", gateway::kAdmin, create}});
}

}  // namespace gantry::control
