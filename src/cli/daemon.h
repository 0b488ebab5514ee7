#pragma once
// What `gantry serve` and `gantry worker` have in common as processes that stay.

#include <chrono>
#include <string>

#include "base/url.h"

namespace CLI {
class App;
}

namespace gantry::cli {

inline constexpr std::chrono::seconds kEngineStop{15};   // over the supervisor's own grace of 10 s

// Absolute, without a slash at its end: one folder has one name.
std::string absolute_folder(const std::string& folder);
// The log is <data_dir>/logs/gantry.log, whose folder is there.
void start_log(const std::string& data_dir, bool verbose);
// How to stop this process, as its first lines say it.
void note_stop();
// "http(s)://HOST[:PORT]" and nothing behind it but a slash. kInvalidArgument: what it does wrong; whoever asked says which it is.
Result<Url> parse_origin(const std::string& text);

// --data-address: where engines of other workers reach those here, of instances that several run together.
void add_data_address_option(CLI::App& verb, std::string& address);
Status check_data_address(const std::string& address);   // kInvalidArgument: no IPv4 address, or none of this machine. Empty is fine

}  // namespace gantry::cli
