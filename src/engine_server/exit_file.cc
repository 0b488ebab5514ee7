#include "engine_server/exit_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "base/json.h"
#include "base/log.h"
#include "base/platform/files.h"

namespace gantry::engine_server {
namespace {

// What a signal handler needs must be there before the signal: no memory may be asked for in it.
constexpr size_t kPathMax = 4096;
char path_text[kPathMax] = "";
char temporary_text[kPathMax + 8] = "";
std::atomic<bool> written{false};

constexpr int kFatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

const char* crash_text(int number) {
    switch (number) {
        case SIGSEGV: return "{\"reason\":\"crashed: bad memory access (SIGSEGV)\",\"code\":139}\n";
        case SIGBUS:
            return "{\"reason\":\"crashed: SIGBUS, perhaps the model file was cut while in "
                   "use\",\"code\":135}\n";
        case SIGFPE: return "{\"reason\":\"crashed: arithmetic error (SIGFPE)\",\"code\":136}\n";
        case SIGILL:
            return "{\"reason\":\"crashed: SIGILL, perhaps this build is for another "
                   "CPU\",\"code\":132}\n";
        default:
            return "{\"reason\":\"aborted by a failed check; its output says "
                   "which\",\"code\":134}\n";
    }
}

// The sanitizers have handlers of their own, which say more.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCatchSignals = false;
#else
constexpr bool kCatchSignals = true;
#endif

// Async-signal-safe.
void write_raw(const char* text) {
    if (path_text[0] == '\0' || written.exchange(true)) {
        return;
    }
    const int file = ::open(temporary_text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) {
        return;
    }
    const ssize_t count = ::write(file, text, std::strlen(text));
    ::close(file);
    if (count > 0) {
        ::rename(temporary_text, path_text);
    }
}

void on_fatal_signal(int number) {
    write_raw(crash_text(number));
    ::raise(number);  // its default action is back (SA_RESETHAND)
}

[[noreturn]] void on_terminate() {
    std::string what = "an unknown exception";
    if (const std::exception_ptr failure = std::current_exception()) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& known) {
            what = known.what();
        } catch (...) {  // has no text
        }
    }
    log::error("unhandled exception: {}", what);
    write_exit_file("unhandled exception: " + what, 134);
    std::abort();
}

}  // namespace

void start_exit_file(const std::string& path) {
    if (path.size() < kPathMax) {
        std::memcpy(path_text, path.c_str(), path.size() + 1);
        std::snprintf(temporary_text, sizeof temporary_text, "%s.tmp", path_text);
    }
    written = false;
    std::set_terminate(on_terminate);
    if constexpr (!kCatchSignals) {
        return;
    }
    // A stack of its own, because running out of stack is one of the crashes.
    static char stack[64 * 1024];
    stack_t alternative{};
    alternative.ss_sp = stack;
    alternative.ss_size = sizeof stack;
    ::sigaltstack(&alternative, nullptr);
    struct sigaction action{};
    action.sa_handler = on_fatal_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_ONSTACK | SA_NODEFER);
    for (const int number : kFatal) {
        ::sigaction(number, &action, nullptr);
    }
}

void write_exit_file(const std::string& reason, int code) {
    if (path_text[0] == '\0' || written.exchange(true)) {
        return;
    }
    json::object body;
    body["reason"] = reason;
    body["code"] = code;
    if (Status status = platform::write_file_atomic(path_text, json::serialize(body) + "\n");
        !status) {
        log::error("can't write the exit file: {}", status.error().message);
    }
}

}  // namespace gantry::engine_server
