#pragma once
// The key-value pairs of a GGUF header, bounded. Internal to this folder. Threads: plain values.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/gguf_cursor.h"

namespace gantry::models {

inline constexpr uint64_t kStringsMax = 16ull << 20;   // in one array, the vocabulary

enum ValueType : uint32_t {
    kUint8, kInt8, kUint16, kInt16, kUint32, kInt32, kFloat32, kBool, kString, kArray, kUint64, kInt64, kFloat64,
};

// What is kept of a key-value pair.
struct Value {
    uint32_t type = 0;               // of an array: of its elements
    bool array = false;
    uint64_t count = 1;              // elements of an array
    bool integer = false;            // `number` is set; of an array of up to kLayersMax numbers it is the largest
    uint64_t number = 0;
    std::vector<uint64_t> numbers{}; // of the arrays that say something of each layer
    std::string text;
};
using Values = std::map<std::string, Value>;

bool read_pairs(Cursor& cursor, uint64_t count, Values& values);

// Bytes of one value of a type; 0: no fixed size, or no such type.
uint64_t width_of(uint32_t type);
// Whether an array may be of so many strings: the file holds as many, and no model has more.
bool may_hold_strings(const Cursor& cursor, uint64_t count);
bool skip_strings(Cursor& cursor, uint64_t count);

// The text of a key; false where there is none.
bool text_of(const Values& values, const std::string& key, std::string& out);

// A model's own numbers, under "<architecture>.".
class Hyperparameters {
public:
    Hyperparameters(const Values& values, const std::string& architecture, Cursor& cursor)
        : values_(values), prefix_(architecture + "."), cursor_(cursor) {}

    // Absent: `out` stays as it is. Present: 1 to `most`, or also 0 where `zero` says that it may be.
    bool take(const char* name, uint64_t most, bool zero, uint32_t& out);
    // As `take`, 0 allowed, for numbers that need no variable to stay. Absent: `otherwise`; wrong: 0, and the cursor has failed.
    uint64_t number(const char* name, uint64_t most, uint64_t otherwise = 0);
    // The numbers that an array of that name says of each layer; null where there is no array.
    const std::vector<uint64_t>* of_layers(const char* name) const;
    // As of_layers, of exactly `layers` numbers: other lengths fail.
    const std::vector<uint64_t>* of_layers(const char* name, uint32_t layers);
    bool has(const char* name) const { return values_.contains(prefix_ + name); }
    bool has_prefix(const char* name) const;
    bool fail(const std::string& why) { return cursor_.fail(why); }
    bool failed() const { return cursor_.failed(); }

private:
    const Values& values_;
    const std::string prefix_;
    Cursor& cursor_;
};

}  // namespace gantry::models
