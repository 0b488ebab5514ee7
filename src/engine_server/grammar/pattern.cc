#include "engine_server/grammar/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <optional>
#include <utility>
#include <vector>

namespace gantry::engine_server {
namespace {

constexpr uint32_t kLastCharacter = 0x10FFFF;
constexpr int kDepthMax = 32;
constexpr uint64_t kPositionCost = 3;

// Sorted, apart from each other, inclusive.
using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

Ranges sorted(Ranges ranges) {
    std::sort(ranges.begin(), ranges.end());
    Ranges out;
    for (const auto& range : ranges) {
        if (!out.empty() && range.first <= out.back().second + 1) {
            out.back().second = std::max(out.back().second, range.second);
        } else {
            out.push_back(range);
        }
    }
    return out;
}

Ranges complement(const Ranges& ranges) {
    Ranges out;
    uint32_t next = 0;
    for (const auto& [first, last] : ranges) {
        if (first > next) {
            out.emplace_back(next, first - 1);
        }
        next = last + 1;
    }
    if (next <= kLastCharacter) {
        out.emplace_back(next, kLastCharacter);
    }
    return out;
}

// What JSON lets stand unescaped between quotes: no controls, no quote, no backslash, no surrogates.
Ranges without_escaped(const Ranges& ranges) {
    static const Ranges kEscaped = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0xD800, 0xDFFF}};
    Ranges out = complement(ranges);
    out.insert(out.end(), kEscaped.begin(), kEscaped.end());
    return complement(sorted(std::move(out)));
}

