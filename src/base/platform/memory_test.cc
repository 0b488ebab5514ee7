#include "base/platform/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <vector>

namespace gantry::platform {
namespace {

int64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    int64_t all = 0, resident = 0;
    file >> all >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
}

// What a request of `size` bytes does, which leaves something small behind itself.
void* large_then_small(size_t size) {
    auto* large = static_cast<volatile char*>(std::malloc(size));   // volatile: else the compiler sees that nobody reads it
    for (size_t i = 0; i < size; i += 4096) large[i] = 1;
    void* small = std::malloc(100);
    std::free(const_cast<char*>(large));
    return small;
}

TEST(PlatformMemory, LargeBlocksAreGivenBack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizers' malloc keeps what is freed";
#endif
    constexpr size_t kLarge = 20 << 20;
    std::free(large_then_small(kLarge + kLarge / 4));   // from which malloc learns to keep all that are smaller
    give_back_large_blocks();
    const int64_t before = resident_bytes();
    std::vector<void*> small;
    for (int i = 0; i < 4; ++i) small.push_back(large_then_small(kLarge));
    EXPECT_LT(resident_bytes() - before, 2 << 20);
    for (void* block : small) std::free(block);
}

}  // namespace
}  // namespace gantry::platform
