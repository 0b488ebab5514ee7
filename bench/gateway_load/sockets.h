#pragma once
// Loopback sockets on one epoll, for the two ends of a load. Straight system calls, so that the load leaves the two cores of a
// small machine to what is measured. Errors end the program: a bench that can't open a socket has nothing to say.

#include <cstdint>
#include <string>
#include <string_view>

namespace gantry::load {

int64_t now_ns();   // CLOCK_MONOTONIC: the same for all processes of a machine

void raise_handle_limit();
int listen_on(uint16_t port);            // 127.0.0.1, not blocking
int connect_to(uint16_t port);           // the same; -1: refused
int accept_one(int listener);            // -1: nobody is there

class Poll {
public:
    Poll();
    ~Poll();
    Poll(const Poll&) = delete;
    Poll& operator=(const Poll&) = delete;
    void add(int fd, void* owner, bool writable = false);
    void change(int fd, void* owner, bool writable);
    // Calls use(owner) for each socket with something to read or room to write, or broken.
    template <class Use>
    void wait(int timeout_ms, const Use& use) {
        const int ready = collect(timeout_ms);
        for (int i = 0; i < ready; ++i) use(owner_of(i));
    }

private:
    int collect(int timeout_ms);
    void* owner_of(int index) const;
    int epoll_;
    struct Events;
    Events* events_;
};

enum class Got { kBytes, kNothing, kEnd };
// Appends to `into` what has arrived; kEnd: closed or broken.
Got receive(int fd, std::string& into);
// What of `bytes` the kernel took; -1: broken.
long send_some(int fd, std::string_view bytes);

[[noreturn]] void die(const char* what);

}  // namespace gantry::load
