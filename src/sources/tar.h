#pragma once
// A tar archive of plain files, by libarchive: written as POSIX pax, which every tar unpacks, and read strictly. Other formats, compression,
// links, folders, devices and sparse files are refused where they are met; names are given as they stand, for the caller to know or refuse.
// Threads: one each.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct archive;
struct archive_entry;

namespace gantry::sources {

struct ArchiveFree {
    void operator()(archive* handle) const;   // of a reader or a writer
};

class TarWriter {
public:
    // Onto the open file `descriptor`, which outlives this.
    static Result<TarWriter> open(int descriptor);
    // A file of so many bytes; then exactly as many by write().
    Status begin(const std::string& name, uint64_t bytes, bool executable);
    Status write(std::string_view bytes);
    Status finish();

private:
    std::unique_ptr<archive, ArchiveFree> archive_;
    uint64_t left_ = 0;   // of the file that was begun
};

class TarReader {
public:
    struct File {
        std::string name;
        uint64_t bytes = 0;
    };
    // Of the open file `descriptor`, which outlives this.
    static Result<TarReader> open(int descriptor);
    // The next file; nullopt: the end. What was not read of the one before is passed over. kInvalidArgument: it is no such archive.
    Result<std::optional<File>> next();
    // Some bytes of the file, at most `size`; 0: its end. kInvalidArgument: it ends before its size.
    Result<size_t> read(char* out, size_t size);

private:
    std::unique_ptr<archive, ArchiveFree> archive_;
};

}  // namespace gantry::sources
