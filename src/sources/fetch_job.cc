#include "sources/fetch_job.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "base/log.h"
#include "models/whisper_reader.h"

namespace gantry::sources {
namespace {

constexpr std::chrono::milliseconds kTellEvery{250};
constexpr std::chrono::seconds kLately{5};
constexpr unsigned kNearTries = 3;   // of a file, before the hub is asked

std::string human(uint64_t bytes) {
    const auto value = static_cast<double>(bytes);
    if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", value / 1e9);
    return bytes >= 1'000'000 ? fmt::format("{:.1f} MB", value / 1e6) : fmt::format("{:.0f} kB", value / 1e3);
}

std::string human_seconds(uint64_t seconds) {
    if (seconds < 120) return fmt::format("{} s", seconds);
    return seconds < 7200 ? fmt::format("{} min", seconds / 60) : fmt::format("{} h", seconds / 3600);
}

}  // namespace

std::string describe(const Progress& p) {
    switch (p.state) {
        case Progress::State::kReady: return "ready";
        case Progress::State::kFailed: return p.error ? p.error->message : "failed";
        case Progress::State::kWaiting: return "waits for its download";
        case Progress::State::kPaused: return p.bytes == 0 ? "paused" : fmt::format("paused at {} of {}", human(p.bytes_done), human(p.bytes));
        case Progress::State::kDownloading: break;
    }
    if (p.bytes == 0) return "asks the hub for its files";
    std::string text = fmt::format("downloading {} of {}", human(p.bytes_done), human(p.bytes));
    if (p.bytes_per_second > 0) {
        text += fmt::format(", {}/s, {} left", human(p.bytes_per_second),
                            human_seconds((p.bytes - std::min(p.bytes, p.bytes_done)) / p.bytes_per_second));
    }
    return text;
}

BusyFiles::Hold::~Hold() {
    {
        const std::lock_guard lock(files_.mutex_);
        files_.busy_.erase(digest_);
    }
    files_.freed_.notify_all();
}

std::unique_ptr<BusyFiles::Hold> BusyFiles::hold(const std::string& digest, const std::atomic<bool>& cancelled) {
    std::unique_lock lock(mutex_);
    while (busy_.contains(digest)) {
        if (cancelled) return nullptr;
        freed_.wait_for(lock, kTellEvery);   // nobody notifies of a cancel
    }
    busy_.insert(digest);
    return std::make_unique<Hold>(*this, digest);
}

Result<Located> locate(const Fetcher& fetcher, const Hub& hub, const Source& source, const Url& url) {
    Fetcher::Wanted wanted;
    wanted.url = url;
    wanted.token = hub.token();
    wanted.range = "0-0";
    wanted.head_only = true;
    const auto answer = fetcher.get(wanted);
    if (!answer) return answer.error();
    if (answer->head.status != 200 && answer->head.status != 206) return hub.explain(source, *answer);
    return Located{.url = answer->url, .token = answer->url.same_origin(url) ? hub.token() : std::string(), .nearest = answer->nearness};
}

FetchJob::FetchJob(Source source, Parts parts)
    : source_(std::move(source)), fetcher_(parts.fetcher), near_(parts.near), cache_(parts.cache), busy_(parts.busy), clock_(parts.clock),
      room_(std::move(parts.room)), hub_(make_hub(source_.kind, fetcher_)) {}

Progress FetchJob::progress() const {
    const std::lock_guard lock(mutex_);
    return seen_.progress;
}

bool FetchJob::ended() const {
    const Progress::State state = progress().state;
    return state == Progress::State::kReady || state == Progress::State::kFailed;
}

uint64_t FetchJob::listen(std::function<void()> changed) {
    const std::lock_guard lock(mutex_);
    seen_.listeners.emplace(seen_.next_listener, std::move(changed));
    return seen_.next_listener++;
}

void FetchJob::unlisten(uint64_t id) {
    const std::lock_guard lock(mutex_);
    seen_.listeners.erase(id);
}

size_t FetchJob::listeners() const {
    const std::lock_guard lock(mutex_);
    return seen_.listeners.size();
}

void FetchJob::tell(const std::function<void(Progress&)>& change) {
    const std::lock_guard lock(mutex_);
    change(seen_.progress);
    for (const auto& [id, changed] : seen_.listeners) {
        if (changed) changed();
    }
}

bool FetchJob::pause() {
    bool now = false;
    tell([&](Progress& p) {
        now = p.state == Progress::State::kWaiting || p.state == Progress::State::kDownloading;
        if (!now) return;
        paused_ = true;
        state_.cancelled = true;
        p.state = Progress::State::kPaused;
        p.bytes_per_second = 0;
    });
    return now;
}

bool FetchJob::resume() {
    bool again = false;
    tell([&](Progress& p) {
        if (p.state != Progress::State::kPaused || seen_.running) return;
        again = true;
        paused_ = false;
        state_.cancelled = false;
        p.state = Progress::State::kWaiting;
    });
    return again;
}

void FetchJob::run() {
    bool paused = false;
    tell([&](Progress& p) {
        paused = p.state == Progress::State::kPaused;
        seen_.running = !paused;
        if (!paused) p.state = Progress::State::kDownloading;
    });
    if (paused) return;   // before its turn came
    before_ = 0;
    state_.bytes_done = 0;
    lately_.clear();
    const Result<Manifest> manifest = fetch();
    if (manifest) {
        log::info("{}: its files are here ({})", source_.text(), human(manifest->bytes()));
    } else if (manifest.error().code != ErrorCode::kCancelled) {
        log::warn("{}: {}", source_.text(), manifest.error().message);
    }
    tell([&](Progress& p) {
        seen_.running = false;
        if (!manifest && paused_ && manifest.error().code == ErrorCode::kCancelled) return;   // pause() has said so
        paused_ = false;
        p.state = manifest ? Progress::State::kReady : Progress::State::kFailed;
        p.bytes_per_second = 0;
        if (manifest) {
            p.path = cache_.path_of(*manifest);
            p.bytes_done = p.bytes = manifest->bytes();
        } else {
            p.error = manifest.error();
        }
    });
}

// What is to be fetched: what the server holds of it, or what the hub lists.
Result<Manifest> FetchJob::plan() {
    if (auto manifest = near_.manifest(source_)) return *std::move(manifest);
    auto listing = hub_->list(source_);
    if (!listing) return listing.error();
    auto chosen = choose_files(*listing, source_);
    if (!chosen) return chosen.error();
    listing_ = *std::move(listing);
    return Manifest{source_.text(), listing_->commit, chosen->serve, std::move(chosen->files), {}};
}

Result<Manifest> FetchJob::fetch() {
    if (auto here = cache_.find(source_.text())) {
        cache_.touch(source_.text());
        return *std::move(here);
    }
    auto manifest = plan();
    if (!manifest) return manifest.error();
    GANTRY_TRY(room_(manifest->files));
    tell([&](Progress& p) { p.bytes = manifest->bytes(); });
    for (const ChosenFile& file : manifest->files) {
        GANTRY_TRY(fetch_file(*manifest, file));
        before_ += file.file.bytes;
        state_.bytes_done = 0;
    }
    manifest->fetched_at = clock_.wall();
    GANTRY_TRY(cache_.put(*manifest));
    return manifest;
}

Result<Located> FetchJob::locate_file(const Manifest& plan, const ChosenFile& file) {
    if (near_.any() && near_tries_ < kNearTries) {
        ++near_tries_;
        if (auto near = near_.blob(source_, file.file.digest)) {
            from_near_ = true;
            return *std::move(near);
        }
        near_tries_ = kNearTries;
    }
    if (!listing_) {
        Source same = source_;
        if (!plan.commit.empty()) same.revision = plan.commit;   // the state that the server has
        auto listing = hub_->list(same);
        if (!listing) return listing.error();
        listing_ = *std::move(listing);
    }
    return locate(fetcher_, *hub_, source_, hub_->file_url(source_, *listing_, file.file.path));
}

// What a name promises is looked at before gigabytes of something else are fetched.
Status FetchJob::check_beginning(const Manifest& plan, const ChosenFile& file) {
    constexpr uint64_t kBytes = 64;
    auto located = locate_file(plan, file);
    if (!located) return located.error();
    Fetcher::Wanted wanted;
    wanted.url = located->url;
    wanted.token = located->token;
    wanted.unix_socket = located->unix_socket;
    wanted.nearest = located->nearest;
    wanted.range = fmt::format("0-{}", kBytes - 1);
    wanted.body_max = kBytes;
    const auto answer = fetcher_.get(wanted);
    if (!answer || answer->head.status != 206) return Ok{};   // whoever downloads says what is wrong; what came is looked at again
    const std::string& body = answer->body;
    return models::check_whisper(file.local, {body.size(), [&body](uint64_t offset, char* out, size_t length) {
                                     return offset <= body.size() && body.copy(out, length, offset) == length;
                                 }});
}

Status FetchJob::fetch_file(const Manifest& plan, const ChosenFile& file) {
    const auto held = busy_.hold(file.file.digest.hex, state_.cancelled);
    if (held == nullptr || state_.cancelled) return Error{ErrorCode::kCancelled, "the download was cancelled", {}, {}};
    if (cache_.has(file.file)) return Ok{};
    near_tries_ = 0;
    from_near_ = false;
    const bool whisper = models::is_whisper_name(file.local);
    if (whisper) GANTRY_TRY(check_beginning(plan, file));
    DownloadTask task;
    task.file = file.file;
    task.path = cache_.partial_path(file.file.digest);
    task.locate = [&] { return locate_file(plan, file); };
    task.progressed = [this] { ticked(); };
    Status done = download(fetcher_.settings(), task, state_);
    if (!done && done.error().reason == "digest_mismatch" && from_near_) {
        log::warn("{}: {}; it came from another machine, so the hub is asked", file.local, done.error().message);
        near_tries_ = kNearTries;
        done = download(fetcher_.settings(), task, state_);
    }
    if (!done) {
        Error error = std::move(done).error();
        if (error.code != ErrorCode::kCancelled) error.message = file.local + ": " + error.message;
        return error;
    }
    if (whisper) {   // who sends may have sent another beginning then
        const auto fetched = models::open_model_file(task.path);
        const Status good = fetched ? models::check_whisper(file.local, *fetched) : Status(fetched.error());
        if (!good) {
            std::error_code ignored;
            std::filesystem::remove(task.path, ignored);
            return good;
        }
    }
    return cache_.keep(file.file);
}

void FetchJob::ticked() {
    const SteadyTime now = clock_.steady();
    if (now - told_at_ < kTellEvery) return;
    told_at_ = now;
    const uint64_t done = before_ + state_.bytes_done;
    // What lay there of an earlier run is no rate; nor is what was thrown away.
    if (lately_.empty() || done < lately_.back().second) lately_.clear();
    lately_.emplace_back(now, done);
    while (lately_.size() > 2 && now - lately_.front().first > kLately) lately_.pop_front();
    const auto span = std::chrono::duration_cast<std::chrono::milliseconds>(now - lately_.front().first).count();
    const uint64_t rate = span <= 0 ? 0 : (done - lately_.front().second) * 1000 / static_cast<uint64_t>(span);
    tell([&](Progress& p) {
        p.bytes_done = done;
        p.bytes_per_second = p.state == Progress::State::kPaused ? 0 : rate;
    });
}

}  // namespace gantry::sources
