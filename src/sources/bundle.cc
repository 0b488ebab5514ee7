#include "sources/bundle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>

#include "base/digest.h"
#include "base/platform/file_lock.h"
#include "base/platform/files.h"
#include "sources/bundle_head.h"
#include "sources/catalogue.h"
#include "sources/front_digest.h"
#include "sources/tar.h"

namespace gantry::sources {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 1u << 20;
constexpr uint64_t kHeadBytesMax = 64ull << 20;
constexpr uint64_t kProgramBytesMax = 2ull << 30;
constexpr uint64_t kCatalogueBytesMax = 4ull << 20;
constexpr uint64_t kTold = 16ull << 20;             // between two reports
constexpr uint64_t kRoomKept = 256ull << 20;        // as for downloads
constexpr uint64_t kOfEachFile = 2048;              // its head in the archive, and what fills its last block up

class Sha256 {
public:
    Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
        good_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
    }
    void add(std::string_view bytes) { good_ = good_ && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1; }
    std::string hex() {   // empty: it cannot be computed
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        return good_ && EVP_DigestFinal_ex(context_.get(), digest, &size) == 1 ? to_hex(digest, size) : std::string();
    }

private:
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
    bool good_ = false;
};

// Tells how far it is, now and then.
class Told {
public:
    Told(const BundleProgress& progress, uint64_t all) : progress_(progress), all_(all) {}
    void add(uint64_t bytes) {
        done_ += bytes;
        if (progress_ && (done_ - told_ >= kTold || done_ == all_)) progress_(told_ = done_, all_);
    }

private:
    const BundleProgress& progress_;
    const uint64_t all_;
    uint64_t done_ = 0, told_ = 0;
};

Result<uint64_t> size_of(int descriptor, const std::string& name) {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) return invalid_argument(name + " is no plain file");
    return static_cast<uint64_t>(status.st_size);
}

// Calls `each` with piece after piece.
template <class Each>
Status read_all(int descriptor, const std::string& name, Each each) {
    std::vector<char> buffer(kPieceBytes);
    while (true) {
        const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_from_errno(name + " cannot be read", errno);
        if (got == 0) return Ok{};
        GANTRY_TRY(each(std::string_view(buffer.data(), static_cast<size_t>(got))));
    }
}

Status write_all(int descriptor, const std::string& name, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t wrote = ::write(descriptor, bytes.data(), bytes.size());
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return error_from_errno(name + " cannot be written", wrote < 0 ? errno : ENOSPC);
        bytes.remove_prefix(static_cast<size_t>(wrote));
    }
    return Ok{};
}

Status check_room(const std::string& folder, uint64_t needed, uint64_t kept, const char* what) {
    struct statvfs room {};
    if (::statvfs(folder.c_str(), &room) != 0) return error_from_errno("the free space of " + folder + " is unknown", errno);
    const uint64_t there = room.f_bavail * room.f_frsize;
    if (needed == 0 || needed + kept <= there) return Ok{};
    return Error{ErrorCode::kStorageFull,
                 fmt::format("{} {:.1f} GB, and {} has {:.1f} GB free{}", what, static_cast<double>(needed) / 1e9, folder,
                             static_cast<double>(there) / 1e9, kept > 0 ? ", of which 0.3 GB stay so" : ""),
                 {}, "no_room"};
}

std::string folder_of(const std::string& path) {
    const std::string folder = fs::path(path).parent_path().string();
    return folder.empty() ? "." : folder;
}

BundleContents contents_of(const BundleHead& head) {
    BundleContents out;
    for (const Manifest& manifest : head.models) out.models.push_back(manifest.source);
    out.bytes = head.bytes();
    out.version = head.gantry;
    out.catalogue = std::any_of(head.files.begin(), head.files.end(), [](const BundleFile& file) { return file.path == kBundleCatalogue; });
    return out;
}

// --- saving ---------------------------------------------------------------------------------------------------------------

class Saving {
public:
    Saving(const BundleSave& what, const BundleProgress& progress)
        : what_(what), progress_(progress), cache_(what.data_dir + "/models"), partial_(what.file + ".partial") {}

