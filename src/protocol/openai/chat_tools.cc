#include "protocol/openai/chat_tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

constexpr size_t kToolDescriptionMax = 64 * 1024;

// The object {"type":"function","function":{...}} that both tools and calls are.
Result<const json::object*> function_of(const json::value& value, const std::string& path) {
    Result<TypedObject> object = as_typed_object(value, path);
    if (!object) {
        return object.error();
    }
    if (object->type != "function") {
        return invalid_argument(fmt::format("'{}.type' must be \"function\"", path),
                                path + ".type");
    }
    const json::value* function = find(*object->fields, "function");
    if (function == nullptr) {
        return missing_field(path + ".function");
    }
    return as_object(*function, path + ".function");
}

Result<std::string> parse_tool(const json::value& value, const std::string& path) {
    Result<const json::object*> function = function_of(value, path);
    if (!function) {
        return function.error();
    }
    const std::string inside = path + ".function";
    Result<std::string> name = required_text(**function, "name", inside);
    if (!name) {
        return name.error();
    }
    if (!valid_name(*name)) {
        return invalid_argument(
            fmt::format("'{}.name' must be 1 to {} of the characters a-z, A-Z, 0-9, _ and -",
                        inside, kToolNameMax),
            inside + ".name");
    }
    if (const json::value* description = find(**function, "description")) {
        Result<std::string> text = as_string(*description, inside + ".description");
        if (!text) {
            return text.error();
        }
        if (text->size() > kToolDescriptionMax) {
            return invalid_argument(fmt::format("'{}.description' is longer than {} bytes", inside,
                                                kToolDescriptionMax),
                                    inside + ".description");
        }
    }
    if (const json::value* parameters = find(**function, "parameters")) {
        GANTRY_TRY(as_object(*parameters, inside + ".parameters"));
    }
    if (const json::value* strict = find(**function, "strict")) {
        Result<bool> flag = as_bool(*strict, inside + ".strict");
        if (!flag) {
            return flag.error();
        }
    }
    return name;
}

// True: tools may be called.
Result<bool> parse_tool_choice(const json::object& fields, const std::set<std::string>& names,
                               ChatRequest& request) {
    const json::value* choice = find(fields, "tool_choice");
    if (choice == nullptr) {
        return true;
    }
    if (choice->is_string()) {
        const std::string_view word = choice->get_string();
        if (word != "none" && word != "auto" && word != "required") {
            return invalid_argument(
                "'tool_choice' must be none, auto, required or a function of 'tools'",
                "tool_choice");
        }
        if (word == "required" && names.empty()) {
            return invalid_argument("'tool_choice' is \"required\", but there are no 'tools'",
                                    "tool_choice");
        }
        request.tool_choice = word == "required" ? ToolChoice::kRequired : ToolChoice::kAuto;
        return word != "none";
    }
    Result<const json::object*> function = function_of(*choice, "tool_choice");
    if (!function) {
        return function.error();
    }
    Result<std::string> name = required_text(**function, "name", "tool_choice.function");
    if (!name) {
        return name.error();
    }
    if (names.count(*name) == 0) {
        return invalid_argument("'tool_choice.function.name' is none of 'tools'",
                                "tool_choice.function.name");
    }
    request.tool_choice = ToolChoice::kNamed;
    request.tool_choice_name = *std::move(name);
    return true;
}

}  // namespace

bool valid_name(const std::string& name) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    };
    return !name.empty() && name.size() <= kToolNameMax &&
           std::all_of(name.begin(), name.end(), fits);
}

Result<std::vector<ToolCall>> parse_tool_calls(const json::value& value, const std::string& path) {
    Result<const json::array*> items = as_array(value, path);
    if (!items) {
        return items.error();
    }
    if ((*items)->size() > kToolsMax) {
        return invalid_argument(fmt::format("'{}' may hold at most {} calls", path, kToolsMax),
                                path);
    }
    std::vector<ToolCall> calls;
    for (size_t i = 0; i < (*items)->size(); ++i) {
        const std::string item_path = fmt::format("{}[{}]", path, i);
        Result<const json::object*> function = function_of((**items)[i], item_path);
        if (!function) {
            return function.error();
        }
        Result<std::string> id = required_text((**items)[i].get_object(), "id", item_path);
        if (!id) {
            return id.error();
        }
        Result<std::string> name = required_text(**function, "name", item_path + ".function");
        if (!name) {
            return name.error();
        }
        Result<std::string> arguments =
            required_text(**function, "arguments", item_path + ".function");
        if (!arguments) {
            return arguments.error();
        }
        calls.push_back({*std::move(id), *std::move(name), *std::move(arguments)});
    }
    return calls;
}

Status parse_tools(const json::object& fields, ChatRequest& request) {
    // The predecessors of tools: ignoring them would answer without the calls that were asked for.
    for (const char* old : {"functions", "function_call"}) {
        const json::value* value = find(fields, old);
        if (value != nullptr && !(value->is_string() && value->get_string() == "none")) {
            return invalid_argument(fmt::format("'{}' is no longer supported: use 'tools'", old),
                                    old, "unsupported_parameter");
        }
    }
    json::array tools;
    std::set<std::string> names;
    if (const json::value* value = find(fields, "tools")) {
        Result<const json::array*> items = as_array(*value, "tools");
        if (!items) {
            return items.error();
        }
        if ((*items)->size() > kToolsMax) {
            return invalid_argument(fmt::format("'tools' may hold at most {} tools, not {}",
                                                kToolsMax, (*items)->size()),
                                    "tools");
        }
        for (size_t i = 0; i < (*items)->size(); ++i) {
            const std::string path = fmt::format("tools[{}]", i);
            Result<std::string> name = parse_tool((**items)[i], path);
            if (!name) {
                return name.error();
            }
            if (!names.insert(*name).second) {
                return invalid_argument(fmt::format("two of 'tools' have the name {}", *name),
                                        path + ".function.name");
            }
        }
        tools = **items;
    }
    if (const json::value* parallel = find(fields, "parallel_tool_calls")) {
        Result<bool> flag = as_bool(*parallel, "parallel_tool_calls");
        if (!flag) {
            return flag.error();
        }
        request.parallel_tool_calls = *flag;
    }
    Result<bool> callable = parse_tool_choice(fields, names, request);
    if (!callable) {
        return callable.error();
    }
    request.tools = *callable ? std::move(tools) : json::array();
    return Ok{};
}

}  // namespace gantry::protocol::openai
