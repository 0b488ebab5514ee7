#pragma once
// CSV as RFC 4180 has it, in UTF-8, safe to open in a spreadsheet: a text that one would run as a formula (it begins with
// = + - @, a tab, a carriage return or a line feed) gets a ' before it. Pure.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace gantry::protocol::management {

// Appends rows to a text: row.add("a").add(1).end().
class CsvRow {
public:
    explicit CsvRow(std::string& out) : out_(out) {}
    CsvRow& add(std::string_view text);
    CsvRow& add(int64_t number);       // is no text: never gets a '
    CsvRow& add(std::same_as<bool> auto flag) { return add(std::string_view(flag ? "true" : "false")); }   // no pointer is a flag
    void end();

private:
    void separate();
    std::string& out_;
    bool first_ = true;
};

void csv_header(std::string& out, std::initializer_list<const char*> names);

}  // namespace gantry::protocol::management
