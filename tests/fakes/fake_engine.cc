// A tiny engine for the tests of the worker: serves /health as the embedded engine does, and misbehaves on demand. It takes the
// arguments of `gantry engine`, of llama-server and of a custom command; what it doesn't know it ignores. Its knobs may stand in the
// environment instead, in FAKE_ENGINE_KNOBS, a word a line: no backend passes on flags that it doesn't know. One thread, plain sockets.
//
//   --socket S | --port P   where to listen (127.0.0.1)      --exit-file F     why it ended goes there, as JSON
//   --load-ms N             503 loading for so long          --crash-after N   exits with status 3 after N ms
//   --fail-start N          exits with status N at once      --fail-if FILE    ... with status 3, while FILE exists
//   --ignore-term           SIGTERM does nothing             --hang            takes connections, answers nothing
//   --hang-if FILE          ... while FILE exists            --child           starts a child that sleeps in its group
//   --pids FILE             appends its pid, and its child's --say TEXT        a line on stderr
//   --start-delay N         listens only after N ms          --signal N        ends by that signal at once
//   --say-variable NAME     "NAME=" and its value on stderr

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

volatile sig_atomic_t asked_to_stop = 0;

using Clock = std::chrono::steady_clock;

long ms_since(Clock::time_point start) {
    return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count());
}

int listen_at(const std::map<std::string, std::string>& options) {
    if (const auto path = options.find("--socket"); path != options.end()) {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path->second.c_str(), sizeof address.sun_path - 1);
        ::unlink(address.sun_path);
        if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
        return ::listen(fd, 64) == 0 ? fd : -1;
    }
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto port = options.find("--port");
    address.sin_port = htons(static_cast<uint16_t>(port == options.end() ? 0 : std::atoi(port->second.c_str())));
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
    return ::listen(fd, 64) == 0 ? fd : -1;
}

void append_pid(const std::string& path, pid_t pid) {
    if (FILE* file = std::fopen(path.c_str(), "a")) {
        std::fprintf(file, "%d\n", static_cast<int>(pid));
        std::fclose(file);
    }
}

int end(const std::map<std::string, std::string>& options, int status, const char* why) {
    if (const auto path = options.find("--exit-file"); path != options.end()) {
        if (FILE* file = std::fopen(path->second.c_str(), "w")) {
            std::fprintf(file, "{\"reason\":\"%s\",\"status\":%d}\n", why, status);
            std::fclose(file);
        }
    }
    return status;
}

void answer(int client, long age_ms, long load_ms) {
    char head[4096];
    if (::read(client, head, sizeof head) <= 0) return;
    char body[128];
    const bool loading = age_ms < load_ms;
    if (loading) {
        std::snprintf(body, sizeof body, "{\"status\":\"loading\",\"progress\":%.3f}",
                      static_cast<double>(age_ms) / static_cast<double>(load_ms));
    } else {
        std::snprintf(body, sizeof body, "{\"status\":\"ok\"}");
    }
    char reply[512];
    std::snprintf(reply, sizeof reply,
                  "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                  loading ? "503 Service Unavailable" : "200 OK", std::strlen(body), body);
    (void)!::write(client, reply, std::strlen(reply));
}

}  // namespace

int main(int argc, char** argv) {
    const auto start = Clock::now();
    std::map<std::string, std::string> options;
    std::vector<std::string> words(argv + 1, argv + argc);
    if (const char* knobs = std::getenv("FAKE_ENGINE_KNOBS")) {
        std::istringstream lines(knobs);
        for (std::string line; std::getline(lines, line);) words.push_back(line);
    }
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        const bool has_value = i + 1 < words.size() && !words[i + 1].starts_with("--");
        if (word.starts_with("--")) options[word] = has_value ? words[++i] : "";
    }
    const auto number = [&options](const char* name) {
        const auto found = options.find(name);
        return found == options.end() ? 0L : std::atol(found->second.c_str());
    };
    const auto has_file = [&options](const char* name) {
        const auto found = options.find(name);
        return found != options.end() && ::access(found->second.c_str(), F_OK) == 0;
    };
    const auto pids = options.find("--pids");
    if (pids != options.end()) append_pid(pids->second, ::getpid());
    if (options.contains("--say")) std::fprintf(stderr, "%s\n", options["--say"].c_str());
    if (const auto name = options.find("--say-variable"); name != options.end()) {
        const char* value = std::getenv(name->second.c_str());
        std::fprintf(stderr, "%s='%s'\n", name->second.c_str(), value == nullptr ? "" : value);
    }
    if (options.contains("--signal")) {
        ::signal(static_cast<int>(number("--signal")), SIG_DFL);
        ::raise(static_cast<int>(number("--signal")));
    }
    if (options.contains("--fail-start")) return end(options, static_cast<int>(number("--fail-start")), "told to fail");
    if (has_file("--fail-if")) return end(options, 3, "told to fail");
    struct sigaction action {};
    action.sa_handler = [](int) { asked_to_stop = 1; };
    if (options.contains("--ignore-term")) action.sa_handler = SIG_IGN;
    ::sigaction(SIGTERM, &action, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    if (options.contains("--child")) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::signal(SIGTERM, SIG_IGN);
            for (;;) ::pause();
        }
        if (pids != options.end()) append_pid(pids->second, child);
    }
    while (ms_since(start) < number("--start-delay") && asked_to_stop == 0) ::usleep(2000);
    const int listener = listen_at(options);
    if (listener < 0) {
        std::fprintf(stderr, "cannot listen: %s\n", std::strerror(errno));
        return end(options, 1, "cannot listen");
    }
    const long crash_after = number("--crash-after");
    while (asked_to_stop == 0) {
        if (crash_after > 0 && ms_since(start) >= crash_after) return end(options, 3, "planned crash");
        pollfd waiting{listener, POLLIN, 0};
        if (::poll(&waiting, 1, 5) <= 0) continue;
        const int client = ::accept(listener, nullptr, nullptr);
        if (client < 0) continue;
        if (options.contains("--hang") || has_file("--hang-if")) continue;  // left open, never answered
        answer(client, ms_since(start), number("--load-ms"));
        ::close(client);
    }
    return end(options, 0, "asked to stop");
}
