#include "backends/flags.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backends/checks.h"
#include "base/edit_distance.h"
#include "base/json.h"

namespace gantry::backends {
namespace {

constexpr std::string_view kNo = "--no-";

bool is_number(std::string_view text, bool whole) {
    if (!text.empty() && text[0] == '-') text.remove_prefix(1);
    size_t dots = 0;
    for (const char c : text) {
        if (c == '.') {
            ++dots;
        } else if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
            return false;
        }
    }
    return !text.empty() && text.size() <= 20 && text.front() != '.' && text.back() != '.' && dots <= (whole ? 0u : 1u);
}

bool is_word(std::string_view text) {
    return !text.empty() && std::isalnum(static_cast<unsigned char>(text[0])) != 0 && std::all_of(text.begin(), text.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' || c == '+';
    });
}

bool is_list(std::string_view text) {
    return !text.empty() && std::isalnum(static_cast<unsigned char>(text[0])) != 0 && std::all_of(text.begin(), text.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("_-.+,;:=").find(c) != std::string_view::npos;
    });
}

bool is_file(std::string_view path, std::string_view ending) {
    return path.starts_with("/") && path.ends_with(ending) && path.find("/../") == std::string_view::npos;
}

// Empty: it is of the kind; else what it should be.
std::string_view wrong_value(FlagValue kind, const std::string& value) {
    switch (kind) {
        case FlagValue::kNone:
        case FlagValue::kSwitch: return value.empty() ? "" : "takes no value";
        case FlagValue::kInteger: return is_number(value, true) ? "" : "takes a whole number";
        case FlagValue::kNumber: return is_number(value, false) ? "" : "takes a number";
        case FlagValue::kWord: return is_word(value) ? "" : "takes a word of letters, digits and _ . + -, no path";
        case FlagValue::kList: return is_list(value) ? "" : "takes words joined by , ; : or =, no path";
        case FlagValue::kNamedTemplate:
            return is_word(value) || value.starts_with("{") ? "" : "takes the name of a template, or the template itself; no file";
        case FlagValue::kJinjaFile: return is_file(value, ".jinja") ? "" : "takes the whole path of a file that ends in .jinja";
        case FlagValue::kGgufFile: return is_file(value, ".gguf") ? "" : "takes the whole path of a file that ends in .gguf";
        case FlagValue::kTemplate: return value.starts_with("{") ? "" : "takes the template itself, beginning with \"{\"; no file";
        case FlagValue::kObject: {
            const Result<json::value> parsed = parse_json(value);
            return parsed.ok() && parsed->is_object() ? "" : "takes a JSON object";
        }
    }
    return "takes nothing known";
}

bool takes_value(FlagValue kind) { return kind != FlagValue::kNone && kind != FlagValue::kSwitch; }

const AllowedFlag* find_allowed(const FlagRules& rules, std::string_view name) {
    for (const AllowedFlag& flag : rules.allowed) {
        if (flag.name == name) return &flag;
        if (flag.value == FlagValue::kSwitch && name.starts_with(kNo) && flag.name.substr(2) == name.substr(kNo.size())) return &flag;
    }
    return nullptr;
}

Error refusal(const FlagRules& rules, const std::string& name, const std::string& param) {
    const std::string bare = name.starts_with(kNo) ? "--" + name.substr(kNo.size()) : name;
    for (const RefusedFlags& refused : rules.refused) {
        for (const std::string_view rule : refused.names) {
            const bool hit = rule.ends_with('*') ? bare.starts_with(rule.substr(0, rule.size() - 1)) : bare == rule;
            if (hit) {
                return invalid_argument(name + " is not passed on to " + std::string(rules.product) + ": " + std::string(refused.advice),
                                        param);
            }
        }
    }
    std::vector<std::string> known;
    for (const AllowedFlag& flag : rules.allowed) known.emplace_back(flag.name);
    const std::optional<std::string> near = did_you_mean(bare, known);
    const std::string hint = near ? "did you mean " + *near + "?" : fmt::format("they are {}", fmt::join(known, ", "));
    return invalid_argument(fmt::format("{} is not among the flags that are passed on to {}, of which each is known to do no harm ({}); where you "
                                        "need another, start the program by the backend \"custom\"",
                                        name, rules.product, hint),
                            param);
}

}  // namespace

