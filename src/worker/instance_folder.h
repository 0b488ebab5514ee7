#pragma once
// What is kept on disk of one instance: <data_dir>/instances/<id>/{record.json, lock, exit.json, engine.log, engine.1.log}.
// The engine holds the lock for as long as it, or a process it started, lives. The record is on disk before the spawn (its
// nonce in the engine's environment says which spawn a process belongs to) and again after it, with the process. Internal
// format of this folder; everything in JSON that others see is in protocol/.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backends/backends.h"
#include "base/ids.h"
#include "base/platform/process.h"
#include "base/result.h"
#include "protocol/worker/messages.h"

namespace gantry::worker {

inline constexpr char kNonceVariable[] = "GANTRY_INSTANCE_NONCE";

struct InstanceRecord {
    InstanceId id;
    std::string deployment_name;
    int64_t generation = 0;
    std::string nonce;                 // of this spawn
    std::string spec_hash;             // of what it runs: spec_hash()
    std::string argv_hash;
    platform::ProcessId process;       // pid 0: the spawn had not been seen when this was written
    std::string endpoint;
    std::string api_key;               // the file is for this user only
    backends::HealthCheck health = backends::HealthCheck::kAnswers;
    std::string health_path;
    bool writes_exit_file = false;
    bool ready = false;                // it has answered: silence from now on is a fault
    uint32_t restarts = 0;
    uint32_t attempt = 0;              // of an instance that several workers run: in which it was started; else 0
    uint16_t peer_port = 0;            // where its other parts reach it
};

// Equal for two specs that run the same thing; not readable, so that no secret of `env` gets to disk.
std::string spec_hash(const protocol::InstanceSpec& spec);
std::string hash_words(const std::vector<std::string>& words);

// Ids become names of folders: letters, digits, '_' and '-' only, at most 64.
bool safe_instance_id(const std::string& text);

class InstanceFolder {
public:
    // REQUIRES: safe_instance_id(id.text)
    InstanceFolder(const std::string& data_dir, const InstanceId& id);

    const std::string& path() const { return path_; }
    std::string lock_path() const { return path_ + "/lock"; }
    std::string exit_path() const { return path_ + "/exit.json"; }
    std::string log_path() const { return path_ + "/engine.log"; }
    std::string former_log_path() const { return path_ + "/engine.1.log"; }

    Status create() const;
    Status remove() const;
    Status write_record(const InstanceRecord& record) const;     // on disk when it returns
    Result<InstanceRecord> read_record() const;
    // The engine's own last words, if it wrote any: the "reason" of exit.json, made fit for a person's screen.
    std::string read_exit_reason() const;
    // Before a spawn: engine.log becomes engine.1.log; last words of the former engine go.
    void begin_run() const;
    std::vector<std::string> log_files() const;                  // oldest first

private:
    std::string path_;
};

// The ids that have a folder.
std::vector<InstanceId> list_instance_folders(const std::string& data_dir);

}  // namespace gantry::worker
