#include "worker/run_folder.h"

#include <unistd.h>

#include "base/platform/files.h"
#include "worker/instance_folder.h"

namespace gantry::worker {
namespace {

// "/" + an id of 16 characters + ".sock", with room for longer ids.
constexpr size_t kNameBytes = 40;

bool short_enough(const std::string& folder) {
    return platform::socket_path_fits(folder + std::string(kNameBytes, 'x'));
}

}  // namespace

Result<std::string> prepare_run_folder(const std::string& data_dir, const std::string& run_dir) {
    if (!run_dir.empty()) {
        if (!short_enough(run_dir)) {
            return invalid_argument("the run folder's path is too long for sockets: at most " +
                                    std::to_string(platform::kSocketPathMax - kNameBytes) + " bytes");
        }
        GANTRY_TRY(platform::make_folders(run_dir, 0700));
        GANTRY_TRY(platform::make_private_folder(run_dir));
        return run_dir;
    }
    std::string folder = data_dir + "/run";
    if (!short_enough(folder)) {
        const std::string parent = "/tmp/gantry-" + std::to_string(::geteuid());
        GANTRY_TRY(platform::make_private_folder(parent));
        folder = parent + "/" + hash_words({data_dir}).substr(0, 16);
    }
    GANTRY_TRY(platform::make_private_folder(folder));
    return folder;
}

}  // namespace gantry::worker