Result<std::vector<GivenFlag>> read_flags(const BackendOptions& options, const FlagRules& rules) {
    std::vector<GivenFlag> given;
    const std::vector<std::string>& words = options.extra_args;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string param = param_of("options.extra_args", i);
        if (!words[i].starts_with("-") || words[i].size() < 2) {
            return invalid_argument("\"" + words[i] + "\" is no flag, and follows none that takes a value", param);
        }
        const size_t equals = words[i].find('=');
        GivenFlag flag{flag_name(words[i]), {}, i};
        const AllowedFlag* allowed = find_allowed(rules, flag.name);
        if (allowed == nullptr) return refusal(rules, flag.name, param);
        if (equals != std::string::npos) {
            flag.value = words[i].substr(equals + 1);
            if (!takes_value(allowed->value)) return invalid_argument(flag.name + " takes no value", param);
        } else if (takes_value(allowed->value)) {
            if (i + 1 == words.size()) return invalid_argument(flag.name + " needs a value", param);
            flag.value = words[++i];
        }
        if (const std::string_view wrong = wrong_value(allowed->value, flag.value); !wrong.empty()) {
            return invalid_argument(flag.name + " " + std::string(wrong), param_of("options.extra_args", i));
        }
        given.push_back(std::move(flag));
    }
    return given;
}

Status refuse_twice(const std::vector<GivenFlag>& flags, std::initializer_list<std::string_view> names, std::string_view field) {
    for (const GivenFlag& flag : flags) {
        if (std::find(names.begin(), names.end(), flag.name) == names.end()) continue;
        return invalid_argument(flag.name + " says what " + std::string(field) + " says already; leave one of them out",
                                param_of("options.extra_args", flag.index));
    }
    return Ok{};
}

std::string flag_name(const std::string& word) {
    std::string name = word.substr(0, word.find('='));
    if (name.starts_with("--")) std::replace(name.begin(), name.end(), '_', '-');
    return name;
}

std::optional<std::string> flag_text(const BackendOptions& options, std::initializer_list<std::string_view> flags) {
    std::optional<std::string> found;
    const std::vector<std::string>& words = options.extra_args;
    for (size_t i = 0; i < words.size(); ++i) {
        if (std::find(flags.begin(), flags.end(), flag_name(words[i])) == flags.end()) continue;
        const size_t equals = words[i].find('=');
        found = equals != std::string::npos ? words[i].substr(equals + 1) : i + 1 < words.size() ? words[i + 1] : std::string();
    }
    return found;
}

uint64_t flag_number(const BackendOptions& options, std::initializer_list<std::string_view> flags, uint64_t otherwise, uint64_t unlimited) {
    constexpr int64_t kMost = int64_t{1} << 40;
    const std::optional<std::string> text = flag_text(options, flags);
    if (!text) return otherwise;
    int64_t number = 0;
    const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (failed == std::errc::result_out_of_range) return static_cast<uint64_t>(kMost);
    if (failed != std::errc{} || end != text->data() + text->size()) return otherwise;
    return number < 0 ? unlimited : static_cast<uint64_t>(std::min(number, kMost));
}

bool given(const std::vector<GivenFlag>& flags, std::string_view name) {
    return std::any_of(flags.begin(), flags.end(), [name](const GivenFlag& flag) {
        return flag.name == name || (flag.name.starts_with(kNo) && name.substr(2) == std::string_view(flag.name).substr(kNo.size()));
    });
}

void append_flags(const std::vector<GivenFlag>& flags, std::vector<std::string>& argv) {
    for (const GivenFlag& flag : flags) {
        argv.push_back(flag.name);
        if (!flag.value.empty()) argv.push_back(flag.value);
    }
}

}  // namespace gantry::backends
