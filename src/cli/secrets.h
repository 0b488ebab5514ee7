#pragma once
// Passwords and keys in and out of the command line; never as a flag, which every user of the machine could read.

#include <string>

#include "base/result.h"

namespace gantry::cli {

// The first line of the file ("-": stdin); with no file named, asked twice on the terminal without echo.
// kInvalidArgument: shorter than 8 characters, not equal, no terminal to ask on.
Result<std::string> read_password(const std::string& file);

// The first line of the file ("-": stdin). kInvalidArgument: none, or empty; `what` is in it: "password".
Result<std::string> read_first_line(const std::string& file, const char* what);

// Random, readable, 80 bits.
std::string random_password();

}  // namespace gantry::cli
