#include "sources/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include "base/assert.h"
#include "models/model_file.h"

namespace gantry::sources {
namespace {

constexpr size_t kBlockBytes = 1u << 20;   // read and written at once

struct EntryFree {
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

Error cannot_write(archive* handle) {
    const int number = archive_errno(handle);
    return number > 0 ? error_from_errno("the archive cannot be written", number) : internal_error("the archive cannot be written");
}

Error no_archive(const std::string& why) { return invalid_argument("the archive is damaged, or is none: " + why, {}, "bad_archive"); }

Error cannot_read(archive* handle) {
    const char* const text = archive_error_string(handle);
    return no_archive(models::shown(text != nullptr ? text : "it can't be read"));
}

}  // namespace

void ArchiveFree::operator()(archive* handle) const { archive_free(handle); }

Result<TarWriter> TarWriter::open(int descriptor) {
    TarWriter writer;
    writer.archive_.reset(archive_write_new());
    archive* const handle = writer.archive_.get();
    const bool good = handle != nullptr && archive_write_set_format_pax_restricted(handle) == ARCHIVE_OK &&
                      archive_write_set_bytes_per_block(handle, kBlockBytes) == ARCHIVE_OK &&
                      archive_write_set_bytes_in_last_block(handle, 1) == ARCHIVE_OK && archive_write_open_fd(handle, descriptor) == ARCHIVE_OK;
    if (!good) return internal_error("the archive cannot be begun");
    return writer;
}

Status TarWriter::begin(const std::string& name, uint64_t bytes, bool executable) {
    GANTRY_ASSERT(left_ == 0, "a file of an archive has as many bytes as were announced");
    const std::unique_ptr<archive_entry, EntryFree> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), executable ? 0755 : 0644);
    left_ = bytes;
    return archive_write_header(archive_.get(), entry.get()) == ARCHIVE_OK ? Status(Ok{}) : Status(cannot_write(archive_.get()));
}

Status TarWriter::write(std::string_view bytes) {
    GANTRY_ASSERT(bytes.size() <= left_, "a file of an archive has as many bytes as were announced");
    left_ -= bytes.size();
    const la_ssize_t wrote = archive_write_data(archive_.get(), bytes.data(), bytes.size());
    return wrote == static_cast<la_ssize_t>(bytes.size()) ? Status(Ok{}) : Status(cannot_write(archive_.get()));
}

Status TarWriter::finish() {
    GANTRY_ASSERT(left_ == 0, "a file of an archive has as many bytes as were announced");
    return archive_write_close(archive_.get()) == ARCHIVE_OK ? Status(Ok{}) : Status(cannot_write(archive_.get()));
}

Result<TarReader> TarReader::open(int descriptor) {
    TarReader reader;
    reader.archive_.reset(archive_read_new());
    archive* const handle = reader.archive_.get();
    if (handle == nullptr || archive_read_support_format_tar(handle) != ARCHIVE_OK) return internal_error("no archive can be read");
    if (archive_read_open_fd(handle, descriptor, kBlockBytes) != ARCHIVE_OK) return cannot_read(handle);
    return reader;
}

Result<std::optional<TarReader::File>> TarReader::next() {
    archive_entry* entry = nullptr;
    const int done = archive_read_next_header(archive_.get(), &entry);
    if (done == ARCHIVE_EOF) return std::optional<File>();
    if (done != ARCHIVE_OK) return cannot_read(archive_.get());
    const char* const name = archive_entry_pathname(entry);
    if (name == nullptr) return no_archive("a file in it has no name");
    const bool plain = archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr &&
                       archive_entry_symlink(entry) == nullptr && archive_entry_sparse_count(entry) == 0;
    if (!plain) return no_archive(fmt::format("\"{}\" is no plain file", models::shown(name)));
    if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0) return no_archive(fmt::format("\"{}\" has no size", models::shown(name)));
    return std::optional<File>(File{name, static_cast<uint64_t>(archive_entry_size(entry))});
}

Result<size_t> TarReader::read(char* out, size_t size) {
    const la_ssize_t got = archive_read_data(archive_.get(), out, size);
    if (got < 0) return cannot_read(archive_.get());
    return static_cast<size_t>(got);
}

}  // namespace gantry::sources
