#pragma once
// Why this process ended, left in a file for the worker that watches it, also by a crash:
// {"reason":"...","code":N}. The first reason stays. One a process.

#include <string>

namespace gantry::engine_server {

// `path` empty: only what crashes is caught, nothing is written. Installs handlers for
// std::terminate and fatal signals; a fatal signal still ends the process as it would have.
void start_exit_file(const std::string& path);
void write_exit_file(const std::string& reason, int code);

}  // namespace gantry::engine_server
