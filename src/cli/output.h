#pragma once
// What goes to stdout: tables and JSON. Colours only on a terminal, and never with NO_COLOR or TERM=dumb. Chatter goes to stderr.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/context.h"

namespace gantry::cli {

bool stdout_is_terminal();
bool stderr_is_terminal();
bool colours();                 // on stdout
bool unicode();                 // the locale's encoding is UTF-8
uint32_t terminal_columns();    // of stdout; 100 where it is no terminal

enum class Colour { kNone, kGreen, kYellow, kRed, kDim, kBold };
Colour colour_of_state(const std::string& state);
std::string coloured(const std::string& text, Colour colour);

class Table {
public:
    struct Cell {
        std::string text;
        Colour colour = Colour::kNone;
        bool right = false;
        Cell(std::string t, Colour c = Colour::kNone, bool r = false) : text(std::move(t)), colour(c), right(r) {}  // NOLINT
        Cell(const char* t) : text(t) {}                                                                            // NOLINT
    };
    explicit Table(std::vector<std::string> headers) : headers_(std::move(headers)) {}
    void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
    bool empty() const { return rows_.empty(); }
    // The last column is cut where the terminal ends; into a pipe nothing is cut.
    std::string text(bool with_headers, bool with_colours, uint32_t columns) const;

private:
    std::vector<std::string> headers_;
    std::vector<std::vector<Cell>> rows_;
};

// Prints the list as --json, --quiet (the `quiet_key` of each object, a line each) or the table.
// `empty_hint` goes to stderr when there is nothing.
int print_list(const Context& context, const json::array& items, const char* quiet_key, const Table& table,
               const std::string& empty_hint);

void print(const std::string& text);    // stdout
void note(const std::string& line);     // stderr, with a newline
// Flushes stdout. Failed (a full disk, a closed pipe): says so; the exit status is kFailed then.
int flushed(int status);

// Fields of an object that came over the wire: empty, 0 or false when absent or of another type.
std::string text_at(const json::object& object, std::string_view key);
int64_t number_at(const json::object& object, std::string_view key);
double real_at(const json::object& object, std::string_view key);
bool flag_at(const json::object& object, std::string_view key);
const json::object& object_at(const json::object& object, std::string_view key);   // empty when absent
const json::array& array_at(const json::object& object, std::string_view key);     // empty when absent

}  // namespace gantry::cli
