#pragma once
// Seals what nobody may read in the database or in a backup of it: the keys that outside providers take us by. What seals them is
// <data-dir>/secrets.key: 32 random bytes, mode 0600, made when first needed. Threads: any; may block on the disk.

#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"

namespace gantry::control {

class Secrets {
public:
    explicit Secrets(const std::string& data_dir) : path_(data_dir + "/secrets.key") {}
    ~Secrets();
    // As text to store. Only open() for the same `owner`, an id, gives it back.
    Result<std::string> seal(const std::string& secret, const std::string& owner);
    // The error's message says why not, for everybody who asks.
    Result<std::string> open(const std::string& sealed, const std::string& owner);

private:
    Status load(bool make);

    const std::string path_;
    std::mutex mutex_;
    std::optional<std::string> key_;   // once it was read
};

}  // namespace gantry::control
