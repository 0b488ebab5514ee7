#pragma once
// For tests: a process without a free file descriptor, however many it has open and wherever they lie (what starts the
// tests may hand down descriptors with high numbers, so counting the open ones says nothing about the free ones).

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace gantry {

// While it lives, all but `left` descriptors are beyond the limit. One at a time, in the test's own thread.
class NoDescriptors {
public:
    explicit NoDescriptors(rlim_t left = 0) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int lowest_free = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::close(lowest_free);
        rlimit tight = before_;
        tight.rlim_cur = std::min(static_cast<rlim_t>(lowest_free) + left, before_.rlim_cur);
        ::setrlimit(RLIMIT_NOFILE, &tight);
    }
    ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

private:
    rlimit before_{};
};

}  // namespace gantry
