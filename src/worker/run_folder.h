#pragma once
// The folder for the engines' sockets: a path short enough for a socket's address, which others can't enter.

#include <string>

#include "base/result.h"

namespace gantry::worker {

// `run_dir` if given, else <data_dir>/run if short enough, else /tmp/gantry-<uid>/<hash of data_dir>. Created with mode 0700.
// The same for the same data_dir, so that sockets are found again.
Result<std::string> prepare_run_folder(const std::string& data_dir, const std::string& run_dir);

}  // namespace gantry::worker
