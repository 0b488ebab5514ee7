#pragma once
// The model files of workers elsewhere, asked of their own HTTP (worker/remote/own_http.h). All block, for as long as they say, and may not
// be called on the io thread.

#include <chrono>
#include <vector>

#include "control/api/api.h"

namespace gantry::control {

struct FilesWorker {
    WorkerId id;
    std::string name;
    std::string endpoint;     // empty: it is here
};
// Those that report; the embedded one first, or what stands for this machine where there is none.
std::vector<FilesWorker> files_workers(ApiContext& api);

// What these have, asked all at once; of one that does not answer within `within` nothing, and `silent` gets its name.
std::vector<ModelFileSet> far_model_files(ApiContext& api, const std::vector<FilesWorker>& workers, std::chrono::milliseconds within,
                                          std::vector<std::string>& silent);
// DELETE or POST of "/model-files/..." there.
Status change_far_files(ApiContext& api, const FilesWorker& worker, const char* method, const std::string& target, std::chrono::milliseconds within);

}  // namespace gantry::control
