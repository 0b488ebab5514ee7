#pragma once
// Where files may be had before a hub is asked: of the server and, through it, of the workers that have them. Behind a Unix socket of this
// process a worker's link answers (worker/remote/near_http.h):
//
//   GET /manifest?source=S          what the server itself holds of S, as its manifest: then no hub is needed, and both machines hold the same state
//   GET /blobs/<digest>?source=S    the file, or a range of it, of whoever has it; 404: nobody
//
// What comes is checked by its digest like what a hub sends; the digests are the server's word or the hub's. Blocking. Threads: any.

#include <optional>
#include <string>

#include "sources/download.h"
#include "sources/fetcher.h"
#include "sources/model_cache.h"

namespace gantry::sources {

class Near {
public:
    Near(const Fetcher& fetcher, std::string socket) : fetcher_(fetcher), socket_(std::move(socket)) {}
    bool any() const { return !socket_.empty(); }
    std::optional<Manifest> manifest(const Source& source) const;
    std::optional<Located> blob(const Source& source, const Digest& digest) const;

private:
    const Fetcher& fetcher_;
    const std::string socket_;
};

}  // namespace gantry::sources
