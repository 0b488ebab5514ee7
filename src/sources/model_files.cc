#include "sources/model_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "models/model_reader.h"
#include "sources/fetch_job.h"
#include "sources/hub_gate.h"
#include "sources/remote_model.h"

namespace gantry::sources {
namespace {

constexpr std::chrono::seconds kOffersKept{60};
constexpr size_t kOffersMost = 1'000;   // sources; beyond that all are asked for again

// Shared between the table of jobs, the thread that runs it, and the tickets: the last of them may be any.
using Job = std::shared_ptr<FetchJob>;

class JobTicket final : public ModelFiles::Ticket {
public:
    JobTicket(Job job, std::function<void()> changed) : job_(std::move(job)), id_(job_->listen(std::move(changed))) {}
    ~JobTicket() override {
        job_->unlisten(id_);
        if (job_->listeners() == 0) job_->cancel();
    }
    Progress progress() const override { return job_->progress(); }

private:
    const Job job_;
    const uint64_t id_;
};

class Files final : public ModelFiles {
public:
    Files(Options options, const Clock& clock)
        : fetcher_(options.settings), near_(fetcher_, std::move(options.near_socket)), cache_(std::move(options.folder)), clock_(clock),
          gate_(clock) {
        for (unsigned i = 0; i < std::max(1u, options.downloads); ++i) {
            threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
        }
    }
    ~Files() override {
        fetcher_.stop();
        {
            const std::lock_guard lock(mutex_);
            for (const auto& [source, job] : jobs_) job->cancel();
        }
        pulls_.with([](auto& pulls) { pulls.clear(); });
        for (std::jthread& thread : threads_) thread.request_stop();
        threads_.clear();   // waits
    }
    Status make_folders() const { return cache_.make_folders(); }

    std::unique_ptr<Ticket> fetch(const Source& source, std::function<void()> changed) override {
        const std::lock_guard lock(mutex_);
        Job& job = jobs_[source.text()];
        // One that ended or was cancelled is done with: what is wanted now is another try.
        if (job == nullptr || job->cancelled() || job->ended()) {
            job = std::make_shared<FetchJob>(source, FetchJob::Parts{.fetcher = fetcher_,
                                                                   .near = near_,
                                                                   .cache = cache_,
                                                                   .busy = busy_,
                                                                   .clock = clock_,
                                                                   .room = [this](const auto& wanted) { return make_room(wanted); }});
            queue_.push_back(job);
            queued_.notify_one();
        }
        return std::make_unique<JobTicket>(job, std::move(changed));
    }

    std::optional<std::string> path_of(const Source& source) const override {
        const auto manifest = cache_.find(source.text());
        return manifest ? std::optional(cache_.path_of(*manifest)) : std::nullopt;
    }

    std::optional<std::string> manifest_of(const Source& source) const override {
        const auto manifest = cache_.find(source.text());
        return manifest ? std::optional(ModelCache::text_of(*manifest)) : std::nullopt;
    }
    std::optional<std::string> blob_path(const std::string& digest) const override {
        const Digest of{digest.size() == 40 ? Digest::Kind::kGit : Digest::Kind::kSha256, digest};
        const std::string path = valid(of) ? cache_.blob_path(of) : std::string();
        struct stat status {};
        return !path.empty() && ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) ? std::optional(path) : std::nullopt;
    }

    Result<ModelMeta> look(const Source& source) override {
        if (const auto path = path_of(source)) return models::read_model(*path);
        return gate_.ask(source.kind, [&] { return read_remote_model(fetcher_, source); });
    }

    Result<std::vector<Offer>> offers(const Source& source) override {
        if (!source.from_hub() || !source.quantization.empty() || path_of(source)) return std::vector<Offer>();
        const std::string text = source.text();
        const SteadyTime now = clock_.steady();
        auto lately = offered_.with([&](auto& all) {
            const auto found = all.find(text);
            return found != all.end() && now - found->second.first < kOffersKept ? std::optional(found->second.second) : std::nullopt;
        });
        if (lately) return *std::move(lately);
        const auto listing = gate_.ask(source.kind, [&] { return make_hub(source.kind, fetcher_)->list(source); });
        if (!listing) return listing.error();
        std::vector<Offer> there = sources::offers(*listing, source);
        offered_.with([&](auto& all) {
            if (all.size() >= kOffersMost) all.clear();
            all.insert_or_assign(text, std::pair(now, there));
        });
        return there;
    }

    Result<std::vector<HubModel>> search(SourceKind hub, const std::string& words, unsigned most) override {
        return gate_.ask(hub, [&] { return make_hub(hub, fetcher_)->search(words, most); });
    }

    void pull(const Source& source) override {
        auto ticket = fetch(source, {});
        pulls_.with([&](auto& pulls) { pulls[source.text()] = std::move(ticket); });
    }

    std::vector<ModelFileSet> list() const override {
        std::vector<ModelFileSet> sets;
        for (const Manifest& manifest : cache_.list()) sets.push_back(shown(manifest));
        const std::lock_guard lock(mutex_);
        for (const auto& [source, job] : jobs_) {
            const bool here = std::any_of(sets.begin(), sets.end(), [&](const ModelFileSet& set) { return set.source == source; });
            const bool gone = job->progress().state == ModelFilesState::kReady;   // deleted since
            if (!here && !gone && !job->cancelled()) sets.push_back(shown(source, job->progress()));
        }
        return sets;
    }

