#pragma once
// Reads numbers and texts of a JSON configuration, bounded. Internal to this folder. Threads: a plain value.

#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/json.h"

namespace gantry::models {

// The fields of an object, and where it lacks one those of the object around it. A field that is null counts as absent. The first
// wrong field is remembered, and everything read after it is 0.
class Fields {
public:
    using Names = std::initializer_list<const char*>;
    // `object` and `around` must outlive it; `around` may be null.
    explicit Fields(const json::object& object, const json::object* around = nullptr)
        : object_(object), around_(around) {}

    const json::value* find(const char* name) const;
    bool has(const char* name) const { return find(name) != nullptr; }
    // The first of these fields that is there: a whole number up to `most`, or the largest of a list. Absent: `otherwise`.
    uint64_t number(Names names, uint64_t most, uint64_t otherwise = 0);
    // As `number`, into a variable that stays as it is where the field is absent.
    void take(Names names, uint64_t most, uint32_t& out) { out = static_cast<uint32_t>(number(names, most, out)); }
    bool flag(const char* name, bool otherwise = false) const;
    std::string text(const char* name) const;               // "" where it is no text; cut and cleaned
    const json::object* object(const char* name) const;     // null where it is none
    const json::array* array(const char* name) const;

    void fail(std::string why) {
        if (problem_.empty()) problem_ = std::move(why);
    }
    const std::string& problem() const { return problem_; }

private:
    const json::object& object_;
    const json::object* const around_;
    std::string problem_;
};

}  // namespace gantry::models
