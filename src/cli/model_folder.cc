#include "cli/model_folder.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/clock.h"

namespace gantry::cli {

void add_offline_option(CLI::App& verb, bool& offline) {
    verb.add_flag("--offline", offline, "ask no hub for models; what is in the folder of models is used")->envname("GANTRY_OFFLINE");
}

Result<std::unique_ptr<sources::ModelFiles>> open_model_folder(const std::string& data_dir, bool offline, const std::string& near_socket) {
    Result<sources::Settings> settings = sources::settings_from_environment();
    if (!settings) {
        return settings.error();
    }
    settings->offline = settings->offline || offline;
    sources::ModelFiles::Options options;
    options.folder = data_dir + "/models";
    options.near_socket = near_socket;
    options.settings = std::move(*settings);
    return sources::ModelFiles::open(std::move(options), system_clock());
}

Result<sources::Catalogue> open_catalogue(const std::string& path, const std::string& data_dir) {
    const std::string usual = data_dir + "/catalogue.json";
    std::error_code ignored;
    return sources::load_catalogue(!path.empty() ? path : std::filesystem::exists(usual, ignored) ? usual : "");
}

}  // namespace gantry::cli
