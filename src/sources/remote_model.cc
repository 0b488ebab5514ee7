#include "sources/remote_model.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/platform/files.h"
#include "models/gguf_reader.h"
#include "models/gguf_names.h"
#include "models/model_reader.h"
#include "models/whisper_reader.h"
#include "sources/choose.h"
#include "sources/content_range.h"
#include "sources/fetch_job.h"

namespace gantry::sources {
namespace {

constexpr uint64_t kFirstBlock = 256 * 1024;       // most headers without their vocabulary
constexpr uint64_t kBlockMax = 4ull << 20;
constexpr uint64_t kTextBytesMax = 32ull << 20;    // of config.json or an index

// Reads a file at a hub in blocks that grow, as its reader goes on. The first error is kept, for whoever wants to know why.
class RemoteFile {
public:
    RemoteFile(const Fetcher& fetcher, Located located, uint64_t bytes) : fetcher_(fetcher), located_(std::move(located)), bytes_(bytes) {}

    bool read(uint64_t offset, char* out, size_t length) {
        while (length > 0) {
            if (offset < begin_ || offset >= begin_ + block_.size()) {
                if (!fetch(offset)) return false;
            }
            const uint64_t at = offset - begin_;
            const size_t taken = std::min<uint64_t>(length, block_.size() - at);
            std::memcpy(out, block_.data() + at, taken);
            out += taken;
            offset += taken;
            length -= taken;
        }
        return true;
    }
    const std::optional<Error>& error() const { return error_; }

private:
    bool fetch(uint64_t offset) {
        if (offset >= bytes_) return false;
        const uint64_t end = std::min(offset + block_bytes_, bytes_);
        block_bytes_ = std::min(block_bytes_ * 2, kBlockMax);
        Fetcher::Wanted wanted;
        wanted.url = located_.url;
        wanted.token = located_.token;
        wanted.nearest = located_.nearest;
        wanted.range = fmt::format("{}-{}", offset, end - 1);
        wanted.body_max = end - offset;
        auto answer = fetcher_.get(wanted);
        if (!answer) {
            error_ = answer.error();
            return false;
        }
        const auto covers = parse_content_range(answer->head.field("content-range"));
        if (answer->head.status != 206 || !covers || covers->begin != offset || covers->total != bytes_ || answer->body.size() != end - offset) {
            error_ = unavailable(fmt::format("{} does not answer with the range that was asked for", located_.url.host));
            return false;
        }
        begin_ = offset;
        block_ = std::move(answer->body);
        return true;
    }

    const Fetcher& fetcher_;
    const Located located_;
    const uint64_t bytes_;
    uint64_t begin_ = 0, block_bytes_ = kFirstBlock;
    std::string block_;
    std::optional<Error> error_;
};

class Remote {
public:
    Remote(const Fetcher& fetcher, const Source& source) : fetcher_(fetcher), source_(source), hub_(make_hub(source.kind, fetcher)) {}

    Result<ModelMeta> read() {
        auto listing = hub_->list(source_);
        if (!listing) return listing.error();
        listing_ = *std::move(listing);
        const auto chosen = choose_files(listing_, source_);
        if (!chosen) return chosen.error();
        if (models::is_whisper_name(chosen->serve)) return read_whisper(*chosen);
        return models::is_gguf(chosen->serve) ? read_gguf(*chosen) : read_folder(*chosen);
    }

private:
    Result<Located> locate_file(const ChosenFile& file) { return locate(fetcher_, *hub_, source_,
                                                                        hub_->file_url(source_, listing_, file.file.path)); }

    // A reader of it keeps the first trouble of the network, which is no fault of the file, in `cause`, which outlives it.
    Result<models::ByteSource> open(const ChosenFile& file, std::optional<Error>& cause) {
        auto located = locate_file(file);
        if (!located) return located.error();
        // Shared because a ByteSource is copied with its function.
        const auto remote = std::make_shared<RemoteFile>(fetcher_, *std::move(located), file.file.bytes);
        return models::ByteSource{file.file.bytes, [remote, &cause](uint64_t offset, char* out, size_t length) {
                                      const bool good = remote->read(offset, out, length);
                                      if (!good && !cause) cause = remote->error();
                                      return good;
                                  }};
    }

    Result<ModelMeta> read_whisper(const Chosen& chosen) {
        std::optional<Error> cause;
        const auto source = open(chosen.files.front(), cause);
        if (!source) return source.error();
        const Status good = models::check_whisper(chosen.serve, *source);
        auto meta = good ? models::read_whisper_head(*source) : Result<ModelMeta>(good.error());
        if (!meta && cause) return *cause;
        return meta;
    }

    Result<ModelMeta> read_gguf(const Chosen& chosen) {
        std::optional<Error> cause;
        const auto first = open(chosen.files.front(), cause);
        if (!first) return first.error();
        const size_t parts = chosen.files.size() - (chosen.tower.empty() ? 0 : 1);
        auto meta = models::read_gguf(*first, [&](uint32_t number, uint32_t count) -> Result<models::ByteSource> {
            if (count != parts || number == 0 || number > count) return models::invalid_model("its parts are not those that the repository holds");
            return open(chosen.files[number - 1], cause);
        });
        if (meta && !chosen.tower.empty()) {
            const auto source = open(chosen.files.back(), cause);
            const auto tower = source ? models::read_gguf(*source) : Result<ModelMeta>(source.error());
            if (tower) models::add_tower(*tower, *meta);
            else meta = models::in_file(chosen.tower, tower.error());
        }
        if (!meta && cause) return *cause;
        return meta;
    }

    // The configuration and the index, into a folder of their own, which says as much as the weights would.
    Result<ModelMeta> read_folder(const Chosen& chosen) {
        std::string folder = "/tmp/gantry-look-XXXXXX";
        if (::mkdtemp(folder.data()) == nullptr) return error_from_errno("no folder to look at a model in can be made", errno);
        auto meta = read_texts(chosen, folder);
        (void)platform::remove_tree(folder);
        return meta;
    }

    Result<ModelMeta> read_texts(const Chosen& chosen, const std::string& folder) {
        for (const ChosenFile& file : chosen.files) {
            if (!file.local.ends_with(".json") || file.local.find('/') != std::string::npos || file.local.starts_with("tokenizer") ||
                file.local == "vocab.json") continue;
            Fetcher::Wanted wanted;
            wanted.url = hub_->file_url(source_, listing_, file.file.path);
            wanted.token = hub_->token();
            wanted.body_max = kTextBytesMax;
            const auto answer = fetcher_.get(wanted);
            if (!answer) return answer.error();
            if (answer->head.status != 200) return hub_->explain(source_, *answer);
            GANTRY_TRY(platform::write_file_atomic(folder + "/" + file.local, answer->body));
        }
        return models::read_model(folder);
    }

    const Fetcher& fetcher_;
    const Source& source_;
    const std::unique_ptr<Hub> hub_;
    Listing listing_;
};

}  // namespace

Result<ModelMeta> read_remote_model(const Fetcher& fetcher, const Source& source) { return Remote(fetcher, source).read(); }

}  // namespace gantry::sources
