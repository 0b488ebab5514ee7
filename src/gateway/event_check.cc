// A pass over the text by recursive descent. What it takes is what parse_json() takes, but for the size of numbers.

#include "gateway/event_check.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/json.h"

namespace gantry::gateway {
namespace {

static_assert(std::endian::native == std::endian::little);

// A string as it stands between its quotes.
struct Text {
    std::string_view raw;
    bool escaped = false;
};

// How many of sixteen bytes stand before the first that is a quote, a backslash, a control character or no ASCII.
size_t plain_bytes(const char* at) {
    using Sixteen = signed char __attribute__((vector_size(16)));   // of GCC and clang: SSE2 or NEON
    Sixteen bytes;
    std::memcpy(&bytes, at, sizeof(bytes));
    const Sixteen odd = (bytes == '"') | (bytes == '\\') | (bytes < 0x20);   // what is no ASCII is negative
    uint64_t halves[2];
    std::memcpy(halves, &odd, sizeof(halves));   // the first byte lowest
    if (halves[0] != 0) return static_cast<size_t>(std::countr_zero(halves[0])) / 8;
    return halves[1] != 0 ? 8 + static_cast<size_t>(std::countr_zero(halves[1])) / 8 : 16;
}

class Scanner {
public:
    Scanner(std::string_view text, std::string_view answer_key)
        : begin_(text.data()), at_(begin_), end_(begin_ + text.size()), answer_key_(answer_key) {
        facts_.answer = answer_key.empty();
    }

    std::optional<EventFacts> run() {
        skip_space();
        if (!take('{') || !root()) return std::nullopt;
        skip_space();
        return at_ == end_ ? std::optional(facts_) : std::nullopt;
    }

    // Whether all of it is one string between its quotes.
    bool is_string() {
        Text text;
        return string(text) && at_ == end_;
    }

private:
    enum class Key { kOther, kError, kUsage, kChoices, kModel, kTimings };

    size_t offset() const { return static_cast<size_t>(at_ - begin_); }
    bool take(char c) {
        if (at_ == end_ || *at_ != c) return false;
        ++at_;
        return true;
    }
    void skip_space() {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r' || *at_ == '\n')) ++at_;
    }
    bool word(std::string_view rest) {
        if (static_cast<size_t>(end_ - at_) < rest.size() || std::memcmp(at_, rest.data(), rest.size()) != 0) return false;
        at_ += rest.size();
        return true;
    }

    // ---- the top level, behind its brace

    bool root() {
        skip_space();
        if (take('}')) return true;
        std::optional<size_t> comma;   // before this member
        for (;;) {
            const size_t member = offset();
            Text name;
            if (!string(name)) return false;
            const Key key = key_of(name);
            skip_space();
            if (!take(':')) return false;
            skip_space();
            const size_t value_at = offset();
            if (!top_value(key)) return false;
            if (key == Key::kModel) {
                ++facts_.models;
                facts_.model = {value_at, offset()};
            }
            if (key == Key::kTimings) facts_.timings = {value_at, offset()};
            const bool usage = key == Key::kUsage;
            if (usage) {
                ++facts_.usages;
                facts_.usage_value = {value_at, offset()};
                facts_.usage_member = {comma.value_or(member), offset()};
            }
            skip_space();
            if (take('}')) return true;
            const size_t next_comma = offset();
            if (!take(',')) return false;
            skip_space();
            if (usage && !comma) facts_.usage_member.end = offset();
            comma = next_comma;
        }
    }

    bool top_value(Key key) {
        const char first = at_ == end_ ? '\0' : *at_;
        switch (key) {
            case Key::kError:
                if (first != 'n') facts_.error = true;
                break;
            case Key::kUsage:
                facts_.usage_key = true;
                facts_.usage = facts_.usage || first == '{';
                break;
            case Key::kChoices: {
                in_choices_ = true;
                const bool valid = value(1, false);
                in_choices_ = false;
                if (first == '[') facts_.no_choices = empty_array_;
                return valid;
            }
            default:
                break;
        }
        return value(1, false);
    }

    Key key_of(const Text& name) {
        if (!name.escaped) return key_of(name.raw);
        const Result<json::value> plain = parse_json("\"" + std::string(name.raw) + "\"");   // nobody writes so
        return plain && plain->is_string() ? key_of(std::string_view(plain->get_string())) : Key::kOther;
    }
    Key key_of(std::string_view name) {
        if (name == answer_key_) facts_.answer = true;
        if (name == "error") return Key::kError;
        if (name == "usage") return Key::kUsage;
        if (name == "choices") return Key::kChoices;
        if (name == "timings") return Key::kTimings;
        return name == "model" ? Key::kModel : Key::kOther;
    }
    static bool is_text_key(const Text& name) {
        if (name.escaped) {
            const Result<json::value> plain = parse_json("\"" + std::string(name.raw) + "\"");
            return plain && plain->is_string() && is_text_key(Text{std::string_view(plain->get_string()), false});
        }
        switch (name.raw.size()) {
            case 4: return name.raw == "text";
            case 7: return name.raw == "content";
            case 9: return name.raw == "reasoning" || name.raw == "arguments";
            case 17: return name.raw == "reasoning_content";
            default: return false;
        }
    }

    // ---- values; `depth` is of what they stand in, `readable` whether a string would be for a person

