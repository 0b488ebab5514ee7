#include "cli/secrets.h"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <fstream>
#include <iostream>

#include "base/ids.h"

namespace gantry::cli {
namespace {

constexpr size_t kPasswordMin = 8;

std::string ask_hidden(const char* question) {
    std::fputs(question, stderr);
    termios before{};
    const bool known = tcgetattr(STDIN_FILENO, &before) == 0;
    if (known) {
        termios hidden = before;
        hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    std::string line;
    std::getline(std::cin, line);
    if (known) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    }
    std::fputs("\n", stderr);
    return line;
}

}  // namespace

Result<std::string> read_first_line(const std::string& file, const char* what) {
    std::string line;
    std::ifstream in;
    if (file != "-") {
        in.open(file);
    }
    std::getline(file == "-" ? std::cin : in, line);
    if (!line.empty() && line.back() == '\r') {
        line.pop_back();
    }
    if (line.empty()) {
        return invalid_argument(fmt::format("the {} file {} can't be read or is empty", what, file));
    }
    return line;
}

Result<std::string> read_password(const std::string& file) {
    std::string password;
    if (!file.empty()) {
        Result<std::string> line = read_first_line(file, "password");
        if (!line) {
            return line;
        }
        password = *std::move(line);
    } else if (isatty(STDIN_FILENO) == 1) {
        password = ask_hidden("Password: ");
        if (ask_hidden("Once more: ") != password) {
            return invalid_argument("the two passwords differ; nothing was changed");
        }
    } else {
        return invalid_argument("no terminal to ask for a password on; give --password-file FILE (- is stdin)");
    }
    if (password.size() < kPasswordMin) {
        return invalid_argument(fmt::format("the password needs at least {} characters", kPasswordMin));
    }
    return password;
}

std::string random_password() { return system_random().token(16); }

}  // namespace gantry::cli
