#pragma once
// Models, the catalogue and the program in one file, for a site without a network: a tar archive (tar.h) of
//
//   bundle.json          what is in it: {"version": 1, "models": [manifest, ...], "files": [{"path", "bytes", "sha256"}, ...]}
//   gantry               the program
//   catalogue.json       models of one's own, if there are any
//   blobs/<digest>       each model file once
//
// in that order, so that `tar -xf FILE gantry` gives the program with which the rest is loaded. What is loaded is whole or not there:
// everything is written aside and its digests checked before anything gets its name. What bundle.json does not list, or lists otherwise than
// the archive has it, is refused, and nothing in an archive names a place on this machine. Blocking. Threads: any; one load of a folder at once.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::sources {

// Bytes of all files so far, of how many. Called from the thread that asked, a few times a second at most.
using BundleProgress = std::function<void(uint64_t done, uint64_t all)>;

struct BundleContents {
    std::vector<std::string> models{};   // their sources
    uint64_t bytes = 0;                  // of all files
    std::string version{};               // of the program in it
    bool catalogue = false;
};

struct BundleSave {
    std::string file{};                        // written; kConflict: it is there
    std::string data_dir{};
    std::vector<std::string> sources{};        // empty: all that are here whole
    std::string program{};                     // the path of the program
};
// kNotFound: a source is not here, or nothing is; kStorageFull: there is no room; kInvalidArgument, reason "digest_mismatch": a file here is
// damaged. Then no file is left.
Result<BundleContents> save_bundle(const BundleSave& what, const BundleProgress& progress);

struct BundleLoad {
    std::string file{};
    std::string data_dir{};                    // made if need be
    std::string program{};                     // where to put the program; empty: nowhere
    bool replace_catalogue = false;            // by the bundle's, where another is here
};
// kInvalidArgument: it is no bundle, damaged, or hostile; kStorageFull; kConflict: another load goes on, or another catalogue is here. Then
// nothing has changed. What is here already is left alone.
Result<BundleContents> load_bundle(const BundleLoad& what, const BundleProgress& progress);

}  // namespace gantry::sources
