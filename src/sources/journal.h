#pragma once
// What of a file is on the disk already: a line for each chunk, appended once its bytes are written. A line that a kill cut off is no
// line; a journal of another file, size or digest says nothing. That the bytes are right the digest of the whole says, at the end.
// Pure. Threads: any.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sources/hub_answers.h"

namespace gantry::sources {

struct JournalKey {
    uint64_t bytes = 0;
    Digest digest{};
    uint64_t chunk_bytes = 0;
    size_t chunks() const { return static_cast<size_t>((bytes + chunk_bytes - 1) / chunk_bytes); }
};

std::string journal_head(const JournalKey& key);
std::string journal_line(size_t chunk);
// Which chunks are there: as many as key.chunks().
std::vector<bool> read_journal(std::string_view text, const JournalKey& key);

}  // namespace gantry::sources