    Result<uint64_t> remove(const std::string& id) override {
        const bool pulled = pulls_.with([&](auto& pulls) { return std::erase_if(pulls,
            [&](const auto& pull) { return ModelCache::id_of(pull.first) == id; }) > 0; });
        {
            const std::lock_guard lock(mutex_);
            for (auto at = jobs_.begin(); at != jobs_.end(); ++at) {
                if (ModelCache::id_of(at->first) != id) continue;
                if (at->second->listeners() > 0) return conflict("an instance uses these files, or waits for them; delete its deployment first");
                jobs_.erase(at);
                break;
            }
        }
        auto removed = cache_.remove(id);
        if (!removed && removed.error().code == ErrorCode::kNotFound && pulled) return uint64_t{0};   // it was on its way
        return removed;
    }

    Status verify(const std::string& id) override { return cache_.verify(id); }

    Status pause(const std::string& id) override {
        const Job job = job_of(id);
        if (job == nullptr) return nothing_on_its_way();
        return job->pause() ? Status(Ok{}) : Status(conflict("it is not on its way any more"));
    }
    Status resume(const std::string& id) override {
        const Job job = job_of(id);
        if (job == nullptr) return nothing_on_its_way();
        if (!job->resume()) return conflict("its download is not paused, or still stops");
        const std::lock_guard lock(mutex_);
        queue_.push_back(job);
        queued_.notify_one();
        return Ok{};
    }
    void keep(std::function<bool(const std::string& source)> used) override {
        used_.with([&](auto& mine) { mine = std::move(used); });
    }

private:
    static ModelFileSet shown(const Manifest& manifest) {
        ModelFileSet set{.id = ModelCache::id_of(manifest.source), .source = manifest.source, .commit = manifest.commit, .state =
            ModelFilesState::kReady};
        for (const ChosenFile& file : manifest.files) set.files.push_back(file.local);
        set.bytes = set.bytes_done = manifest.bytes();
        set.fetched_at = manifest.fetched_at;
        return set;
    }
    static ModelFileSet shown(const std::string& source, const Progress& progress) {
        ModelFileSet set{.id = ModelCache::id_of(source), .source = source, .state = progress.state, .reason = describe(progress)};
        set.bytes = progress.bytes;
        set.bytes_done = progress.bytes_done;
        set.bytes_per_second = progress.bytes_per_second;
        return set;
    }

    static Error nothing_on_its_way() { return not_found("no download of these files is on its way here", "model_files_not_found"); }
    Job job_of(const std::string& id) {
        const std::lock_guard lock(mutex_);
        for (const auto& [source, job] : jobs_) {
            if (ModelCache::id_of(source) == id && !job->ended() && !job->cancelled()) return job;
        }
        return nullptr;
    }

    // Somebody runs it, waits for it, or wants to keep it. What was pulled and is here is there for later: nobody's.
    bool in_use(const std::string& source) {
        const size_t pulled = pulls_.with([&](auto& pulls) { return pulls.count(source); });
        {
            const std::lock_guard lock(mutex_);
            const auto job = jobs_.find(source);
            if (job != jobs_.end() && (!job->second->ended() || job->second->listeners() > pulled)) return true;
        }
        return used_.with([&](const auto& used) { return used && used(source); });
    }

    Status make_room(const std::vector<ChosenFile>& wanted) {
        const uint64_t most = fetcher_.settings().folder_bytes;
        const std::lock_guard one_at_a_time(room_mutex_);
        const uint64_t needed = cache_.missing_bytes(wanted);
        if (most > 0 && needed > 0) {
            for (const Manifest& old : cache_.by_age()) {
                if (cache_.bytes_besides(wanted) + needed <= most) break;
                if (in_use(old.source)) continue;
                const auto freed = cache_.remove(ModelCache::id_of(old.source));
                if (freed) log::info("{}: {} bytes are deleted, which nobody uses: GANTRY_MODELS_QUOTA is reached", old.source, *freed);
                pulls_.with([&](auto& pulls) { pulls.erase(old.source); });
            }
            const uint64_t others = cache_.bytes_besides(wanted);
            if (others + needed > most) {
                return Error{ErrorCode::kStorageFull,
                             fmt::format("the model needs {:.1f} GB, and what is in use takes {:.1f} GB of the {:.1f} GB that GANTRY_MODELS_QUOTA "
                                         "gives the folder of models",
                                         static_cast<double>(needed) / 1e9, static_cast<double>(others) / 1e9, static_cast<double>(most) / 1e9),
                             {}, "quota"};
            }
        }
        return cache_.check_room(wanted);
    }

    void work(const std::stop_token& stop) {
        while (true) {
            Job job;
            {
                std::unique_lock lock(mutex_);
                if (!queued_.wait(lock, stop, [this] { return !queue_.empty(); })) return;
                job = std::move(queue_.front());
                queue_.pop_front();
            }
            if (!stop.stop_requested()) job->run();
        }
    }

    Fetcher fetcher_;
    const Near near_;
    const ModelCache cache_;
    const Clock& clock_;
    HubGate gate_;                         // of what people ask while they wait
    BusyFiles busy_;
    mutable std::mutex mutex_;
    std::condition_variable_any queued_;
    std::map<std::string, Job> jobs_;      // by source; guarded by mutex_, as the queue is
    std::deque<Job> queue_;
    Guarded<std::map<std::string, std::unique_ptr<Ticket>>> pulls_;
    Guarded<std::function<bool(const std::string&)>> used_;
    Guarded<std::map<std::string, std::pair<SteadyTime, std::vector<Offer>>>> offered_;   // by source: forms ask at each key
    std::mutex room_mutex_;
    std::vector<std::jthread> threads_;    // last: they use all of the above
};

}  // namespace

Result<std::unique_ptr<ModelFiles>> ModelFiles::open(Options options, const Clock& clock) {
    auto files = std::make_unique<Files>(std::move(options), clock);
    GANTRY_TRY(files->make_folders());
    return std::unique_ptr<ModelFiles>(std::move(files));
}

}  // namespace gantry::sources
