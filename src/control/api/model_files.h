#pragma once
// What the two files of /api/v1/model-files share.

#include <optional>
#include <string>
#include <vector>

#include "control/api/api.h"

namespace gantry::control {

// The list as GET /api/v1/model-files gives it, for one who watches: this machine's files as they are now, those of workers elsewhere as they
// were a moment ago. options.model_files must be there. Threads: one at a time that may block.
class WatchedModelFiles {
public:
    explicit WatchedModelFiles(ApiContext& api) : api_(api) {}
    std::string text();

private:
    ApiContext& api_;
    std::vector<ModelFileSet> far_;
    std::optional<SteadyTime> far_asked_at_;
};
void add_model_file_watch_route(http::Router& router, ApiContext& api);

}  // namespace gantry::control
