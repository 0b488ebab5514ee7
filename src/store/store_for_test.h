#pragma once
// What the store's tests share: a folder that goes away, a store on it, and rows to put in.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "store/sqlite_store.h"

namespace gantry::store {

class TempDir {
public:
    TempDir() {
        // Memory where there is some: these tests fail and drop writes themselves, and a real fsync would only take time.
        const bool memory = std::filesystem::exists("/dev/shm");
        std::string pattern = std::string(memory ? "/dev/shm" : "/tmp") + "/gantry-store-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        path_ = pattern;
    }
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::string& path() const { return path_; }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

// The test's own failure text shows the store's message.
#define EXPECT_OK(expression)                                                       \
    do {                                                                            \
        const auto& expect_ok_result = (expression);                                 \
        EXPECT_TRUE(expect_ok_result.ok()) << expect_ok_result.error().message;     \
    } while (false)
#define EXPECT_CODE(expression, expected)                                           \
    do {                                                                            \
        const auto& expect_code_result = (expression);                               \
        ASSERT_FALSE(expect_code_result.ok());                                      \
        EXPECT_EQ(to_string(expect_code_result.error().code), std::string(to_string(expected))) \
            << expect_code_result.error().message;                                  \
    } while (false)

inline std::unique_ptr<SqliteStore> open_store(const std::string& path, const DatabaseOptions& options = {}) {
    auto store = SqliteStore::open(path, options);
    EXPECT_TRUE(store.ok()) << (store.ok() ? "" : store.error().message);
    return store.ok() ? std::move(*store) : nullptr;
}

inline WallTime at(int64_t ms) { return from_unix_ms(1'700'000'000'000 + ms); }

inline Deployment a_deployment(const std::string& name, int64_t ms = 0) {
    Deployment d;
    d.id = DeploymentId("dep_" + name);
    d.name = name;
    d.source = "file:/models/" + name + ".gguf";
    d.created_at = d.updated_at = at(ms);
    return d;
}
inline Worker a_worker(const std::string& name, int64_t ms = 0) {
    Worker w;
    w.id = WorkerId("wrk_" + name);
    w.name = name;
    w.created_at = at(ms);
    return w;
}
inline Instance an_instance(const std::string& name, const Deployment& of, int64_t ms = 0) {
    Instance i;
    i.id = InstanceId("ins_" + name);
    i.deployment_id = of.id;
    i.created_at = i.state_since = at(ms);
    return i;
}
inline Model a_model(const std::string& name, int64_t ms = 0) {
    Model m;
    m.id = ModelId("mdl_" + name);
    m.name = name;
    m.source = "file:/models/" + name + ".gguf";
    m.path = "/models/" + name + ".gguf";
    m.created_at = m.updated_at = at(ms);
    return m;
}
inline User a_user(const std::string& name, Role role = Role::kUser, int64_t ms = 0) {
    User u;
    u.id = UserId("usr_" + name);
    u.name = name;
    u.role = role;
    u.password_hash = "$argon2id$" + name;
    u.created_at = u.updated_at = at(ms);
    return u;
}
inline ApiKey a_key(const std::string& name, const User& of, int64_t ms = 0) {
    ApiKey k;
    k.id = ApiKeyId("key_" + name);
    k.user_id = of.id;
    k.name = name;
    k.public_id = "pub" + name;
    k.secret_digest = "digest of " + name;
    k.created_at = at(ms);
    return k;
}
inline UsageRecord a_usage(const std::string& request, int64_t ms = 0) {
    UsageRecord u;
    u.request_id = "req_" + request;
    u.at = at(ms);
    u.user_id = UserId("usr_ann");
    u.model = "smollm2";
    u.operation = "chat";
    u.status = 200;
    return u;
}

}  // namespace gantry::store
