#include "models/gguf_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "models/limits.h"

namespace gantry::models {

uint64_t width_of(uint32_t type) {
    switch (type) {
        case kUint8: case kInt8: case kBool: return 1;
        case kUint16: case kInt16: return 2;
        case kUint32: case kInt32: case kFloat32: return 4;
        case kUint64: case kInt64: case kFloat64: return 8;
        default: return 0;
    }
}

bool may_hold_strings(const Cursor& cursor, uint64_t count) { return count <= kStringsMax && count <= cursor.left() / sizeof(uint64_t); }

bool skip_strings(Cursor& cursor, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        uint64_t length = 0;
        if (!cursor.number(length) || !cursor.skip(length)) return false;
    }
    return true;
}

namespace {

constexpr uint64_t kKeyBytesMax = 1024;
constexpr uint64_t kPerLayerMax = kLayersMax;       // arrays with a number for each layer that are looked into
constexpr uint64_t kNumbersKeptMax = 64 * 1024;     // of all such arrays together: half a MiB

// The keys whose arrays say something of each layer, under any architecture: it may come after them in the file.
constexpr std::array<std::string_view, 5> kPerLayerKeys = {
    ".attention.head_count", ".attention.head_count_kv", ".attention.sliding_window_pattern", ".attention.recurrent_layers",
    ".feed_forward_length"};

// One number of an integer type, sign-extended: a negative one becomes a huge one, over every limit.
bool read_integer(Cursor& cursor, uint32_t type, uint64_t& out, bool& is_integer) {
    int64_t wide = 0;
    is_integer = true;
    bool read = false;
    switch (type) {
        case kUint8: case kBool: { uint8_t v = 0; read = cursor.number(v); wide = v; break; }
        case kInt8: { int8_t v = 0; read = cursor.number(v); wide = v; break; }
        case kUint16: { uint16_t v = 0; read = cursor.number(v); wide = v; break; }
        case kInt16: { int16_t v = 0; read = cursor.number(v); wide = v; break; }
        case kUint32: { uint32_t v = 0; read = cursor.number(v); wide = v; break; }
        case kInt32: { int32_t v = 0; read = cursor.number(v); wide = v; break; }
        case kUint64: case kInt64: read = cursor.number(wide); break;
        default: is_integer = false; return cursor.skip(width_of(type));
    }
    out = static_cast<uint64_t>(wide);
    return read;
}

// `kept` counts the numbers kept so far, of all arrays.
bool read_array(Cursor& cursor, const std::string& key, Value& value, uint64_t& kept) {
    value.array = true;
    if (!cursor.number(value.type) || !cursor.number(value.count)) return false;
    if (value.type == kString) {
        if (may_hold_strings(cursor, value.count)) return skip_strings(cursor, value.count);
        return cursor.fail(fmt::format("the array of key '{}' declares {} strings, more than there can be", shown(key), value.count));
    }
    const uint64_t width = width_of(value.type);
    if (width == 0) {
        return cursor.fail(fmt::format("the array of key '{}' has elements of the invalid type {}", shown(key), value.type));
    }
    if (value.count > cursor.left() / width) {
        return cursor.fail(fmt::format("the array of key '{}' declares {} elements, more than the file holds", shown(key),
                                       value.count));
    }
    if (value.count == 0 || value.count > kPerLayerMax) return cursor.skip(value.count * width);
    const bool keep = std::any_of(kPerLayerKeys.begin(), kPerLayerKeys.end(), [&](auto name) { return key.ends_with(name); });
    if (keep && (kept += value.count) > kNumbersKeptMax) {
        return cursor.fail(fmt::format("its arrays say more than {} things of its layers", kNumbersKeptMax));
    }
    for (uint64_t i = 0; i < value.count; ++i) {
        uint64_t number = 0;
        if (!read_integer(cursor, value.type, number, value.integer)) return false;
        value.number = std::max(value.number, number);
        if (keep && value.integer) value.numbers.push_back(number);
    }
    return true;
}

}  // namespace

bool read_pairs(Cursor& cursor, uint64_t count, Values& values) {
    uint64_t kept = 0;
    for (uint64_t i = 0; i < count; ++i) {
        std::string key;
        if (!cursor.text(key, kKeyBytesMax, fmt::format("the name of key {}", i))) return false;
        if (key.empty()) return cursor.fail(fmt::format("key {} has no name", i));
        Value value;
        if (!cursor.number(value.type)) return false;
        bool read = false;
        if (value.type == kArray) {
            read = read_array(cursor, key, value, kept);
        } else if (value.type == kString) {
            read = cursor.text_cut(value.text);
        } else if (width_of(value.type) > 0) {
            read = read_integer(cursor, value.type, value.number, value.integer);
        } else {
            return cursor.fail(fmt::format("key '{}' has the invalid type {}", shown(key), value.type));
        }
        if (!read) return false;
        if (!values.emplace(key, std::move(value)).second) {
            return cursor.fail(fmt::format("key '{}' appears twice", shown(key)));
        }
    }
    return true;
}

bool text_of(const Values& values, const std::string& key, std::string& out) {
    const auto found = values.find(key);
    if (found == values.end() || found->second.array || found->second.type != kString) return false;
    out = found->second.text;
    return true;
}

bool Hyperparameters::take(const char* name, uint64_t most, bool zero, uint32_t& out) {
    const auto found = values_.find(prefix_ + name);
    if (found == values_.end()) return true;
    const Value& value = found->second;
    if (!value.integer) return cursor_.fail(fmt::format("key '{}{}' is no number", prefix_, name));
    if (value.number > most || (value.number == 0 && !zero)) {
        return cursor_.fail(fmt::format("key '{}{}' is {}; {} to {} is possible", prefix_, name, value.number, zero ? 0 : 1,
                                        most));
    }
    out = static_cast<uint32_t>(value.number);
    return true;
}

uint64_t Hyperparameters::number(const char* name, uint64_t most, uint64_t otherwise) {
    auto out = static_cast<uint32_t>(otherwise);
    return take(name, most, true, out) ? out : 0;
}

const std::vector<uint64_t>* Hyperparameters::of_layers(const char* name) const {
    const auto found = values_.find(prefix_ + name);
    return found != values_.end() && !found->second.numbers.empty() ? &found->second.numbers : nullptr;
}

const std::vector<uint64_t>* Hyperparameters::of_layers(const char* name, uint32_t layers) {
    const std::vector<uint64_t>* numbers = of_layers(name);
    if (numbers == nullptr || numbers->size() == layers) return numbers;
    cursor_.fail(fmt::format("key '{}{}' has {} numbers, and the model {} layers", prefix_, name, numbers->size(), layers));
    return nullptr;
}

bool Hyperparameters::has_prefix(const char* name) const {
    const std::string key = prefix_ + name;
    const auto found = values_.lower_bound(key);
    return found != values_.end() && found->first.starts_with(key);
}

}  // namespace gantry::models
