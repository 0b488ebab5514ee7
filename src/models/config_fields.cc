#include "models/config_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "models/model_file.h"

namespace gantry::models {
namespace {

// Some tools write whole numbers as 4096.0.
std::optional<uint64_t> whole(const json::value& value) {
    if (value.is_uint64()) return value.get_uint64();
    if (value.is_int64() && value.get_int64() >= 0) return static_cast<uint64_t>(value.get_int64());
    if (value.is_double() && value.get_double() >= 0 && value.get_double() < 9e15 &&
        std::floor(value.get_double()) == value.get_double()) {
        return static_cast<uint64_t>(value.get_double());
    }
    return std::nullopt;
}

}  // namespace

const json::value* Fields::find(const char* name) const {
    const json::value* found = object_.if_contains(name);
    if ((found == nullptr || found->is_null()) && around_ != nullptr) found = around_->if_contains(name);
    return found != nullptr && !found->is_null() ? found : nullptr;
}

uint64_t Fields::number(Names names, uint64_t most, uint64_t otherwise) {
    for (const char* name : names) {
        const json::value* const found = find(name);
        if (found == nullptr || (found->is_string() && found->get_string() == "auto")) continue;
        uint64_t largest = 0;
        const auto take = [&](const json::value& value) {
            const auto n = whole(value);
            if (!n || *n > most) fail(fmt::format("field '{}' is no whole number up to {}", name, most));
            largest = std::max(largest, n.value_or(0));
        };
        if (const json::array* const list = found->if_array()) {
            std::for_each(list->begin(), list->end(), take);
        } else {
            take(*found);
        }
        return problem_.empty() ? largest : 0;
    }
    return problem_.empty() ? otherwise : 0;
}

bool Fields::flag(const char* name, bool otherwise) const {
    const json::value* const found = find(name);
    return found != nullptr && found->is_bool() ? found->get_bool() : otherwise;
}

std::string Fields::text(const char* name) const {
    const json::value* const found = find(name);
    return found != nullptr && found->is_string() ? shown(found->get_string()) : std::string();
}

const json::object* Fields::object(const char* name) const {
    const json::value* const found = find(name);
    return found != nullptr ? found->if_object() : nullptr;
}

const json::array* Fields::array(const char* name) const {
    const json::value* const found = find(name);
    return found != nullptr ? found->if_array() : nullptr;
}

}  // namespace gantry::models
