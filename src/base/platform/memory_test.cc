#include "base/platform/memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <span>
#include <thread>
#include <vector>

#include "base/platform/files.h"

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

// That goes with its descriptor.
UniqueFd nameless_file() {
    char name[] = "/tmp/gantry-memory-XXXXXX";
    UniqueFd file(::mkstemp(name));
    ::unlink(name);
    return file;
}

TEST(PlatformMemory, WhatMovesToHugePagesIsReadMeanwhile) {
    const UniqueFd file = nameless_file();
    std::vector<uint32_t> numbers((37u << 20) / 4 + 1000);   // more than is moved at once, and no whole page
    std::iota(numbers.begin(), numbers.end(), 0U);
    const size_t bytes = numbers.size() * 4;
    ASSERT_EQ(::write(file.get(), numbers.data(), bytes), static_cast<ssize_t>(bytes));
    void* room = ::mmap(nullptr, bytes + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    auto* begin = reinterpret_cast<uint32_t*>((reinterpret_cast<uintptr_t>(room) + kHugePage - 1) / kHugePage * kHugePage);
    ASSERT_NE(::mmap(begin, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file.get(), 0), MAP_FAILED);
    const std::span<const volatile uint32_t> read(begin, numbers.size());

    std::atomic<uint64_t> wrong{0}, passes{0};
    {
        const std::jthread reader([&](const std::stop_token& stop) {
            for (; !stop.stop_requested(); ++passes) {
                for (uint32_t i = 0; i < read.size(); i += 512) wrong += read[i] != i;
            }
        });
        while (passes == 0) std::this_thread::yield();
        move_to_huge_pages(begin, bytes, {});
        for (const uint64_t before = passes; passes < before + 2;) std::this_thread::yield();
    }
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(std::memcmp(begin, numbers.data(), bytes), 0);
    // It is the file's no more.
    ASSERT_EQ(::ftruncate(file.get(), 0), 0);
    EXPECT_EQ(std::memcmp(begin, numbers.data(), bytes), 0);
    ::munmap(room, bytes + kHugePage);
}

TEST(PlatformMemory, WhatIsLetGoOfAFileIsReadAnew) {
    const UniqueFd file = nameless_file();
    const std::string text(16u << 20, 'x');
    ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    void* mapped = ::mmap(nullptr, text.size(), PROT_READ, MAP_SHARED | MAP_POPULATE, file.get(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    const std::span<const char> all(static_cast<const char*>(mapped), text.size());

    const std::span<const char> found = mapped_file_around(all.data() + 5000);
    ASSERT_LE(found.data(), all.data());
    ASSERT_GE(found.data() + found.size(), all.data() + all.size());
    const int64_t before = resident_bytes();
    let_go_of_file(all.subspan(100, all.size() - 200));   // but for its first page and its last
    EXPECT_LT(resident_bytes(), before - (15 << 20));
    EXPECT_EQ(std::memcmp(all.data(), text.data(), text.size()), 0);

    EXPECT_TRUE(mapped_file_around(text.data()).empty()) << "no file's";
    ASSERT_EQ(::mprotect(mapped, text.size(), PROT_READ | PROT_WRITE), 0);
    EXPECT_TRUE(mapped_file_around(mapped).empty()) << "it may be written to";
    void* own = ::mmap(nullptr, text.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE, file.get(), 0);
    ASSERT_NE(own, MAP_FAILED);
    std::memset(own, 'y', text.size());
    ASSERT_EQ(::mprotect(own, text.size(), PROT_READ), 0);
    EXPECT_TRUE(mapped_file_around(own).empty()) << "it was written to";
    ::munmap(own, text.size());
    ::munmap(mapped, text.size());
    EXPECT_TRUE(mapped_file_around(mapped).empty()) << "nothing is there";
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
