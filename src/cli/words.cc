#include "cli/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"

namespace gantry::cli {

Result<std::vector<std::string>> split_command(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;
    char quote = '\0';
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote != '\0') {
            const bool escapes = quote == '"' && c == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\');
            if (escapes) {
                word += text[++i];
            } else if (c == quote) {
                quote = '\0';
            } else {
                word += c;
            }
        } else if (c == '\'' || c == '"') {
            quote = c;
            in_word = true;
        } else if (c == '\\' && i + 1 < text.size()) {
            word += text[++i];
            in_word = true;
        } else if (c == ' ' || c == '\t' || c == '\n') {
            if (in_word) {
                words.push_back(std::move(word));
                word.clear();
                in_word = false;
            }
        } else {
            word += c;
            in_word = true;
        }
    }
    if (quote != '\0') {
        return invalid_argument(fmt::format("the command has a {} that is never closed", quote));
    }
    if (in_word) {
        words.push_back(std::move(word));
    }
    return words;
}

Result<std::vector<uint32_t>> parse_counts(std::string_view text, uint32_t max) {
    std::vector<uint32_t> counts;
    size_t at = 0;
    while (at <= text.size()) {
        const size_t comma = std::min(text.find(',', at), text.size());
        const std::string_view part = text.substr(at, comma - at);
        uint32_t count = 0;
        const auto [end, failure] = std::from_chars(part.data(), part.data() + part.size(), count);
        if (failure != std::errc() || end != part.data() + part.size() || count == 0 || count > max) {
            return invalid_argument(fmt::format("\"{}\" is no list of numbers from 1 to {}, such as 1,6", text, max));
        }
        counts.push_back(count);
        at = comma + 1;
    }
    return counts;
}

Result<int64_t> parse_period(std::string_view text) {
    int64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string_view unit = failure == std::errc() ? text.substr(static_cast<size_t>(end - text.data())) : "";
    const int64_t factor = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86400 : 0;
    if (factor == 0 || value <= 0 || value > 100'000'000'000 / factor) {
        return invalid_argument(fmt::format("\"{}\" is no period; write 90s, 15m, 12h or 30d", text));
    }
    return value * factor;
}

std::string encode_segment(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                           c == '.' || c == '~' || c == ':' || c == '@';
        if (plain) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

std::string human_bytes(uint64_t bytes) {
    static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(kUnits)) {
        value /= 1024;
        ++unit;
    }
    return fmt::format("{:.{}f} {}", value, unit == 0 || value >= 100 ? 0 : 1, kUnits[unit]);
}

std::string human_count(uint64_t count) {
    const double value = static_cast<double>(count);
    if (value >= 1e9) {
        return fmt::format("{:.1f}B", value / 1e9);
    }
    if (value >= 1e6) {
        return fmt::format("{:.1f}M", value / 1e6);
    }
    return fmt::format("{}", count);
}

std::string human_period(int64_t seconds) {
    if (seconds < 0) {
        return "0s";
    }
    if (seconds < 100) {
        return fmt::format("{}s", seconds);
    }
    if (seconds < 100 * 60) {
        return fmt::format("{}m", seconds / 60);
    }
    if (seconds < 48 * 3600) {
        return fmt::format("{}h", seconds / 3600);
    }
    return fmt::format("{}d", seconds / 86400);
}

size_t display_width(std::string_view text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const char c = text.front();
        const size_t steering = log::steering_length(text);
        out += steering == 0 ? c : c == '\n' || c == '\t' ? ' ' : '?';
        text.remove_prefix(std::max<size_t>(steering, 1));
    }
    return out;
}

}  // namespace gantry::cli
