#pragma once
// The request target ("/a/b%20c?x=1") taken apart, once, at the edge. Private to this folder.

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::http {

struct Target {
    std::string path;                          // decoded, duplicate and trailing slashes folded; "*" as it is
    std::map<std::string, std::string> query;  // decoded; of equal names the last one
};

// kInvalidArgument: no absolute path or http URL, a broken or doubtful percent-encoding (NUL, invalid UTF-8), a "." or ".."
// segment, a fragment. Decoded once: "%252e" stays "%2e".
Result<Target> parse_target(std::string_view target);

// The path for a line of the log: still percent-encoded, so that a space in it can't make another field; without origin and
// query, which may hold secrets. A part of `target`, or "/".
std::string_view path_as_sent(std::string_view target);

}  // namespace gantry::http