    Result<BundleContents> run() {
        std::error_code ignored;
        if (fs::exists(what_.file, ignored)) return conflict(what_.file + " is there already; give another name, or delete it");
        GANTRY_TRY(choose());
        uint64_t needed = text_of(head_).size();
        for (const BundleFile& file : head_.files) needed += file.bytes + kOfEachFile;
        GANTRY_TRY(check_room(folder_of(what_.file), needed, 0, "the bundle takes"));
        const Status written = write();
        if (!written) ::unlink(partial_.c_str());
        if (!written) return written.error();
        return contents_of(head_);
    }

private:
    Status choose() {
        if (what_.sources.empty()) head_.models = cache_.list();
        for (const std::string& source : what_.sources) {
            auto manifest = cache_.find(source);
            if (!manifest) return not_found(fmt::format("{} is not here, or not whole: `gantry pull {}` fetches it", source, source));
            head_.models.push_back(*std::move(manifest));
        }
        if (head_.models.empty()) return not_found(fmt::format("no hub's models are in {}/models: `gantry pull` fetches some", what_.data_dir));
        GANTRY_TRY(add(kBundleProgram, what_.program, {}));
        std::error_code ignored;
        const std::string catalogue = what_.data_dir + "/" + kBundleCatalogue;
        if (fs::exists(catalogue, ignored)) GANTRY_TRY(add(kBundleCatalogue, catalogue, {}));
        std::set<std::string> digests;
        for (const Manifest& manifest : head_.models) {
            for (const ChosenFile& file : manifest.files) {
                const Digest& digest = file.file.digest;
                if (!digests.insert(digest.hex).second) continue;
                GANTRY_TRY(add(std::string(kBundleBlobs) + digest.hex, cache_.blob_path(digest),
                               digest.kind == Digest::Kind::kSha256 ? digest.hex : std::string()));
            }
        }
        return Ok{};
    }

    // `sha256` empty: it is computed now.
    Status add(const std::string& name, const std::string& path, std::string sha256) {
        const platform::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file.valid()) return error_from_errno(path + " cannot be opened", errno);
        const auto bytes = size_of(file.get(), path);
        if (!bytes) return bytes.error();
        if (sha256.empty()) {
            Sha256 digest;
            GANTRY_TRY(read_all(file.get(), path, [&](std::string_view piece) -> Status { return digest.add(piece), Ok{}; }));
            sha256 = digest.hex();
        }
        head_.files.push_back({name, *bytes, std::move(sha256)});
        paths_.push_back(path);
        return Ok{};
    }

    Status write() {
        const platform::UniqueFd out(::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
        if (!out.valid()) return error_from_errno(partial_ + " cannot be written", errno);
        auto tar = TarWriter::open(out.get());
        if (!tar) return tar.error();
        const std::string head = text_of(head_);
        GANTRY_TRY(tar->begin(kBundleHead, head.size(), false));
        GANTRY_TRY(tar->write(head));
        Told told(progress_, head_.bytes());
        for (size_t i = 0; i < paths_.size(); ++i) GANTRY_TRY(copy(head_.files[i], paths_[i], *tar, told));
        GANTRY_TRY(tar->finish());
        if (::fsync(out.get()) != 0) return error_from_errno(partial_ + " cannot be written", errno);
        if (::rename(partial_.c_str(), what_.file.c_str()) != 0) return error_from_errno(what_.file + " cannot be written", errno);
        return Ok{};
    }

    Status copy(const BundleFile& listed, const std::string& path, TarWriter& tar, Told& told) {
        const platform::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file.valid()) return error_from_errno(path + " cannot be opened", errno);
        GANTRY_TRY(tar.begin(listed.path, listed.bytes, listed.path == kBundleProgram));
        Sha256 digest;
        uint64_t left = listed.bytes;
        const Error changed = invalid_argument(fmt::format("{} is not what its digest says, or changes while it is read; `gantry verify` names "
                                                           "the model that is damaged", path), {}, "digest_mismatch");
        GANTRY_TRY(read_all(file.get(), path, [&](std::string_view piece) -> Status {
            if (piece.size() > left) return changed;
            left -= piece.size();
            digest.add(piece);
            told.add(piece.size());
            return tar.write(piece);
        }));
        return left == 0 && digest.hex() == listed.sha256 ? Status(Ok{}) : Status(changed);
    }

    const BundleSave& what_;
    const BundleProgress& progress_;
    const ModelCache cache_;
    const std::string partial_;
    BundleHead head_;
    std::vector<std::string> paths_;   // of head_.files, on this machine
};

