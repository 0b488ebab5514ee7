#include "cli/config_file.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace gantry::cli {

Status apply_config(CLI::App& verb, const std::string& path) {
    std::vector<CLI::ConfigItem> items;
    try {
        items = CLI::ConfigINI().from_file(path);
    } catch (const CLI::Error& error) {
        return invalid_argument(fmt::format("the configuration file {} can't be read: {}", path, error.what()));
    }
    for (const CLI::ConfigItem& item : items) {
        CLI::Option* option = item.name == "config" || !item.parents.empty() ? nullptr : verb.get_option_no_throw("--" + item.name);
        if (option == nullptr) {
            return invalid_argument(fmt::format("{}: there is no setting \"{}\"; settings are the long flags of `gantry serve`, as "
                                                "port = 9090",
                                                path, item.fullname()));
        }
        if (option->count() > 0) {
            continue;
        }
        try {
            if (option->get_expected_max() == 0) {
                option->add_result(option->get_flag_value(item.name, CLI::ConfigBase().to_flag(item)));
            } else {
                for (const std::string& value : item.inputs) {
                    option->add_result(value);
                }
            }
            option->run_callback();
        } catch (const CLI::Error& error) {
            return invalid_argument(fmt::format("{}: {}", path, error.what()));
        }
    }
    return Ok{};
}

}  // namespace gantry::cli
