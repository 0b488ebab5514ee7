#include "protocol/openai/utf8.h"

namespace gantry::protocol::openai {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// How many bytes the character that starts with `lead` has; 0: none starts so.
size_t length_of(unsigned char lead) {
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        return 3;
    }
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

// Whether `byte` may stand at place `at` of a character (Unicode's table 3-7: no overlong forms, no
// surrogates, <= U+10FFFF).
bool may_follow(unsigned char lead, size_t at, unsigned char byte) {
    if (at == 1) {
        switch (lead) {
            case 0xE0: return byte >= 0xA0 && byte <= 0xBF;
            case 0xED: return byte >= 0x80 && byte <= 0x9F;
            case 0xF0: return byte >= 0x90 && byte <= 0xBF;
            case 0xF4: return byte >= 0x80 && byte <= 0x8F;
            default: break;
        }
    }
    return byte >= 0x80 && byte <= 0xBF;
}

}  // namespace

size_t append_utf8(std::string& out, std::string_view bytes, bool last) {
    size_t at = 0;
    while (at < bytes.size()) {
        const auto lead = static_cast<unsigned char>(bytes[at]);
        const size_t length = length_of(lead);
        size_t fits = length == 0 ? 0 : 1;
        while (fits > 0 && fits < length && at + fits < bytes.size() &&
               may_follow(lead, fits, static_cast<unsigned char>(bytes[at + fits]))) {
            ++fits;
        }
        if (length > 0 && fits == length) {
            out.append(bytes.substr(at, length));
            at += length;
        } else if (length > 0 && at + fits == bytes.size() && !last) {
            return at;
        } else {
            out += kReplacement;
            at += fits == 0 ? 1 : fits;
        }
    }
    return at;
}

std::string_view beginning(std::string_view text, size_t bytes) {
    size_t end = std::min(bytes, text.size());
    while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
        --end;
    }
    return text.substr(0, end);
}

std::string to_utf8(std::string_view bytes) {
    std::string out;
    append_utf8(out, bytes, true);
    return out;
}

}  // namespace gantry::protocol::openai
