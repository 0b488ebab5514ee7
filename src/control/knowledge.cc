#include "control/knowledge.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "base/platform/files.h"
#include "domain/source.h"
#include "models/gguf_names.h"

namespace gantry::control {
namespace {

constexpr size_t kReadMax = 10'000;   // models remembered; beyond that all are read again
constexpr char kAtHub[] = "hub";      // instead of a file's identity: what a hub's files say is asked once

// Changes with whatever the reader looks at: the model's files, and the tower for pictures beside them.
std::string identity_of(const std::string& path) {
    std::string identity = platform::file_identity(path);
    const auto files = models::gguf_files_at(path);
    if (files && !files->tower.empty()) identity += "+ " + platform::file_identity(files->tower);
    return identity;
}

}  // namespace

KnowledgeSource::KnowledgeSource(store::Store& store, Options options) : store_(store), options_(std::move(options)) {
    thread_ = std::jthread([this](const std::stop_token& stop) { read_queued(stop); });
}

KnowledgeSource::~KnowledgeSource() { stop(); }

void KnowledgeSource::stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
}

Result<KnowledgeSource::File> KnowledgeSource::file_of(const std::string& source) const {
    const auto parsed = parse_source(source);
    if (!parsed) return parsed.error();
    if (parsed->from_hub()) return File{source, {}, kAtHub};
    return File{source, parsed->path, identity_of(parsed->path)};
}

std::optional<Result<ModelMeta>> KnowledgeSource::known(const File& file, const Snapshot& view) {
    std::optional<Result<ModelMeta>> meta;
    {
        const std::lock_guard lock(mutex_);
        const auto found = read_.find(file.source);
        if (found != read_.end() && found->second.identity == file.identity) meta = found->second.meta;
    }
    const bool at_hub = file.path.empty();
    if (!meta && !at_hub) return std::nullopt;
    if (!meta || (!*meta && meta->error().code == ErrorCode::kNotFound)) {
        const auto row = std::find_if(view.models.begin(), view.models.end(), [&](const Model& m) { return m.source == file.source; });
        if (row != view.models.end()) return Result<ModelMeta>(row->meta);
    }
    if (!meta) return Result<ModelMeta>(unavailable("the hub was not asked yet what the model needs, or did not answer"));
    return meta;
}

Result<ModelMeta> KnowledgeSource::read_now(const File& file, const std::stop_token& stop) {
    const auto end = std::chrono::steady_clock::now() + options_.longest;   // the disk lives in real time
    Result<ModelMeta> meta = options_.reader(file.path, {.give_up = [&] { return stop.stop_requested() || std::chrono::steady_clock::now() > end; }});
    remember(file, meta);
    return meta;
}

void KnowledgeSource::remember(const File& file, const Result<ModelMeta>& meta) {
    const std::lock_guard lock(mutex_);
    if (read_.size() >= kReadMax) read_.clear();
    read_.insert_or_assign(file.source, Read{file.identity, meta});
}

Result<ModelMeta> KnowledgeSource::look(const std::string& source) {
    const Result<File> file = file_of(source);
    if (!file) return file.error();
    {
        const std::lock_guard lock(mutex_);
        const auto found = read_.find(source);
        if (found != read_.end() && found->second.identity == file->identity && found->second.meta) return found->second.meta;
    }
    if (!file->path.empty()) return read_now(*file, {});
    if (options_.files == nullptr) return unavailable("this server fetches no models: its folder of models cannot be used");
    const Result<Source> parsed = parse_source(source);
    if (!parsed) return parsed.error();
    Result<ModelMeta> meta = options_.files->look(*parsed);
    if (meta) remember(*file, meta);
    return meta;
}

void KnowledgeSource::add(placement::Knowledge& knowledge, const std::string& source, Result<ModelMeta> meta) const {
    if (meta) {
        knowledge.metas.emplace(source, *std::move(meta));
    } else {
        knowledge.meta_problems.emplace(source, meta.error().message);
    }
}

void KnowledgeSource::add_runs(placement::Knowledge& knowledge) const {
    auto runs = store_.measured_runs();
    if (runs) {
        knowledge.runs = *std::move(runs);
    } else {
        log::warn("what instances were measured to take can't be read, so estimates are not corrected by it: {}",
                  runs.error().message);
    }
}

placement::Knowledge KnowledgeSource::of(const std::set<std::string>& sources, const Snapshot& view) {
    placement::Knowledge knowledge;
    for (const std::string& source : sources) {
        const Result<File> file = file_of(source);
        if (!file) {
            add(knowledge, source, file.error());
            continue;
        }
        if (!known(*file, view)) (void)read_now(*file, {});
        add(knowledge, source, known(*file, view).value_or(invalid_argument("the model's files change while they are read")));
    }
    if (!sources.empty()) add_runs(knowledge);
    return knowledge;
}

placement::Knowledge KnowledgeSource::of_waiting(const Snapshot& view) {
    std::set<DeploymentId> waiting;
    for (const Instance& i : view.instances) {
        if (i.worker_id.empty() && !i.stopping) waiting.insert(i.deployment_id);
    }
    placement::Knowledge knowledge;
    std::vector<File> unread;
    std::set<std::string> sources;
    for (const Deployment& d : view.deployments) {
        if (!waiting.contains(d.id) || !sources.insert(d.source).second) continue;
        Result<File> file = file_of(d.source);
        if (!file) {
            add(knowledge, d.source, file.error());
        } else if (auto meta = known(*file, view)) {
            add(knowledge, d.source, *std::move(meta));
        } else {
            unread.push_back(*std::move(file));
        }
    }
    if (!unread.empty()) {
        std::unique_lock lock(mutex_);
        const auto queued = [this](const File& file) {
            return std::any_of(queue_.begin(), queue_.end(), [&](const File& one) { return one.source == file.source; });
        };
        bool fresh = false;   // what is read already for longer than the patience is not waited for again
        for (const File& file : unread) {
            if (queued(file)) continue;
            queue_.push_back(file);
            fresh = true;
        }
        changed_.notify_all();
        if (fresh) changed_.wait_for(lock, options_.patience, [&] { return std::none_of(unread.begin(), unread.end(), queued); });
    }
    for (const File& file : unread) {
        if (auto meta = known(file, view)) {
            add(knowledge, file.source, *std::move(meta));
        } else {
            knowledge.reading.insert(file.source);
        }
    }
    if (!sources.empty()) add_runs(knowledge);
    return knowledge;
}

void KnowledgeSource::read_queued(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return !queue_.empty(); })) {
        const File file = queue_.front();
        lock.unlock();
        (void)read_now(file, stop);
        lock.lock();
        queue_.pop_front();
        changed_.notify_all();
        lock.unlock();
        if (options_.read && !stop.stop_requested()) options_.read();
        lock.lock();
    }
}

}  // namespace gantry::control
