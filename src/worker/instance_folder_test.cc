#include "worker/instance_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "worker/launch.h"
#include "worker/run_folder.h"
#include "worker/worker_testing.h"

namespace gantry::worker {
namespace {

TEST(InstanceFolder, ARecordComesBackAsItWas) {
    TempFolder folder;
    const InstanceFolder instance(folder.path(), InstanceId("ins_a"));
    ASSERT_TRUE(instance.create().ok());
    InstanceRecord record;
    record.id = InstanceId("ins_a");
    record.deployment_name = "org/name \"quoted\"";
    record.generation = 7;
    record.nonce = "nonce";
    record.spec_hash = "hash";
    record.argv_hash = "argv";
    record.process = {1234, 18'000'000'000'000'000'000u, "boot"};
    record.endpoint = "tcp:127.0.0.1:1";
    record.api_key = "key";
    record.health_path = "/h";
    record.writes_exit_file = record.ready = true;
    record.restarts = 3;
    ASSERT_TRUE(instance.write_record(record).ok());
    const auto read = instance.read_record();
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->deployment_name, record.deployment_name);
    EXPECT_EQ(read->generation, 7);
    EXPECT_EQ(read->nonce, "nonce");
    EXPECT_EQ(read->spec_hash, "hash");
    EXPECT_EQ(read->process, record.process);
    EXPECT_EQ(read->endpoint, record.endpoint);
    EXPECT_EQ(read->api_key, "key");
    EXPECT_TRUE(read->writes_exit_file);
    EXPECT_TRUE(read->ready);
    EXPECT_EQ(read->restarts, 3u);
    struct stat info {};
    ASSERT_EQ(::stat((instance.path() + "/record.json").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << "it holds the engine's key";
}

TEST(InstanceFolder, HowItIsWellIsKeptAndOldRecordsAreUnderstood) {
    using backends::HealthCheck;
    TempFolder folder;
    const InstanceFolder instance(folder.path(), InstanceId("ins_a"));
    ASSERT_TRUE(instance.create().ok());
    for (const HealthCheck health : {HealthCheck::kAnswers, HealthCheck::kListens, HealthCheck::kLives}) {
        InstanceRecord record;
        record.health = health;
        ASSERT_TRUE(instance.write_record(record).ok());
        EXPECT_EQ(instance.read_record()->health, health);
    }
    for (const auto& [text, health] : {std::pair(R"({"health_path":"/health"})", HealthCheck::kAnswers),
                                       std::pair(R"({"health_path":"listening"})", HealthCheck::kListens),
                                       std::pair(R"({"health_path":"alive"})", HealthCheck::kLives), std::pair("{}", HealthCheck::kAnswers),
                                       std::pair(R"({"health":7,"health_path":7})", HealthCheck::kAnswers)}) {
        write_text(instance.path() + "/record.json", text);
        EXPECT_EQ(instance.read_record()->health, health) << text;
    }
}

TEST(InstanceFolder, ExitReasonsAreBoundedAndEscaped) {
    TempFolder folder;
    const InstanceFolder instance(folder.path(), InstanceId("ins_a"));
    ASSERT_TRUE(instance.create().ok());
    EXPECT_EQ(instance.read_exit_reason(), "");
    write_text(instance.exit_path(), R"({"reason":"a\nb\u001b[31m","status":1})");
    EXPECT_EQ(instance.read_exit_reason(), "a\\x0ab\\x1b[31m");
    write_text(instance.exit_path(), "{\"reason\":\"" + std::string(5000, 'x') + "\"}");
    EXPECT_LT(instance.read_exit_reason().size(), 1000u);
    for (const char* text : {"", "{", "[]", "{\"reason\":7}", "{}"}) {
        write_text(instance.exit_path(), text);
        EXPECT_EQ(instance.read_exit_reason(), "") << text;
    }
    std::filesystem::remove(instance.exit_path());
    std::filesystem::create_symlink("/etc/hostname", instance.exit_path());
    EXPECT_EQ(instance.read_exit_reason(), "") << "links are not followed";
    std::filesystem::remove(instance.exit_path());
    ASSERT_EQ(::mkfifo(instance.exit_path().c_str(), 0600), 0);
    EXPECT_EQ(instance.read_exit_reason(), "") << "and a FIFO does not block";
}

TEST(InstanceFolder, IdsThatAreNoFolderNames) {
    EXPECT_TRUE(safe_instance_id("ins_7h2k9d0q4mxv"));
    for (const char* id : {"", ".", "..", "a/b", "../x", "a b", "a\n", "a.b"}) {
        EXPECT_FALSE(safe_instance_id(id)) << id;
    }
    EXPECT_FALSE(safe_instance_id(std::string(65, 'a')));
    EXPECT_FALSE(safe_instance_id(std::string("a\0b", 3)));
}

TEST(InstanceFolder, EverythingAnEngineRunsChangesItsHash) {
    TempFolder folder;
    const protocol::InstanceSpec spec = engine_spec(folder);
    const std::string hash = spec_hash(spec);
    EXPECT_EQ(spec_hash(spec), hash);
    const auto differs = [&](auto change) {
        protocol::InstanceSpec other = spec;
        change(other);
        EXPECT_NE(spec_hash(other), hash);
    };
    differs([](auto& s) { s.generation = 2; });
    differs([](auto& s) { s.source += "x"; });
    differs([](auto& s) { s.backend = BackendKind::kCustom; });
    differs([](auto& s) { s.deployment_name += "x"; });
    differs([](auto& s) { s.options.context_tokens = 1; });
    differs([](auto& s) { s.options.max_sequences = 1; });
    differs([](auto& s) { s.options.threads = 1; });
    differs([](auto& s) { s.options.extra_args.push_back("x"); });
    differs([](auto& s) { s.options.env["a"] = "b"; });
    differs([](auto& s) { s.options.binary = "x"; });
    differs([](auto& s) { s.options.command = {"x"}; });
    differs([](auto& s) { s.options.health_path = "x"; });
    // Words that join to the same text are still different words.
    EXPECT_NE(hash_words({"a", "bc"}), hash_words({"ab", "c"}));
}

TEST(InstanceFolder, ListsItsKind) {
    TempFolder folder;
    EXPECT_TRUE(list_instance_folders(folder.path()).empty());
    std::filesystem::create_directories(folder / "instances/ins_b");
    std::filesystem::create_directories(folder / "instances/ins_a");
    write_text(folder / "instances/file", "x");
    const auto ids = list_instance_folders(folder.path());
    ASSERT_EQ(ids.size(), 2u);
    EXPECT_EQ(ids[0].text, "ins_a");
}

TEST(RunFolder, IsShortPrivateAndTheSameAgain) {
    TempFolder folder;
    EXPECT_EQ(*prepare_run_folder(folder.path(), ""), folder / "run");
    EXPECT_EQ(*prepare_run_folder(folder.path(), folder / "mine"), folder / "mine");
    EXPECT_EQ(prepare_run_folder(folder.path(), folder / std::string(100, 'x')).error().code, ErrorCode::kInvalidArgument);
    const std::string deep = folder / std::string(120, 'x');
    const auto first = prepare_run_folder(deep, "");
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(*prepare_run_folder(deep, ""), *first);
    struct stat info {};
    ASSERT_EQ(::stat(first->c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
    std::filesystem::remove_all(*first);
}

TEST(Launch, ModelSources) {
    TempFolder folder;
    protocol::InstanceSpec spec = engine_spec(folder);
    EXPECT_TRUE(check_model(spec, spec.source.substr(5)).ok());
    EXPECT_FALSE(check_model(spec, "relative.gguf").ok());
    EXPECT_TRUE(check_model(spec, "").error().message.starts_with("invalid model file: "));
    EXPECT_FALSE(check_model(spec, "/dev/zero").ok());
    EXPECT_FALSE(check_model(spec, "/proc/self/environ").ok());
    spec.backend = BackendKind::kCustom;
    EXPECT_TRUE(check_model(spec, "").ok()) << "a custom program knows itself";
    const std::string path = folder / "model.gguf";
    const std::string before = platform::file_identity(path);
    EXPECT_EQ(platform::file_identity(path), before);
    write_text(path, "longer or shorter");
    EXPECT_NE(platform::file_identity(path), before);
    EXPECT_EQ(platform::file_identity(folder / "none"), "absent");
    // A folder by what is in it, so that a file that is copied to its end in place counts.
    const std::string of_folder = platform::file_identity(folder.path());
    EXPECT_EQ(platform::file_identity(folder.path()), of_folder);
    write_text(path, "copied to its end");
    EXPECT_NE(platform::file_identity(folder.path()), of_folder);
}

}  // namespace
}  // namespace gantry::worker
