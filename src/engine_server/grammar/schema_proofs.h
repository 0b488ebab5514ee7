#pragma once
// What is proven about schemas that json_schema_check has written anew, with the definitions they refer to: that they can be
// satisfied, and that the branches of a oneOf exclude each other. Internal to grammar/.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace gantry::engine_server {

// A set of JSON's types. A number that is not whole is kNumber only.
using Kinds = uint32_t;
inline constexpr Kinds kNull = 1;
inline constexpr Kinds kBoolean = 2;
inline constexpr Kinds kInteger = 4;
inline constexpr Kinds kNumber = 8;
inline constexpr Kinds kString = 16;
inline constexpr Kinds kArray = 32;
inline constexpr Kinds kObject = 64;
inline constexpr Kinds kAnyKind = 127;

Kinds kind_named(std::string_view type);  // 0: no type of JSON Schema
std::string_view name_of_kind(Kinds kind);
Kinds kinds_of_value(const json::value& value);  // all that it is: a whole number is both of integer and number

// Not for use by several threads at once.
class SchemaProofs {
public:
    // `definitions`: by number from "0", written anew, `required` sorted; must outlive this.
    explicit SchemaProofs(const json::object& definitions);

    // Through references and choices alone.
    bool refers_to_itself_only(size_t definition) const;
    // The first definition of which no document of finite size exists.
    std::optional<size_t> first_endless() const;
    // False when that can't be shown, within a number of steps for all calls. REQUIRES: no definition refers to itself only.
    bool exclude_each_other(const json::array& options);
    // Strings of a greatest length that may begin where the choice does, many counted as kBoundedMany. REQUIRES: as above.
    uint32_t bounded_strings(const json::array& options);
    static constexpr uint32_t kBoundedMany = 1'000;

private:
    // What a document may be, found through references and choices alone.
    struct Direct {
        Kinds kinds = 0;
        uint32_t bounded = 0;
    };
    struct Branch {
        const json::object& schema;
        Kinds kinds;
    };
    const json::object& target(const json::object& schema);
    void add_direct(const json::object& schema, std::vector<size_t>& out) const;
    bool finite(const json::object& schema, const std::vector<bool>& known) const;
    Direct direct(const json::object& schema);
    Direct direct_of_options(const json::array& options);
    bool exclude(const Branch& a, const Branch& b);
    bool share_none(const json::array& a, const json::array& b);
    bool spend(uint64_t steps);

    std::vector<const json::object*> definitions_;
    std::vector<std::optional<Direct>> known_;   // by definition
    uint64_t steps_left_;
};

}  // namespace gantry::engine_server