// --- loading --------------------------------------------------------------------------------------------------------------

Error bad(const std::string& what) { return invalid_argument("the bundle is damaged, or is none: " + what, {}, "bad_archive"); }

class Loading {
public:
    Loading(const BundleLoad& what, const BundleProgress& progress)
        : what_(what), progress_(progress), root_(what.data_dir + "/models"), aside_(root_ + "/partial/bundle"), cache_(root_) {}

    Result<BundleContents> run() {
        const platform::UniqueFd file(::open(what_.file.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file.valid()) return error_from_errno(what_.file + " cannot be opened", errno);
        const auto size = size_of(file.get(), what_.file);
        if (!size) return size.error();
        auto tar = TarReader::open(file.get());
        if (!tar) return tar.error();
        GANTRY_TRY(read_head(*tar, *size));
        GANTRY_TRY(prepare_folder());
        const auto lock = platform::FileLock::try_lock(root_ + "/bundle.lock");
        if (!lock) return conflict("another bundle is being loaded into " + what_.data_dir);
        GANTRY_TRY(check_room(root_, missing_bytes(), kRoomKept, "what is in the bundle and not here takes"));
        Status done = put_aside(*tar);
        if (done) done = take();
        (void)platform::remove_tree(aside_);
        if (!done) return done.error();
        return contents_of(head_);
    }

private:
    Status read_head(TarReader& tar, uint64_t size) {
        const auto first = tar.next();
        if (!first) return first.error();
        if (!*first || (*first)->name != kBundleHead) return bad("it does not begin with " + std::string(kBundleHead));
        if ((*first)->bytes > std::min(size, kHeadBytesMax)) return bad("what it says is in it is too long");
        std::string text((*first)->bytes, '\0');
        for (size_t at = 0; at < text.size();) {
            const auto got = tar.read(text.data() + at, text.size() - at);
            if (!got) return got.error();
            if (*got == 0) return bad("it ends too early");
            at += *got;
        }
        auto head = parse_bundle_head(text);
        if (!head) return head.error();
        head_ = *std::move(head);
        return head_.bytes() <= size ? Status(Ok{}) : Status(bad("it is shorter than what it says is in it"));
    }

    Status prepare_folder() const {
        GANTRY_TRY(platform::make_folders(what_.data_dir, 0700));
        struct stat status {};
        if (::stat(what_.data_dir.c_str(), &status) != 0) return error_from_errno(what_.data_dir + " cannot be looked at", errno);
        if (status.st_uid != ::geteuid()) {
            return Error{ErrorCode::kPermissionDenied,
                         what_.data_dir + " is another user's, whose server could not read what is loaded: run this as that user", {}, {}};
        }
        if (!what_.program.empty() && ::access(folder_of(what_.program).c_str(), W_OK) != 0) {
            return error_from_errno(folder_of(what_.program) + " cannot be written", errno);
        }
        return cache_.make_folders();
    }

    bool wanted(const BundleFile& file) const {
        if (file.path == kBundleProgram) return !what_.program.empty();
        return !file.is_blob() || !cache_.has({{}, file.bytes, digest_of(file)});
    }
    static Digest digest_of(const BundleFile& file) {
        return {file.digest().size() == 40 ? Digest::Kind::kGit : Digest::Kind::kSha256, file.digest()};
    }
    uint64_t missing_bytes() const {
        uint64_t bytes = 0;
        for (const BundleFile& file : head_.files) bytes += wanted(file) ? file.bytes : 0;
        return bytes;
    }
    std::string aside(size_t i) const { return aside_ + "/" + std::to_string(i); }

    // All of it, checked, under names that nobody looks for.
    Status put_aside(TarReader& tar) {
        GANTRY_TRY(platform::remove_tree(aside_));   // what a kill left
        GANTRY_TRY(platform::make_folders(aside_, 0700));
        Told told(progress_, head_.bytes());
        for (size_t i = 0; i < head_.files.size(); ++i) {
            const BundleFile& listed = head_.files[i];
            const auto file = tar.next();
            if (!file) return file.error();
            if (!*file || (*file)->name != listed.path || (*file)->bytes != listed.bytes) {
                return bad(fmt::format("{} does not come next, or is of another size than it says", listed.path));
            }
            if (wanted(listed)) GANTRY_TRY(copy(tar, listed, aside(i), told));
            else told.add(listed.bytes);
        }
        const auto behind = tar.next();
        if (!behind) return behind.error();
        if (*behind) return bad("there is more in it than it says");
        return check_catalogue();
    }

    Status copy(TarReader& tar, const BundleFile& listed, const std::string& path, Told& told) const {
        const platform::UniqueFd out(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!out.valid()) return error_from_errno(path + " cannot be written", errno);
        Sha256 digest;
        std::vector<char> buffer(kPieceBytes);
        uint64_t left = listed.bytes;
        while (true) {
            const auto got = tar.read(buffer.data(), buffer.size());
            if (!got) return got.error();
            if (*got == 0) break;
            if (*got > left) return bad(listed.path + " is longer than it says");
            digest.add({buffer.data(), *got});
            GANTRY_TRY(write_all(out.get(), path, {buffer.data(), *got}));
            left -= *got;
            told.add(*got);
        }
        if (left > 0 || digest.hex() != listed.sha256) return bad(listed.path + " is not what its SHA-256 says");
        if (listed.is_blob() && digest_of(listed).kind == Digest::Kind::kGit) {
            FrontDigest own(out.get(), listed.bytes, Digest::Kind::kGit);
            own.grow(listed.bytes);
            const auto hex = own.finish();
            if (!hex || *hex != listed.digest()) return bad(listed.path + " is not what its name says");
        }
        return ::fsync(out.get()) == 0 ? Status(Ok{}) : Status(error_from_errno(path + " cannot be written", errno));
    }

    Status check_catalogue() {
        for (size_t i = 0; i < head_.files.size(); ++i) {
            if (head_.files[i].path != kBundleCatalogue) continue;
            const auto text = platform::read_file(aside(i), kCatalogueBytesMax);
            if (!text) return text.error();
            if (const auto parsed = parse_catalogue(*text); !parsed) return parsed.error();
            const auto here = platform::read_file(what_.data_dir + "/" + kBundleCatalogue, kCatalogueBytesMax);
            if (here && *here != *text && !what_.replace_catalogue) {
                return conflict(fmt::format("{}/{} is another than the bundle's: move it away, or say --replace-catalogue", what_.data_dir,
                                            kBundleCatalogue));
            }
            catalogue_ = *text;
        }
        return Ok{};
    }

    // Blobs without a model are nobody's yet; each model is there as a whole once its manifest is.
    Status take() {
        for (size_t i = 0; i < head_.files.size(); ++i) {
            const BundleFile& file = head_.files[i];
            if (file.is_blob() && wanted(file)) GANTRY_TRY(cache_.keep({{}, file.bytes, digest_of(file)}, aside(i)));
        }
        for (const Manifest& manifest : head_.models) {
            if (!cache_.find(manifest.source)) GANTRY_TRY(cache_.put(manifest));
        }
        if (!catalogue_.empty()) GANTRY_TRY(platform::write_file_atomic(what_.data_dir + "/" + kBundleCatalogue, catalogue_, 0600));
        for (size_t i = 0; i < head_.files.size(); ++i) {
            if (head_.files[i].path != kBundleProgram || what_.program.empty()) continue;
            const auto program = platform::read_file(aside(i), kProgramBytesMax);
            if (!program) return program.error();
            GANTRY_TRY(platform::write_file_atomic(what_.program, *program, 0755));
        }
        return Ok{};
    }

    const BundleLoad& what_;
    const BundleProgress& progress_;
    const std::string root_, aside_;
    const ModelCache cache_;
    BundleHead head_;
    std::string catalogue_;   // that is put in place
};

}  // namespace

Result<BundleContents> save_bundle(const BundleSave& what, const BundleProgress& progress) { return Saving(what, progress).run(); }

Result<BundleContents> load_bundle(const BundleLoad& what, const BundleProgress& progress) { return Loading(what, progress).run(); }

}  // namespace gantry::sources
