#include "http/text.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/status.hpp>
#include <chrono>
#include <ctime>

namespace gantry::http {
namespace {

constexpr std::array<bool, 256> kTokenChars = [] {
    std::array<bool, 256> is{};
    for (char c = 'a'; c <= 'z'; ++c) is[static_cast<unsigned char>(c)] = is[static_cast<unsigned char>(c - 'a' + 'A')] = true;
    for (const char c : std::string_view("0123456789!#$%&'*+-.^_`|~")) is[static_cast<unsigned char>(c)] = true;
    return is;
}();

constexpr bool splits(char c) { return c == '\r' || c == '\n' || c == '\0'; }

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

}  // namespace

bool has_word(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        const size_t comma = list.find(',');
        if (equal_without_case(trim(list.substr(0, comma)), word)) return true;
        if (comma == std::string_view::npos) return false;
        list.remove_prefix(comma + 1);
    }
    return false;
}

std::string_view reason_phrase(int status) {
    if (status == 499) return "Client Closed Request";
    if (status < 100 || status > 599) return "Unknown";
    const auto known = boost::beast::http::int_to_status(static_cast<unsigned>(status));
    if (known == boost::beast::http::status::unknown) return "Unknown";
    const auto phrase = boost::beast::http::obsolete_reason(known);
    return {phrase.data(), phrase.size()};
}

std::string_view http_date() {
    // Kept per thread, since each io thread asks for every answer it sends and formatting costs more than sending.
    thread_local std::time_t made_at = 0;
    thread_local char text[40] = {};
    thread_local size_t length = 0;
    const std::time_t now = std::time(nullptr);
    if (now != made_at) {
        std::tm utc{};
        gmtime_r(&now, &utc);
        constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        char rest[24];
        std::strftime(rest, sizeof(rest), "%Y %H:%M:%S GMT", &utc);
        std::string made = std::string(kDays[utc.tm_wday]) + ", " + (utc.tm_mday < 10 ? "0" : "") +
                           std::to_string(utc.tm_mday) + " " + kMonths[utc.tm_mon] + " " + rest;
        length = made.copy(text, sizeof(text));
        made_at = now;
    }
    return {text, length};
}

void append_field(std::string& head, std::string_view name, std::string_view value) {
    const auto is_token = [](char c) { return kTokenChars[static_cast<unsigned char>(c)]; };
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_token)) return;
    const size_t at = head.size() + name.size() + 2;
    head.append(name).append(": ").append(value).append("\r\n");
    if (!is_printable(value)) std::replace_if(head.begin() + static_cast<ptrdiff_t>(at), head.end() - 2, splits, ' ');
}

}  // namespace gantry::http
