#pragma once
// Lists of the flags that a backend takes in extra_args: everything else is refused, by name and with what to do instead
// (row 58 of the threats: a flag that opens the engine to others, names another model, loads code or reads the machine's
// files).
//
// A flag is taken only by its whole name: Python's argparse would complete "--ho" to "--host", and vLLM's would read
// "--a.b". '_' counts as '-'. A value is the next word, or follows '='; its kind is checked, so that no value is a path or
// another flag.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/deployment.h"

namespace gantry::backends {

enum class FlagValue {
    kNone,       // "--flag"
    kSwitch,     // "--flag" or "--no-flag"
    kInteger,    // "42", "-1"
    kNumber,     // "0.5"
    kWord,       // "qwen3_coder", "fp8": letters, digits, and _ . + - inside; no path
    kObject,     // a JSON object
    kList,       // words joined by , ; : and =: "top_k;min_p", "general.name=str:x"; no path
    kTemplate,   // a Jinja template itself, beginning with "{"; never the name of a file
    kNamedTemplate,   // such a template, or the name of one that the program brings
    kJinjaFile,  // the absolute path of a file whose name ends in .jinja, so that no other file of the machine is shown
    kGgufFile,   // the same, ending in .gguf
};

struct AllowedFlag {
    std::string_view name;   // with its dashes
    FlagValue value;
};
// Flags that people will try, with what to do instead. A name that ends in '*' stands for all that start so.
struct RefusedFlags {
    std::vector<std::string_view> names;
    std::string_view advice;
};
struct FlagRules {
    std::string_view product;               // "vLLM"
    std::span<const AllowedFlag> allowed;
    std::span<const RefusedFlags> refused;
};

struct GivenFlag {
    std::string name;    // in its own spelling, "--no-" included
    std::string value;   // empty where it takes none
    size_t index = 0;    // in extra_args
};
// What extra_args say. kInvalidArgument with the word in `param`.
Result<std::vector<GivenFlag>> read_flags(const BackendOptions& options, const FlagRules& rules);

// kInvalidArgument where one of `names` is given although `field` of the options says it already.
Status refuse_twice(const std::vector<GivenFlag>& flags, std::initializer_list<std::string_view> names, std::string_view field);

// The name in a word of extra_args, without a value behind '=': "--kv_cache-dtype=fp8" -> "--kv-cache-dtype".
std::string flag_name(const std::string& word);
// Without rules: the value of the last of these flags; "" where none follows, nullopt where none is given.
std::optional<std::string> flag_text(const BackendOptions& options, std::initializer_list<std::string_view> flags);
// The same as a number of at most 2^40; a negative one stands for "no limit" and gives `unlimited`.
uint64_t flag_number(const BackendOptions& options, std::initializer_list<std::string_view> flags, uint64_t otherwise, uint64_t unlimited);

// True: one of them has that name, also as "--no-...".
bool given(const std::vector<GivenFlag>& flags, std::string_view name);
// As words of a command line: "--flag", "value".
void append_flags(const std::vector<GivenFlag>& flags, std::vector<std::string>& argv);

}  // namespace gantry::backends
