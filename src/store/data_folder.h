#pragma once
// What guards the data folder itself: the lock that keeps a second process out, the mark of an unclean stop, and the mark
// that the folder has been used (so that a vanished database is noticed and never replaced by an empty one).
//
//   gantry.lock   flocked while in use; holds the pid in use, "clean" after a clean stop. Written in place, 16 bytes, so that
//                 not even a full disk keeps it from being marked.
//   initialized   exists once both databases were complete for the first time.

#include <string>

#include "base/result.h"

namespace gantry::store {

class DataFolder {
public:
    // Makes the folder (mode 0700) where it is missing; kConflict, with the pid, where another process has it.
    static Result<DataFolder> lock(const std::string& path);
    DataFolder(DataFolder&& other) noexcept;
    DataFolder& operator=(DataFolder&&) = delete;
    ~DataFolder();                           // gives the lock back; the stop counts as unclean unless mark_clean() was called

    const std::string& path() const { return path_; }
    std::string file(const std::string& name) const { return path_ + "/" + name; }
    bool stopped_uncleanly() const { return unclean_; }   // the process that used it last
    Status mark_clean();

    bool initialized() const;
    Status mark_initialized();

private:
    DataFolder(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
    Status mark(const std::string& text);

    std::string path_;
    int fd_ = -1;
    bool unclean_ = false;
};

// Makes names created, renamed or removed in the folder durable.
Status sync_folder(const std::string& path);
Status sync_file(const std::string& path);
// Creates an empty file that only its owner can read, unless it exists.
Status create_private(const std::string& path);

}  // namespace gantry::store
