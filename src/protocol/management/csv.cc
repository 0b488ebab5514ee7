#include "protocol/management/csv.h"

namespace gantry::protocol::management {
namespace {

bool runs_as_formula(std::string_view text) {
    return !text.empty() && std::string_view("=+-@\t\r\n").find(text.front()) != std::string_view::npos;
}

// What RFC 4180 wants quoted; the semicolon and the tab, too, because some programs take them for the end of a cell.
bool needs_quotes(std::string_view text) { return text.find_first_of(",;\"\t\r\n") != std::string_view::npos; }

}  // namespace

void CsvRow::separate() {
    if (!first_) out_ += ',';
    first_ = false;
}

CsvRow& CsvRow::add(std::string_view text) {
    separate();
    const char* guard = runs_as_formula(text) ? "'" : "";
    if (!needs_quotes(text)) {
        out_.append(guard).append(text);
        return *this;
    }
    out_.append("\"").append(guard);
    for (const char c : text) out_.append(c == '"' ? 2 : 1, c);
    out_ += '"';
    return *this;
}

CsvRow& CsvRow::add(int64_t number) {
    separate();
    out_ += std::to_string(number);
    return *this;
}

void CsvRow::end() {
    out_ += "\r\n";
    first_ = true;
}

void csv_header(std::string& out, std::initializer_list<const char*> names) {
    CsvRow row(out);
    for (const char* name : names) row.add(std::string_view(name));
    row.end();
}

}  // namespace gantry::protocol::management
