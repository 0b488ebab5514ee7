// A journal of anything: as many answers as chunks, and none that is not said.

#include <cstdint>

#include "sources/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gantry::sources;
    const JournalKey key{100, {Digest::Kind::kSha256, std::string(64, 'a')}, 16};
    const std::string text(reinterpret_cast<const char*>(data), size);
    const auto there = read_journal(text, key);
    const auto behind_head = read_journal(journal_head(key) + text, key);
    if (there.size() != key.chunks() || behind_head.size() != key.chunks()) __builtin_trap();
    for (size_t i = 0; i < key.chunks(); ++i) {
        if (behind_head[i] && text.find(std::to_string(i)) == std::string::npos) __builtin_trap();
    }
    return 0;
}
