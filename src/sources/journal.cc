#include "sources/journal.h"

#include <fmt/format.h>

#include <charconv>

namespace gantry::sources {

std::string journal_head(const JournalKey& key) {
    return fmt::format("gantry download 1 {} {} {}\n", key.bytes, key.chunk_bytes, key.digest.hex);
}

std::string journal_line(size_t chunk) { return fmt::format("{}\n", chunk); }

std::vector<bool> read_journal(std::string_view text, const JournalKey& key) {
    std::vector<bool> there(key.chunks(), false);
    const std::string head = journal_head(key);
    if (!text.starts_with(head)) return there;
    text.remove_prefix(head.size());
    for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
        size_t chunk = 0;
        const auto [at, failed] = std::from_chars(text.data(), text.data() + end, chunk);
        if (failed == std::errc() && at == text.data() + end && chunk < there.size()) there[chunk] = true;
        text.remove_prefix(end + 1);
    }
    return there;
}

}  // namespace gantry::sources
