#include "sources/bundle_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "base/json_fields.h"
#include "base/version.h"
#include "models/model_file.h"

namespace gantry::sources {

template <Is<BundleFile> T, class Visit>
static void fields(T& f, Visit&& visit) {
    visit("path", f.path);
    visit("bytes", f.bytes);
    visit("sha256", f.sha256);
}

namespace {

constexpr uint64_t kBytesMax = 1ull << 50;   // of all
constexpr size_t kFilesMax = 100'000, kModelsMax = 10'000;
constexpr uint64_t kCatalogueBytesMax = 4ull << 20;

struct Stored {
    int64_t version = 0;
    std::string gantry, commit;
    std::vector<std::string> models;   // manifests, as the folder of models has them
    std::vector<BundleFile> files;
};
template <Is<Stored> T, class Visit>
void fields(T& s, Visit&& visit) {
    visit("version", s.version);
    visit("gantry", s.gantry);
    visit("commit", s.commit);
    visit("models", s.models);
    visit("files", s.files);
}

Error bad(const std::string& what) { return invalid_argument("the bundle is damaged, or is none: " + what, {}, "bad_archive"); }

Status check_file(const BundleFile& file) {
    const std::string shown = models::shown(file.path);
    if (!valid({Digest::Kind::kSha256, file.sha256})) return bad(fmt::format("\"{}\" has no SHA-256", shown));
    if (file.bytes > kFileBytesMax) return bad(fmt::format("\"{}\" is larger than any file of a hub", shown));
    if (file.path == kBundleProgram) return Ok{};
    if (file.path == kBundleCatalogue) return file.bytes <= kCatalogueBytesMax ? Status(Ok{}) : Status(bad("its catalogue is larger than 4 MiB"));
    const std::string digest = file.is_blob() ? file.digest() : std::string();
    const bool sha256 = digest == file.sha256;
    const bool git = digest.size() == 40 && valid({Digest::Kind::kGit, digest});
    return sha256 || git ? Status(Ok{}) : Status(bad(fmt::format("\"{}\" is no file of a bundle", shown)));
}

// None is a folder of another, and none there twice: as links beside each other.
bool lie_beside_each_other(const std::vector<ChosenFile>& files) {
    std::set<std::string> names;
    for (const ChosenFile& file : files) {
        if (!names.insert(file.local).second) return false;
    }
    return std::none_of(names.begin(), names.end(), [&](const std::string& name) {
        for (size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
            if (names.contains(name.substr(0, slash))) return true;
        }
        return false;
    });
}

Result<Manifest> read_model(const std::string& text, const std::map<std::string, uint64_t>& blobs) {
    const auto value = parse_json(text);
    const json::value* const source = value && value->is_object() ? value->get_object().if_contains("source") : nullptr;
    if (source == nullptr || !source->is_string()) return bad("a model in it has no source");
    const std::string name(source->get_string());
    const auto parsed = parse_source(name);
    if (!parsed || !parsed->from_hub()) return bad(fmt::format("\"{}\" is no source of a hub", models::shown(name)));
    auto manifest = ModelCache::parse(text, ModelCache::id_of(name));
    if (!manifest) return bad(fmt::format("what it says of {} cannot be read", models::shown(name)));
    const bool there = std::all_of(manifest->files.begin(), manifest->files.end(), [&](const ChosenFile& file) {
        const auto blob = blobs.find(file.file.digest.hex);
        return blob != blobs.end() && blob->second == file.file.bytes;
    });
    if (!there || manifest->files.empty()) return bad(fmt::format("not all files of {} are in it", name));
    if (!lie_beside_each_other(manifest->files)) return bad(fmt::format("two files of {} have one name", name));
    const bool served = manifest->serve.empty() || std::any_of(manifest->files.begin(), manifest->files.end(),
                                                               [&](const ChosenFile& file) { return file.local == manifest->serve; });
    if (!served) return bad(fmt::format("what is to be served of {} is not in it", name));
    return manifest;
}

}  // namespace

uint64_t BundleHead::bytes() const {
    return std::accumulate(files.begin(), files.end(), uint64_t{0}, [](uint64_t sum, const BundleFile& file) { return sum + file.bytes; });
}

std::string text_of(const BundleHead& head) {
    Stored stored{1, kVersion, commit(), {}, head.files};
    for (const Manifest& manifest : head.models) stored.models.push_back(ModelCache::text_of(manifest));
    return json::serialize(to_json_value(stored));
}

Result<BundleHead> parse_bundle_head(std::string_view text) {
    const auto value = parse_json(text);
    Stored stored;
    if (!value || !from_json_value(*value, stored)) return bad("what it says is in it cannot be read");
    if (stored.version != 1) {
        return bad(fmt::format("its form is {}, and this version reads 1; unpack the program that is in it (tar -xf FILE gantry), and load it "
                               "with that", stored.version));
    }
    if (stored.files.size() > kFilesMax || stored.models.size() > kModelsMax) return bad("it says that there is more in it than any holds");
    BundleHead head{models::shown(stored.gantry, 64), {}, std::move(stored.files)};
    std::set<std::string> paths;
    std::map<std::string, uint64_t> blobs;
    uint64_t bytes = 0;
    for (const BundleFile& file : head.files) {
        GANTRY_TRY(check_file(file));
        bytes += file.bytes;   // each is far below 2^64, and so is the sum before it
        if (bytes > kBytesMax) return bad("it is larger than a pebibyte");
        if (!paths.insert(file.path).second) return bad(fmt::format("\"{}\" is in it twice", file.path));
        if (file.is_blob()) blobs[file.digest()] = file.bytes;
    }
    std::set<std::string> sources;
    for (const std::string& model : stored.models) {
        auto manifest = read_model(model, blobs);
        if (!manifest) return manifest.error();
        if (!sources.insert(manifest->source).second) return bad(fmt::format("{} is in it twice", manifest->source));
        head.models.push_back(*std::move(manifest));
    }
    return head;
}

}  // namespace gantry::sources
