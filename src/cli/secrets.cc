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

Result<std::string> read_password(const std::string& file) {
    std::string password;
    if (file == "-") {
        std::getline(std::cin, password);
    } else if (!file.empty()) {
        std::ifstream in(file);
        if (!in || !std::getline(in, password)) {
            return invalid_argument(fmt::format("the password file {} can't be read or is empty", file));
        }
    } else if (isatty(STDIN_FILENO) == 1) {
        password = ask_hidden("Password: ");
        if (ask_hidden("Once more: ") != password) {
            return invalid_argument("the two passwords differ; nothing was changed");
        }
    } else {
        return invalid_argument("no terminal to ask for a password on; give --password-file FILE (- is stdin)");
    }
    if (!password.empty() && password.back() == '\r') {
        password.pop_back();
    }
    if (password.size() < kPasswordMin) {
        return invalid_argument(fmt::format("the password needs at least {} characters", kPasswordMin));
    }
    return password;
}

std::string random_password() { return system_random().token(16); }

}  // namespace gantry::cli
