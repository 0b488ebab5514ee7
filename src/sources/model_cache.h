#pragma once
// What of the hubs' models is on this disk, kept by content:
//
//   blobs/<digest>                     each file once, whatever models it belongs to; what is here is whole and was checked
//   models/<id>/<name>                 a model's files under their names: links "../../blobs/<digest>", as Hugging Face's own cache has them
//   manifests/<id>.json                which source that is; written last: a model without it is not there
//   partial/<digest>, ….journal        downloads that go on
//
// <id> is the digest of the source as people write it. A folder that was copied from another machine, by hand, is used as it is.
// Threads: any; of two that change the same model the caller sees to the order.

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "sources/choose.h"

namespace gantry::sources {

struct Manifest {
    std::string source{};
    std::string commit{};                  // at the hub, when it was fetched; empty: unknown
    std::string serve{};                   // Chosen::serve
    std::vector<ChosenFile> files{};
    WallTime fetched_at{};
    uint64_t bytes() const;
};

class ModelCache {
public:
    explicit ModelCache(std::string root) : root_(std::move(root)) {}
    Status make_folders() const;

    static std::string id_of(const std::string& source);
    std::string blob_path(const Digest& digest) const { return root_ + "/blobs/" + digest.hex; }
    std::string partial_path(const Digest& digest) const { return root_ + "/partial/" + digest.hex; }
    bool has(const HubFile& file) const;                       // whole, of that size
    // What an engine is given: the file to serve, or the folder.
    std::string path_of(const Manifest& manifest) const;

    // nullopt: it is not here, or not all of it.
    std::optional<Manifest> find(const std::string& source) const;
    // As text, for the disk and for another machine.
    static std::string text_of(const Manifest& manifest);
    // kInternal: it is none, or of another source.
    static Result<Manifest> parse(const std::string& text, const std::string& id);
    std::vector<Manifest> list() const;                        // by source; incomplete ones left out
    // A finished download becomes a blob; on disk when it returns.
    Status keep(const HubFile& file) const { return keep(file, partial_path(file.digest)); }
    Status keep(const HubFile& file, const std::string& from) const;   // or what lies elsewhere on this disk
    Status put(const Manifest& manifest) const;                // its blobs are there
    // The model, and of its blobs those that no other model has. Bytes freed. kNotFound.
    Result<uint64_t> remove(const std::string& id) const;
    // Reads all of it again. A file that is not what it was is deleted, so that it is fetched anew; kInvalidArgument names it.
    Status verify(const std::string& id) const;
    // Used now: of those that nobody uses the ones that were used longest ago go first.
    void touch(const std::string& source) const;
    std::vector<Manifest> by_age() const;                      // list(), the one that was used longest ago first
    // Of all files that are here or on their way but those of `files`; and what of these is not here yet.
    uint64_t bytes_besides(const std::vector<ChosenFile>& files) const;
    uint64_t missing_bytes(const std::vector<ChosenFile>& files) const;
    // kStorageFull where `files` do not fit, what is there and what partial downloads hold already counted.
    Status check_room(const std::vector<ChosenFile>& files) const;

private:
    Result<Manifest> read(const std::string& id) const;
    const std::string root_;
};

}  // namespace gantry::sources