    bool value(size_t depth, bool readable) {
        if (at_ == end_) return false;
        switch (*at_) {
            case '{':
                ++at_;
                return depth < kJsonDepthMax && object(depth + 1);
            case '[':
                ++at_;
                return depth < kJsonDepthMax && array(depth + 1, readable);
            case '"': {
                Text text;
                if (!string(text)) return false;
                if (readable) {
                    ++facts_.texts;
                    facts_.text = {static_cast<size_t>(text.raw.data() - begin_), offset() - 1};
                    facts_.output = facts_.output || !text.raw.empty();
                }
                return true;
            }
            case 't': return word("true");
            case 'f': return word("false");
            case 'n': return word("null");
            default: return number();
        }
    }

    bool object(size_t depth) {
        skip_space();
        if (take('}')) return true;
        for (;;) {
            Text name;
            if (!string(name)) return false;
            skip_space();
            if (!take(':')) return false;
            skip_space();
            if (!value(depth, in_choices_ && depth >= 3 && is_text_key(name))) return false;
            skip_space();
            if (take('}')) return true;
            if (!take(',')) return false;
            skip_space();
        }
    }

    bool array(size_t depth, bool readable) {
        skip_space();
        if (take(']')) {
            empty_array_ = true;
            return true;
        }
        for (;;) {
            if (!value(depth, readable)) return false;
            skip_space();
            if (take(']')) {
                empty_array_ = false;
                return true;
            }
            if (!take(',')) return false;
            skip_space();
        }
    }

    bool digits() {
        const char* const first = at_;
        while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
        return at_ != first;
    }

    bool number() {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            return digits();
        }
        return true;
    }

    bool string(Text& out) {
        if (!take('"')) return false;
        const char* const first = at_;
        for (;;) {
            for (size_t plain = 16; plain == 16 && end_ - at_ >= 16; at_ += plain) plain = plain_bytes(at_);
            while (at_ != end_ && *at_ != '"' && *at_ != '\\' && *at_ >= 0x20) ++at_;
            if (at_ == end_) return false;
            const auto c = static_cast<unsigned char>(*at_);
            if (c == '"') {
                out.raw = {first, static_cast<size_t>(at_ - first)};
                ++at_;
                return true;
            }
            if (c == '\\') {
                out.escaped = true;
                if (!escape()) return false;
            } else if (c < 0x20 || !character(c)) {
                return false;
            }
        }
    }

    // Four hexadecimal digits; -1: not that.
    int hex4() {
        if (end_ - at_ < 4) return -1;
        int code = 0;
        for (int i = 0; i < 4; ++i) {
            const char c = *at_++;
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
            if (digit < 0) return -1;
            code = code * 16 + digit;
        }
        return code;
    }

    bool escape() {
        ++at_;
        if (at_ == end_) return false;
        const char c = *at_++;
        if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
        const int code = hex4();
        if (code < 0 || (code >= 0xdc00 && code <= 0xdfff)) return false;
        if (code < 0xd800 || code > 0xdbff) return true;
        if (!word("\\u")) return false;
        const int low = hex4();   // one half of a pair stands for nothing
        return low >= 0xdc00 && low <= 0xdfff;
    }

    // A character of two to four bytes, as RFC 3629 has them.
    bool character(unsigned char lead) {
        const auto next = [this](int i) { return end_ - at_ > i ? static_cast<unsigned char>(at_[i]) : 0u; };
        const auto tail = [&next](int i) { return (next(i) & 0xc0u) == 0x80u; };
        int length = 0;
        if (lead >= 0xc2 && lead <= 0xdf) {
            length = tail(1) ? 2 : 0;
        } else if (lead >= 0xe0 && lead <= 0xef) {
            const bool shortest = lead != 0xe0 || next(1) >= 0xa0;
            const bool surrogate = lead == 0xed && next(1) >= 0xa0;
            length = tail(1) && tail(2) && shortest && !surrogate ? 3 : 0;
        } else if (lead >= 0xf0 && lead <= 0xf4) {
            const bool in_range = (lead != 0xf0 || next(1) >= 0x90) && (lead != 0xf4 || next(1) < 0x90);
            length = tail(1) && tail(2) && tail(3) && in_range ? 4 : 0;
        }
        at_ += length;
        return length > 0;
    }

    const char* const begin_;
    const char* at_;
    const char* const end_;
    const std::string_view answer_key_;
    EventFacts facts_;
    bool in_choices_ = false;
    bool empty_array_ = false;   // the array closed last was
};

}  // namespace

std::optional<EventFacts> check_event(std::string_view data, std::string_view answer_key) { return Scanner(data, answer_key).run(); }

std::optional<EventFacts> EventCheck::as_before(std::string_view data) const {
    const std::string_view before(before_);
    const std::string_view head = before.substr(0, facts_.text.begin), tail = before.substr(facts_.text.end);
    if (before.empty() || data.size() < head.size() + tail.size() || !data.starts_with(head) || !data.ends_with(tail)) return std::nullopt;
    const size_t end = data.size() - tail.size();
    if (!Scanner(data.substr(head.size() - 1, end - head.size() + 2), {}).is_string()) return std::nullopt;
    EventFacts facts = facts_;
    for (Span* span : {&facts.model, &facts.usage_value, &facts.timings, &facts.usage_member}) {
        if (span->begin < facts_.text.end) continue;
        span->begin += end - facts_.text.end;   // modulo 2^64 where the text is shorter
        span->end += end - facts_.text.end;
    }
    facts.text.end = end;
    facts.output = end > head.size();
    return facts;
}

std::optional<EventFacts> EventCheck::operator()(std::string_view data) {
    constexpr size_t kKeptBytesMax = 1024;   // a stream
    std::optional<EventFacts> facts = as_before(data);
    if (facts) return facts;
    facts = check_event(data);
    if (facts && facts->texts == 1 && data.size() <= kKeptBytesMax) {
        before_ = data;
        facts_ = *facts;
    }
    return facts;
}

}  // namespace gantry::gateway
