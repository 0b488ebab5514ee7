#pragma once
// What is installed beside a program written in Python, found by its files alone: nothing is run.
//
// pip puts a program into PREFIX/bin and its packages into PREFIX/lib/python3.N/site-packages (Debian's: dist-packages),
// with a folder NAME-VERSION.dist-info each. PREFIX is the program's, or that of the interpreter in its first line.

#include <string>
#include <string_view>

namespace gantry::backends {

// "0.32.0+cpu"; empty: no such distribution is there.
std::string distribution_version(const std::string& program, std::string_view distribution);

// The folder of a package: "/venv/lib/python3.11/site-packages/torch"; empty: none.
std::string package_folder(const std::string& program, std::string_view package);

}  // namespace gantry::backends
