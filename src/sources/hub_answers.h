#pragma once
// What the hubs answer, as plain values. All of it is as hostile as the network: a file whose name would leave its folder makes the
// whole listing unusable, and counts and sizes are bounded. Pure. Threads: any.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/model_files.h"

namespace gantry::sources {

inline constexpr size_t kListedMax = 20'000;                    // files of a repository
inline constexpr uint64_t kFileBytesMax = 1ull << 44;           // 16 TiB: of one file

// By what a file is checked: 64 hex digits of SHA-256, or, where a hub keeps it in git itself, the 40 of git's own ("blob <length>\0"
// and the bytes, SHA-1).
struct Digest {
    enum class Kind { kSha256, kGit };
    Kind kind = Kind::kSha256;
    std::string hex{};
    bool operator==(const Digest&) const = default;
};
bool valid(const Digest& digest);

struct HubFile {
    std::string path{};       // in the repository; safe_relative_path() of it
    uint64_t bytes = 0;
    Digest digest{};
};

struct Listing {
    std::string commit{};     // what the revision stands for; empty: the hub does not say
    std::vector<HubFile> files{};
};

// Of /api/models/{repo}/revision/{rev}: the commit. kUnavailable: no such answer (a login page, a captive portal).
Result<std::string> read_hugging_face_commit(std::string_view body);
// Of /api/models/{repo}/tree/{rev}: appends one page's files to `files`.
Status read_hugging_face_tree(std::string_view body, std::vector<HubFile>& files);
Result<std::vector<HubModel>> read_hugging_face_search(std::string_view body);
// The URL of the next page in a Link field; empty: this was the last.
std::string next_page(std::string_view link);

// Of /api/v1/models/{repo}/repo/files.
Status read_modelscope_files(std::string_view body, std::vector<HubFile>& files);
Result<std::vector<HubModel>> read_modelscope_search(std::string_view body);

// What a hub says went wrong, for a person: "error" or "Message" of a JSON body; cut, without control characters. Empty: nothing.
std::string message_of(std::string_view body);

}  // namespace gantry::sources
