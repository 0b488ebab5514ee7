#include "sources/model_files.h"

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "models/model_reader.h"
#include "sources/fetch_job.h"
#include "sources/remote_model.h"

namespace gantry::sources {
namespace {

class Files;

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
    Files(Options options, const Clock& clock) : fetcher_(options.settings), cache_(std::move(options.folder)), clock_(clock) {
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
            job = std::make_shared<FetchJob>(source, fetcher_, cache_, busy_, clock_);
            queue_.push_back(job);
            queued_.notify_one();
        }
        return std::make_unique<JobTicket>(job, std::move(changed));
    }

    std::optional<std::string> path_of(const Source& source) const override {
        const auto manifest = cache_.find(source.text());
        return manifest ? std::optional(cache_.path_of(*manifest)) : std::nullopt;
    }

    Result<ModelMeta> look(const Source& source) override {
        if (const auto path = path_of(source)) return models::read_model(*path);
        return read_remote_model(fetcher_, source);
    }

    Result<std::vector<HubModel>> search(SourceKind hub, const std::string& words, unsigned most) override {
        return make_hub(hub, fetcher_)->search(words, most);
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
            if (!here && !job->cancelled()) sets.push_back(shown(source, job->progress()));
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
    const ModelCache cache_;
    const Clock& clock_;
    BusyFiles busy_;
    mutable std::mutex mutex_;
    std::condition_variable_any queued_;
    std::map<std::string, Job> jobs_;      // by source; guarded by mutex_, as the queue is
    std::deque<Job> queue_;
    Guarded<std::map<std::string, std::unique_ptr<Ticket>>> pulls_;
    std::vector<std::jthread> threads_;    // last: they use all of the above
};

}  // namespace

Result<std::unique_ptr<ModelFiles>> ModelFiles::open(Options options, const Clock& clock) {
    auto files = std::make_unique<Files>(std::move(options), clock);
    GANTRY_TRY(files->make_folders());
    return std::unique_ptr<ModelFiles>(std::move(files));
}

}  // namespace gantry::sources
