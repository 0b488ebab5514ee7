// What a bundle says is in it: what is taken can be written and read back as the same, and stays in its place.
#include <cstdlib>

#include "sources/bundle_head.h"

using namespace gantry;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto head = sources::parse_bundle_head({reinterpret_cast<const char*>(data), size});
    if (!head) return 0;
    for (const sources::Manifest& model : head->models) {
        for (const sources::ChosenFile& file : model.files) {
            if (!safe_relative_path(file.local)) std::abort();
        }
    }
    for (const sources::BundleFile& file : head->files) {
        if (file.path.find("..") != std::string::npos || file.path.starts_with('/')) std::abort();
    }
    const auto again = sources::parse_bundle_head(text_of(*head));
    if (!again || again->bytes() != head->bytes() || again->models.size() != head->models.size()) std::abort();
    return 0;
}
