#include "cli/output.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/ascii.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr size_t kGap = 2;

bool set_and_not_empty(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

std::string cut(const std::string& text, size_t width) {
    std::string out = text;
    while (display_width(out) > width) {
        size_t last = out.size() - 1;
        while (last > 0 && (out[last] & 0xc0) == 0x80) {
            --last;
        }
        out.resize(last);
    }
    return out;
}

}  // namespace

bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }
bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

bool colours() {
    const char* term = std::getenv("TERM");
    const bool dumb = term != nullptr && std::strcmp(term, "dumb") == 0;
    return stdout_is_terminal() && !set_and_not_empty("NO_COLOR") && !dumb;
}

bool unicode() {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        if (set_and_not_empty(name)) {
            const std::string value = lowered(std::getenv(name));
            return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
        }
    }
    // No locale at all is common in containers, whose terminals are UTF-8; into a file plain ASCII is safer.
    return stdout_is_terminal();
}

uint32_t terminal_columns() {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return 100;
}

Colour colour_of_state(const std::string& state) {
    if (state == "running" || state == "ready") {
        return Colour::kGreen;
    }
    if (state == "error" || state == "unreachable") {
        return Colour::kRed;
    }
    return state == "stopped" || state == "asleep" ? Colour::kDim : Colour::kYellow;
}

std::string coloured(const std::string& text, Colour colour) {
    switch (colour) {
        case Colour::kNone: return text;
        case Colour::kGreen: return "\x1b[32m" + text + "\x1b[0m";
        case Colour::kYellow: return "\x1b[33m" + text + "\x1b[0m";
        case Colour::kRed: return "\x1b[31m" + text + "\x1b[0m";
        case Colour::kDim: return "\x1b[2m" + text + "\x1b[0m";
        case Colour::kBold: return "\x1b[1m" + text + "\x1b[0m";
    }
    return text;
}

std::string Table::text(bool with_headers, bool with_colours, uint32_t columns) const {
    std::vector<std::vector<Cell>> lines;
    if (with_headers) {
        std::vector<Cell> head;
        for (const std::string& header : headers_) {
            head.emplace_back(header, Colour::kBold);
        }
        lines.push_back(std::move(head));
    }
    lines.insert(lines.end(), rows_.begin(), rows_.end());
    std::vector<size_t> widths(headers_.size(), 0);
    for (std::vector<Cell>& line : lines) {
        for (size_t i = 0; i < line.size() && i < widths.size(); ++i) {
            line[i].text = printable(line[i].text);
            widths[i] = std::max(widths[i], display_width(line[i].text));
        }
    }
    std::string out;
    for (const std::vector<Cell>& line : lines) {
        std::string row;
        size_t used = 0;
        for (size_t i = 0; i < line.size() && i < widths.size(); ++i) {
            const bool last = i + 1 == line.size();
            const std::string shown = last && columns > used ? cut(line[i].text, columns - used) : line[i].text;
            const size_t width = display_width(shown);
            const std::string blanks(widths[i] > width ? widths[i] - width : 0, ' ');
            row += line[i].right ? blanks : "";
            row += with_colours ? coloured(shown, line[i].colour) : shown;
            if (!last) {
                row += (line[i].right ? "" : blanks) + std::string(kGap, ' ');
            }
            used += widths[i] + kGap;
        }
        row.erase(row.find_last_not_of(' ') + 1);
        out += row + "\n";
    }
    return out;
}

int print_list(const Context& context, const json::array& items, const char* quiet_key, const Table& table,
               const std::string& empty_hint) {
    if (context.json) {
        json::object object;
        object["items"] = items;
        print(json::serialize(object) + "\n");
    } else if (context.quiet) {
        for (const json::value& item : items) {
            if (item.is_object()) {
                print(printable(text_at(item.get_object(), quiet_key)) + "\n");
            }
        }
    } else if (table.empty()) {
        note(empty_hint);
    } else {
        const uint32_t columns = stdout_is_terminal() ? terminal_columns() : UINT32_MAX;
        print(table.text(!context.no_headers, colours(), columns));
    }
    return flushed(kDone);
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void note(const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }

int flushed(int status) {
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        note(fmt::format("gantry: the output could not be written: {}", std::strerror(errno)));
        return kFailed;
    }
    return status;
}

std::string text_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

int64_t number_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr) {
        return 0;
    }
    if (value->is_int64()) {
        return value->get_int64();
    }
    return value->is_uint64() ? static_cast<int64_t>(value->get_uint64()) : static_cast<int64_t>(real_at(object, key));
}

double real_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

bool flag_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_bool() && value->get_bool();
}

const json::object& object_at(const json::object& object, std::string_view key) {
    static const json::object kNone;
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_object() ? value->get_object() : kNone;
}

const json::array& array_at(const json::object& object, std::string_view key) {
    static const json::array kNone;
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_array() ? value->get_array() : kNone;
}

}  // namespace gantry::cli
