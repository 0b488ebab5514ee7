#pragma once
// Some engines write the key that they were given into their log (SGLang all its settings: github.com/sgl-project/sglang/issues/37457). Whoever
// may read a log may not have the key: it is overwritten there, in place, by as many stars, while the engine goes on appending.

#include <cstdint>
#include <string>
#include <vector>

namespace gantry::worker {

class LogBlanker {
public:
    // Shorter ones could be part of any word.
    static constexpr size_t kSecretMin = 8;

    explicit LogBlanker(std::vector<std::string> secrets);
    // What was written since the last look. Reads at most kBytesMax a look, the rest the next time. A log that became shorter is
    // looked at from its beginning. Errors (no such file yet) are none: the next look may find it. Threads: one at a time.
    void look(const std::string& path);

private:
    static constexpr size_t kBytesMax = 1u << 20;
    std::vector<std::string> secrets_;
    size_t longest_ = 0;
    uint64_t seen_ = 0;   // bytes; a secret that had begun before it had not ended there
};

}  // namespace gantry::worker
