#include "models/gguf_keys.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "models/gguf_cursor.h"
#include "models/gguf_values.h"
#include "models/model_file.h"

namespace gantry::models {
namespace {

constexpr uint64_t kKeysMax = 16 * 1024;
constexpr uint64_t kKeyBytesMax = 1024;
constexpr uint64_t kBytesMax = 64ull << 20;   // of all values that are kept

const char* name_of(uint32_t type) {
    constexpr std::array<const char*, 13> kNames = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
    return type < kNames.size() ? kNames[type] : nullptr;
}

template <class T>
bool number(Cursor& cursor, std::string& out) {
    T value{};
    if (!cursor.number(value)) return false;
    out = fmt::format("{}", value);
    return true;
}

bool plain_value(Cursor& cursor, uint32_t type, std::string& out) {
    switch (type) {
        case kUint8: return number<uint8_t>(cursor, out);
        case kInt8: return number<int8_t>(cursor, out);
        case kUint16: return number<uint16_t>(cursor, out);
        case kInt16: return number<int16_t>(cursor, out);
        case kUint32: return number<uint32_t>(cursor, out);
        case kInt32: return number<int32_t>(cursor, out);
        case kFloat32: return number<float>(cursor, out);
        case kUint64: return number<uint64_t>(cursor, out);
        case kInt64: return number<int64_t>(cursor, out);
        case kFloat64: return number<double>(cursor, out);
        case kBool: {
            uint8_t value = 0;
            if (!cursor.number(value)) return false;
            out = value != 0 ? "true" : "false";
            return true;
        }
        default: return cursor.fail("a key has an invalid type");
    }
}

// Its elements are passed over: a vocabulary is nothing that a person reads.
bool array_value(Cursor& cursor, std::string& type) {
    uint32_t of = 0;
    uint64_t count = 0;
    if (!cursor.number(of) || !cursor.number(count)) return false;
    if (name_of(of) == nullptr || of == kArray) return cursor.fail("an array has elements of an invalid type");
    type = fmt::format("{} x {}", count, name_of(of));
    const uint64_t width = width_of(of);
    const bool fits = of == kString ? may_hold_strings(cursor, count) : count <= cursor.left() / width;
    if (!fits) return cursor.fail("an array is longer than the file");
    return of == kString ? skip_strings(cursor, count) : cursor.skip(count * width);
}

bool read_key(Cursor& cursor, GgufKey& out) {
    uint32_t type = 0;
    if (!cursor.text(out.key, kKeyBytesMax, "the name of a key") || !cursor.number(type)) return false;
    if (type == kArray) return array_value(cursor, out.type);
    const char* const name = name_of(type);
    if (name == nullptr) return cursor.fail("a key has an invalid type");
    out.type = name;
    return type == kString ? cursor.text(out.value, kGgufTextMax, "the text of a key") : plain_value(cursor, type, out.value);
}

}  // namespace

Result<std::vector<GgufKey>> read_gguf_keys(const std::string& path) {
    const auto source = open_model_file(path);
    if (!source) return source.error();
    Cursor cursor(*source);
    char magic[4] = {};
    uint32_t version = 0;
    uint64_t tensors = 0, count = 0, kept = 0;
    if (!cursor.bytes(magic, sizeof magic) || !cursor.number(version) || !cursor.number(tensors) || !cursor.number(count)) {
        return invalid_model(cursor.problem());
    }
    if (std::memcmp(magic, "GGUF", 4) != 0 || (version != 2 && version != 3)) return invalid_model("it is no GGUF file of version 2 or 3");
    if (count > kKeysMax) return invalid_model(fmt::format("it declares {} keys, more than there can be", count));
    std::vector<GgufKey> keys;
    for (uint64_t i = 0; i < count; ++i) {
        GgufKey key;
        if (!read_key(cursor, key)) return invalid_model(cursor.problem());
        kept += key.key.size() + key.value.size();
        if (kept > kBytesMax) return invalid_model("its keys hold more text than any model's do");
        keys.push_back(std::move(key));
    }
    return keys;
}

}  // namespace gantry::models
