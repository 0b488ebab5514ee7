#pragma once
// A decision of placement as text: what something takes sum by sum, where it goes and why not elsewhere. Of what the API gives for an
// evaluation, and for an instance.

#include <string>

#include "base/json.h"
#include "cli/output.h"

namespace gantry::cli {

std::string words_of_verdict(const std::string& verdict);
Colour colour_of_verdict(const std::string& verdict);
std::string total_text(const json::object& estimate);      // never 0 of what nobody knows
std::string claims_text(const json::object& placement);    // "nvidia/0 21.5 GiB; context 8192"

// "model    llama, ...": the lines above the tables.
void print_fact(const char* name, const std::string& text);
void print_decision(const json::object& decision);

}  // namespace gantry::cli
