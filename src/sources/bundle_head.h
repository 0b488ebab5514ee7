#pragma once
// What a bundle says is in it (bundle.json), checked before anything else of it is looked at. Pure. Private to this folder.

#include <string>
#include <string_view>
#include <vector>

#include "sources/model_cache.h"

namespace gantry::sources {

inline constexpr const char* kBundleHead = "bundle.json";
inline constexpr const char* kBundleProgram = "gantry";
inline constexpr const char* kBundleCatalogue = "catalogue.json";
inline constexpr std::string_view kBundleBlobs = "blobs/";

struct BundleFile {
    std::string path{};       // in the archive
    uint64_t bytes = 0;
    std::string sha256{};
    bool is_blob() const { return path.starts_with(kBundleBlobs); }
    std::string digest() const { return path.substr(kBundleBlobs.size()); }   // REQUIRES: is_blob()
};

struct BundleHead {
    std::string gantry{};     // the program's version
    std::vector<Manifest> models{};
    std::vector<BundleFile> files{};
    uint64_t bytes() const;
};

std::string text_of(const BundleHead& head);
// kInvalidArgument, reason "bad_archive": a name that is none of a bundle's, a size or digest that is none, a model that has not all of its
// files in it, or files that would not lie beside each other.
Result<BundleHead> parse_bundle_head(std::string_view text);

}  // namespace gantry::sources
