#include "worker/instance_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>

#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/platform/files.h"

namespace gantry::worker {
namespace {

constexpr size_t kReasonBytesMax = 600;

std::string text_at(const json::object& object, const char* key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

template <class Number = int64_t>
Number number_at(const json::object& object, const char* key) {
    const json::value* value = object.if_contains(key);
    boost::system::error_code failed;
    const Number number = value != nullptr ? value->to_number<Number>(failed) : Number{0};
    return failed ? Number{0} : number;
}

bool flag_at(const json::object& object, const char* key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_bool() && value->as_bool();
}

bool regular_file(const std::string& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

using backends::HealthCheck;
constexpr std::pair<HealthCheck, const char*> kHealthNames[] = {
    {HealthCheck::kAnswers, "answers"}, {HealthCheck::kListens, "listens"}, {HealthCheck::kLives, "lives"}};

std::string name_of(HealthCheck health) {
    return std::find_if(std::begin(kHealthNames), std::end(kHealthNames), [&](const auto& one) { return one.first == health; })->second;
}

// Records of before 27 Nov 2026 have words in the place of the path.
HealthCheck health_of(const std::string& name, const std::string& path) {
    for (const auto& [health, known] : kHealthNames) {
        if (name == known) return health;
    }
    return path == "listening" ? HealthCheck::kListens : path == "alive" ? HealthCheck::kLives : HealthCheck::kAnswers;
}

}  // namespace

std::string hash_words(const std::vector<std::string>& words) {
    json::array array;
    for (const std::string& word : words) {
        array.emplace_back(word);
    }
    return short_digest(json::serialize(array));
}

std::string spec_hash(const protocol::InstanceSpec& spec) {
    const BackendOptions& options = spec.options;
    json::array words{std::to_string(spec.generation), spec.source, to_string(spec.backend), spec.deployment_name};
    words.emplace_back(json::array{options.context_tokens, options.max_sequences, options.threads});
    json::array args;
    for (const std::string& word : options.extra_args) {
        args.emplace_back(word);
    }
    words.emplace_back(std::move(args));
    json::object env;
    for (const auto& [name, value] : options.env) {
        env[name] = value;
    }
    words.emplace_back(std::move(env));
    json::array command;
    for (const std::string& word : options.command) {
        command.emplace_back(word);
    }
    words.emplace_back(std::move(command));
    words.emplace_back(options.binary);
    words.emplace_back(options.health_path);
    words.emplace_back(options.kv_type);
    const Placement& placement = spec.placement;
    words.emplace_back(json::array{placement.ranks, placement.context_tokens, placement.sequences, placement.layers_on_devices});
    json::array claims;
    for (const DeviceClaim& claim : placement.claims) {
        claims.emplace_back(json::array{claim.worker_id.text, to_string(claim.device), claim.bytes, claim.layers});
    }
    words.emplace_back(std::move(claims));
    return short_digest(json::serialize(words));
}

bool safe_instance_id(const std::string& text) {
    return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
        return c == '_' || c == '-' || std::isalnum(static_cast<unsigned char>(c)) != 0;
    });
}

InstanceFolder::InstanceFolder(const std::string& data_dir, const InstanceId& id)
    : path_(data_dir + "/instances/" + id.text) {
    GANTRY_ASSERT(safe_instance_id(id.text), "an instance's id becomes a folder's name");
}

Status InstanceFolder::create() const { return platform::make_folders(path_, 0700); }
Status InstanceFolder::remove() const { return platform::remove_tree(path_); }

Status InstanceFolder::write_record(const InstanceRecord& record) const {
    const json::object object{
        {"version", 1},
        {"id", record.id.text},
        {"deployment_name", record.deployment_name},
        {"generation", record.generation},
        {"nonce", record.nonce},
        {"spec_hash", record.spec_hash},
        {"argv_hash", record.argv_hash},
        {"pid", record.process.pid},
        {"start_ticks", record.process.start_ticks},
        {"boot_id", record.process.boot_id},
        {"endpoint", record.endpoint},
        {"api_key", record.api_key},
        {"health", name_of(record.health)},
        {"health_path", record.health_path},
        {"writes_exit_file", record.writes_exit_file},
        {"ready", record.ready},
        {"restarts", record.restarts},
        {"attempt", record.attempt},
        {"peer_port", record.peer_port},
    };
    return platform::write_file_atomic(path_ + "/record.json", json::serialize(object) + "\n", 0600);
}

Result<InstanceRecord> InstanceFolder::read_record() const {
    const Result<std::string> text = platform::read_file(path_ + "/record.json");
    if (!text.ok()) {
        return text.error();
    }
    const Result<json::value> value = parse_json(*text);
    if (!value.ok()) {
        return value.error();
    }
    if (!value->is_object()) {
        return invalid_argument("an instance's record is no object");
    }
    const json::object& object = value->as_object();
    InstanceRecord record;
    record.id = InstanceId(text_at(object, "id"));
    record.deployment_name = text_at(object, "deployment_name");
    record.generation = number_at(object, "generation");
    record.nonce = text_at(object, "nonce");
    record.spec_hash = text_at(object, "spec_hash");
    record.argv_hash = text_at(object, "argv_hash");
    record.process.pid = number_at(object, "pid");
    record.process.start_ticks = number_at<uint64_t>(object, "start_ticks");
    record.process.boot_id = text_at(object, "boot_id");
    record.endpoint = text_at(object, "endpoint");
    record.api_key = text_at(object, "api_key");
    record.health_path = text_at(object, "health_path");
    record.health = health_of(text_at(object, "health"), record.health_path);
    record.writes_exit_file = flag_at(object, "writes_exit_file");
    record.ready = flag_at(object, "ready");
    record.restarts = static_cast<uint32_t>(std::max<int64_t>(0, number_at(object, "restarts")));
    record.attempt = number_at<uint32_t>(object, "attempt");
    record.peer_port = number_at<uint16_t>(object, "peer_port");
    return record;
}

std::string InstanceFolder::read_exit_reason() const {
    // Written by an engine, which a hostile model may have taken over: bounded, and nothing in it is trusted.
    if (!regular_file(exit_path())) {
        return {};
    }
    const Result<std::string> text = platform::read_file(exit_path(), 64 * 1024);
    const Result<json::value> value = text.ok() ? parse_json(*text) : Result<json::value>(text.error());
    if (!value.ok() || !value->is_object()) {
        return {};
    }
    return log::escape(text_at(value->as_object(), "reason"), kReasonBytesMax);
}

void InstanceFolder::begin_run() const {
    ::unlink(exit_path().c_str());
    ::rename(log_path().c_str(), former_log_path().c_str());
}

std::vector<std::string> InstanceFolder::log_files() const {
    std::vector<std::string> files;
    for (const std::string& path : {former_log_path(), log_path()}) {
        if (regular_file(path)) {
            files.push_back(path);
        }
    }
    return files;
}

std::vector<InstanceId> list_instance_folders(const std::string& data_dir) {
    std::vector<InstanceId> ids;
    std::error_code failed;
    std::filesystem::directory_iterator entries(data_dir + "/instances", failed);
    for (; !failed && entries != std::filesystem::directory_iterator(); entries.increment(failed)) {
        const std::string name = entries->path().filename().string();
        if (safe_instance_id(name) && entries->is_directory(failed)) {
            ids.emplace_back(name);
        }
    }
    std::sort(ids.begin(), ids.end());
    return ids;
}

}  // namespace gantry::worker