const Ranges kDigits = {{'0', '9'}};
const Ranges kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// ECMA-262's white space and line terminators.
const Ranges kSpace = {{0x09, 0x0D},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                       {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const Ranges kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

std::string escaped(uint32_t character) {
    const bool plain = (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
                       (character >= 'A' && character <= 'Z');
    if (plain) {
        return std::string(1, static_cast<char>(character));
    }
    return character < 0x80 ? fmt::format("\\x{:02x}", character) : fmt::format("\\u{{{:x}}}", character);
}

// In parts of 10 us, what one more first byte of a character that may stand somewhere adds: tokens that begin by it are walked. For
// the 150,000 tokens of Qwen 2.5's vocabulary; others are of that size or smaller.
uint64_t first_byte_cost(size_t byte) {
    if (byte < 0x80) {
        const size_t lower = byte | 0x20;
        return lower >= 'a' && lower <= 'z' ? 10 : byte >= '0' && byte <= '9' ? 0 : byte == ' ' ? 4 : 1;
    }
    return byte < 0xE0 ? 1 : byte < 0xE4 ? 8 : byte < 0xEA ? 37 : byte < 0xF0 ? 5 : 1;
}

// Of its UTF-8.
size_t first_byte(uint32_t character) {
    return character < 0x80 ? character : character < 0x800 ? 0xC0 | character >> 6 : character < 0x10000 ? 0xE0 | character >> 12
         : 0xF0 | character >> 18;
}

// One character of `ranges`, none of which needs an escape in JSON. REQUIRES: not empty.
Pattern class_pattern(const Ranges& ranges) {
    if (ranges.size() == 1 && ranges[0].first == ranges[0].second) {
        return {escaped(ranges[0].first), kPositionCost, 1};
    }
    Pattern out{"[", kPositionCost, 1};
    std::bitset<256> begins;
    for (const auto& [first, last] : ranges) {
        out.text += first == last ? escaped(first) : escaped(first) + "-" + escaped(last);
        for (size_t byte = first_byte(first); byte <= first_byte(last); ++byte) {
            begins.set(byte);
        }
    }
    for (size_t byte = 0; byte < begins.size(); ++byte) {
        out.cost += begins[byte] ? first_byte_cost(byte) : 0;
    }
    out.text += "]";
    return out;
}

// max absent: without end.
Pattern repeated(const Pattern& piece, uint32_t min, std::optional<uint32_t> max) {
    Pattern out;
    const uint32_t counted = max.value_or(min);
    if (!max && min <= 1) {
        return {piece.text + (min == 0 ? "*" : "+"), piece.cost + 1, piece.positions};
    }
    out.text = piece.text + (max && *max != min ? fmt::format("{{{},{}}}", min, *max) : fmt::format("{{{}}}", min));
    out.cost = piece.cost * std::max(counted, 1U) + 1;
    out.positions = piece.positions * std::max(counted, 1U);
    if (!max) {
        out.text += piece.text + "*";
        out.cost += piece.cost + 1;
        out.positions += piece.positions;
    }
    return out;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

class PatternReader {
public:
    explicit PatternReader(std::string_view text) : text_(text) {}

    Result<Pattern> read() {
        Result<Pattern> whole = alternatives(0);
        if (whole && at_ < text_.size()) {
            return refused("has a ')' too many");
        }
        if (whole && whole->positions > kPatternPositionsMax) {
            return refused("repeats too much");
        }
        return whole;
    }

private:
    Error refused(const std::string& why) const {
        return invalid_argument(fmt::format("{} (at byte {})", why, at_));
    }
    bool more() const { return at_ < text_.size(); }
    bool take(std::string_view expected) {
        if (!text_.substr(at_).starts_with(expected)) {
            return false;
        }
        at_ += expected.size();
        return true;
    }

    Result<Pattern> alternatives(int depth) {
        if (depth > kDepthMax) {
            return refused("has too many groups inside each other");
        }
        Pattern out;
        bool many = false;
        while (true) {
            Result<Pattern> branch = sequence(depth);
            if (!branch) {
                return branch;
            }
            out.text += branch->text;
            out.cost += branch->cost + 1;
            out.positions += branch->positions;
            if (!take("|")) {
                break;
            }
            out.text += '|';
            many = true;
        }
        if (many || depth > 0) {
            out.text = "(" + out.text + ")";
        }
        return out;
    }

    // At the top, ^ may begin and $ may end a branch: the whole string must match in any case.
    Result<Pattern> sequence(int depth) {
        Pattern out;
        if (depth == 0) {
            take("^");
        }
        while (more() && text_[at_] != '|' && text_[at_] != ')') {
            if (depth == 0 && text_[at_] == '$' && (at_ + 1 == text_.size() || text_[at_ + 1] == '|')) {
                ++at_;
                break;
            }
            Result<Pattern> piece = atom(depth);
            if (piece) {
                piece = quantified(*std::move(piece));
            }
            if (!piece) {
                return piece;
            }
            out.text += piece->text;
            out.cost += piece->cost;
            out.positions += piece->positions;
        }
        return out;
    }

    Result<Pattern> atom(int depth) {
        const char c = text_[at_];
        if (c == '(') {
            ++at_;
            if (more() && text_[at_] == '?' && !take("?:")) {
                return refused("has a lookaround, a flag or a named group, which are not supported");
            }
            Result<Pattern> inner = alternatives(depth + 1);
            if (inner && !take(")")) {
                return refused("has a group that is not closed");
            }
            return inner;
        }
        if (c == '[') {
            return character_class();
        }
        if (c == '.') {
            ++at_;
            return of_ranges(complement(kLineEnds));
        }
        if (c == '^' || c == '$') {
            return refused("has an anchor in its middle, which is not supported");
        }
        if (c == '*' || c == '+' || c == '?' || c == '{' || c == '}' || c == ']') {
            return refused(fmt::format("has a '{}' with nothing to apply to: escape it if it is meant literally", c));
        }
        Result<Ranges> ranges = unit();
        if (!ranges) {
            return ranges.error();
        }
        return of_ranges(*ranges);
    }

    Result<Pattern> of_ranges(const Ranges& ranges) const {
        const Ranges left = without_escaped(ranges);
        if (left.empty()) {
            return refused("asks for a character that JSON strings must escape, which is not supported");
        }
        return class_pattern(left);
    }

    Result<Pattern> character_class() {
        ++at_;
        const bool negated = take("^");
        Ranges ranges;
        while (more() && text_[at_] != ']') {
            Result<Ranges> first = unit();
            if (!first) {
                return first.error();
            }
            const bool range = more() && text_[at_] == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
            if (!range) {
                ranges.insert(ranges.end(), first->begin(), first->end());
                continue;
            }
            ++at_;
            Result<Ranges> last = unit();
            if (!last) {
                return last.error();
            }
            if (!is_single(*first) || !is_single(*last) || last->front().first < first->front().first) {
                return refused("has a range whose ends are not two characters in order");
            }
            ranges.emplace_back(first->front().first, last->front().first);
        }
        if (ranges.empty() || !take("]")) {
            return refused("has a class that is empty or not closed");
        }
        ranges = sorted(std::move(ranges));
        return of_ranges(negated ? complement(ranges) : ranges);
    }

    static bool is_single(const Ranges& ranges) { return ranges.size() == 1 && ranges[0].first == ranges[0].second; }

    // One character or one escape.
    Result<Ranges> unit() {
        if (text_[at_] == '\\') {
            ++at_;
            return more() ? escape() : Result<Ranges>(refused("ends in a backslash"));
        }
        return character();
    }

    // UTF-8, which the JSON parser has checked.
    Result<Ranges> character() {
        const auto lead = static_cast<unsigned char>(text_[at_]);
        const size_t bytes = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        if (at_ + bytes > text_.size() || (lead >= 0x80 && lead < 0xC0)) {
            return refused("is no valid UTF-8");
        }
        uint32_t code = bytes == 1 ? lead : lead & (0xFFU >> (bytes + 1));
        for (size_t i = 1; i < bytes; ++i) {
            code = code << 6 | (static_cast<unsigned char>(text_[at_ + i]) & 0x3FU);
        }
        at_ += bytes;
        return Ranges{{code, code}};
    }

    Result<Ranges> escape() {
        const char c = text_[at_++];
        const auto one = [](uint32_t code) { return Ranges{{code, code}}; };
        switch (c) {
            case 'd': return kDigits;
            case 'D': return complement(kDigits);
            case 'w': return kWord;
            case 'W': return complement(kWord);
            case 's': return kSpace;
            case 'S': return complement(kSpace);
            case 't': return one('\t');
            case 'n': return one('\n');
            case 'r': return one('\r');
            case 'f': return one('\f');
            case 'v': return one('\v');
            case 'x': return hexadecimal(2);
            case 'u': return hexadecimal(4);
            default: break;
        }
        const bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (letter || static_cast<unsigned char>(c) >= 0x80) {
            return refused("has an escape that is not supported");
        }
        return one(static_cast<unsigned char>(c));
    }

    Result<Ranges> hexadecimal(int digits) {
        uint32_t code = 0;
        for (int i = 0; i < digits; ++i) {
            const int digit = more() ? hex_digit(text_[at_]) : -1;
            if (digit < 0) {
                return refused("has an escape that is not supported");
            }
            code = code * 16 + static_cast<uint32_t>(digit);
            ++at_;
        }
        return Ranges{{code, code}};
    }

    std::optional<uint32_t> number() {
        uint32_t value = 0;
        const size_t start = at_;
        while (more() && text_[at_] >= '0' && text_[at_] <= '9' && at_ - start < 9) {
            value = value * 10 + static_cast<uint32_t>(text_[at_++] - '0');
        }
        return at_ == start ? std::nullopt : std::optional(value);
    }

    Result<Pattern> quantified(Pattern piece) {
        if (take("*")) {
            piece = repeated(piece, 0, std::nullopt);
        } else if (take("+")) {
            piece = repeated(piece, 1, std::nullopt);
        } else if (take("?")) {
            piece = repeated(piece, 0, 1);
        } else if (take("{")) {
            const std::optional<uint32_t> min = number();
            std::optional<uint32_t> max = min;
            if (take(",")) {
                max = number();
            }
            if (!min || !take("}") || (max && *max < *min)) {
                return refused("has a repetition that is not {n}, {n,} or {n,m}");
            }
            const uint32_t most = std::max(*min, max.value_or(0));
            if (most > kRepetitionMax) {
                return refused(fmt::format("repeats something {} times, and {} is the limit", most, kRepetitionMax));
            }
            piece = repeated(piece, *min, max);
        } else {
            return piece;
        }
        if (piece.cost > kPatternCostMax || piece.positions > kPatternPositionsMax) {
            return refused("repeats too much");
        }
        take("?");  // lazy: the same strings
        if (more() && (text_[at_] == '*' || text_[at_] == '+' || text_[at_] == '?' || text_[at_] == '{')) {
            return refused("has a repetition of a repetition: put the inner one into a group");
        }
        return piece;
    }

    std::string_view text_;
    size_t at_ = 0;
};

}  // namespace

Result<Pattern> rewrite_pattern(std::string_view pattern) {
    if (pattern.size() > kPatternBytesMax) {
        return invalid_argument(fmt::format("has {} bytes, and {} is the limit", pattern.size(), kPatternBytesMax));
    }
    return PatternReader(pattern).read();
}

std::string_view format_pattern(std::string_view format) {
    // RFC 3339 with days that exist; the leap second and lower case are left out, which is narrower.
#define GANTRY_DATE                                                                                    \
    "([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"          \
    "02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
#define GANTRY_TIME "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define GANTRY_BYTE "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    // Lengths (63 a label, 64 before the @) are left open: each counted character of a class costs milliseconds to compile.
#define GANTRY_HOST "[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    static constexpr std::pair<std::string_view, std::string_view> kFormats[] = {
        {"date", GANTRY_DATE},
        {"time", GANTRY_TIME},
        {"date-time", GANTRY_DATE "T" GANTRY_TIME},
        {"duration",
         "P([0-9]+W|([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)(T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|"
         "[0-9]+S))?|T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S))"},
        {"email", "[a-zA-Z0-9_+-]+(\\.[a-zA-Z0-9_+-]+)*@" GANTRY_HOST},
        {"hostname", GANTRY_HOST},
        {"ipv4", GANTRY_BYTE "(\\." GANTRY_BYTE "){3}"},
        {"ipv6", "([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|::|([0-9a-f]{1,4}:){1,6}(:[0-9a-f]{1,4})|::([0-9a-f]{1,4}:){0,5}[0-9a-f]{1,4}"},
        {"uuid", "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
    };
#undef GANTRY_DATE
#undef GANTRY_TIME
#undef GANTRY_BYTE
#undef GANTRY_HOST
    for (const auto& [name, pattern] : kFormats) {
        if (name == format) {
            return pattern;
        }
    }
    return {};
}

}  // namespace gantry::engine_server
