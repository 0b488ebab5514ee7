#include "protocol/worker/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/json.h"

namespace gantry::protocol {
namespace {

using testing::HasSubstr;
using testing::Not;

// Values of any kind by seed: what a machine may have, and what nobody would.
class Anything {
public:
    explicit Anything(uint64_t seed) : random_(seed) {}

    uint64_t number(uint64_t below) { return std::uniform_int_distribution<uint64_t>(0, below - 1)(random_); }
    double share() { return static_cast<double>(number(1025)) / 1024; }   // exact as text
    bool chance() { return number(2) == 0; }
    std::string word(size_t length = 8) {
        std::string out;
        for (size_t i = 0; i < length; ++i) out += "abcdefghijklmnopqrstuvwxyz0123456789"[number(36)];
        return out;
    }
    // `wild`: any bytes, of any length near the bounds; else plain and short.
    std::string text(bool wild) {
        if (!wild) return word(number(20)) + (chance() ? " ü 模型" : "");
        std::string out(number(kReportedTextBytesMax + 200), ' ');
        for (char& c : out) c = static_cast<char>(number(256));
        return out;
    }
    Device device(uint32_t index, bool wild) {
        Device d;
        d.vendor = word(4) + std::to_string(index);
        d.index = index;
        for (std::string* field : {&d.name, &d.uuid, &d.chip, &d.driver_version, &d.runtime_version, &d.bus_address, &d.partition,
                                   &d.details, &d.problem}) {
            *field = text(wild);
        }
        d.memory_total_bytes = number(kReportedBytesMax);
        d.memory_free_bytes = wild ? ~0ull : number(kReportedBytesMax);
        d.unified_memory = chance();
        d.cores = static_cast<uint32_t>(number(512));
        d.utilization = share();
        if (chance()) d.temperature_celsius = share() * 100;
        if (chance()) d.numa_node = static_cast<uint32_t>(number(8));
        for (size_t i = number(3); i > 0; --i) {
            NumaNode& node = d.numa_nodes.emplace_back(NumaNode{.node = static_cast<uint32_t>(i)});
            node.cores = text(wild);
            if (chance()) node.core_count = static_cast<uint32_t>(number(512));
            if (chance()) node.memory_total_bytes = number(kReportedBytesMax);
            if (chance()) node.memory_free_bytes = number(kReportedBytesMax);
            for (size_t k = number(3); k > 0; --k) node.distances.push_back(static_cast<uint32_t>(number(255)));
        }
        for (size_t i = number(4); i > 0; --i) d.links.push_back({static_cast<uint32_t>(i), text(wild)});
        for (size_t i = number(4); i > 0; --i) {
            d.processes.push_back({static_cast<int64_t>(number(99999)), text(wild), number(1u << 30), InstanceId("ins_" + word())});
        }
        return d;
    }
    InstanceReport instance(uint32_t index, bool wild) {
        InstanceReport r;
        r.id = InstanceId("ins_" + word() + std::to_string(index));
        r.state = static_cast<InstanceState>(number(8));
        r.reason = text(wild);
        r.state_since = from_unix_ms(static_cast<int64_t>(number(1ull << 41)));
        r.progress = share();
        r.endpoint = text(wild);
        r.api_key = word(32);
        r.pid = static_cast<int64_t>(number(1u << 22));
        r.restarts = static_cast<uint32_t>(number(1000));
        r.memory_bytes = number(1ull << 40);
        r.memory_private_bytes = number(1ull << 40);
        r.memory_peak_bytes = number(1ull << 40);
        return r;
    }
    WorkerReport report(bool wild) {
        WorkerReport r;
        r.worker_id = WorkerId("wrk_" + word());
        for (std::string* field : {&r.name, &r.address, &r.version, &r.os, &r.arch}) *field = text(wild);
        for (uint32_t i = 0; i < number(6); ++i) r.devices.push_back(device(i, wild));
        for (size_t i = number(4); i > 0; --i) r.device_notes.push_back(text(wild));
        for (size_t i = number(4); i > 0; --i) {
            r.programs.push_back({text(wild), text(wild), text(wild), {}});
            for (uint32_t k = 0; k < number(4); ++k) r.programs.back().refusals.push_back({word(), k, text(wild)});
        }
        for (uint32_t i = 0; i < number(6); ++i) r.instances.push_back(instance(i, wild));
        r.applied = word(32);
        return r;
    }
    Assignment assignment() {
        Assignment a;
        for (size_t i = number(5); i > 0; --i) {
            InstanceSpec s;
            s.id = InstanceId("ins_" + word());
            s.deployment_id = DeploymentId("dep_" + word());
            s.deployment_name = word();
            s.index = static_cast<uint32_t>(i);
            s.generation = static_cast<int64_t>(number(100)) + 1;
            s.source = "file:/m/" + word();
            s.backend = kBackendKinds[number(std::size(kBackendKinds))];
            s.options.context_tokens = static_cast<uint32_t>(number(1u << 20));
            s.options.extra_args = {"--chat-template", "{{ a }}\n{{ b }}"};
            s.options.env = {{"A", word()}, {"B", "two\nlines"}};
            s.options.command = {word(), word()};
            s.placement.claims = {{WorkerId("wrk_" + word()), {"nvidia", 1}, number(1ull << 40), 3, share()},
                                  {WorkerId("wrk_" + word()), {"cpu", 0}, number(1ull << 40), 0, 0}};
            s.placement.ranks = static_cast<uint32_t>(number(8));
            s.placement.kv_bytes = number(1ull << 40);
            a.run.push_back(std::move(s));
        }
        a.revision = revision_of(a);
        return a;
    }

private:
    std::mt19937_64 random_;
};

ExchangeRequest request_of(WorkerReport report) {
    ExchangeRequest request;
    request.incarnation = "abc123";
    request.machine_id = "m1";
    request.epoch = 7;
    request.held = "r1";
    request.report = std::move(report);
    return request;
}

TEST(worker_codec, reports_come_back_as_they_were) {
    for (uint64_t seed = 0; seed < 200; ++seed) {
        const WorkerReport report = Anything(seed).report(false);
        const auto read = decode_exchange_request(encode(request_of(report)));
        ASSERT_TRUE(read.ok()) << "seed " << seed << ": " << read.error().message;
        EXPECT_EQ(read->report, report) << "seed " << seed;
        EXPECT_EQ(read->incarnation, "abc123");
        EXPECT_EQ(read->machine_id, "m1");
        EXPECT_EQ(read->epoch, 7);
        EXPECT_EQ(read->held, "r1");
    }
}

TEST(worker_codec, whatever_an_honest_worker_holds_is_taken) {
    for (uint64_t seed = 0; seed < 100; ++seed) {
        const WorkerReport report = Anything(seed).report(true);
        const auto read = decode_exchange_request(encode(request_of(report)));
        ASSERT_TRUE(read.ok()) << "seed " << seed << ": " << read.error().message;
        EXPECT_EQ(read->report, cleaned(report)) << "seed " << seed;
        EXPECT_EQ(cleaned(read->report), read->report) << "cleaned once is clean, seed " << seed;
    }
}

TEST(worker_codec, assignments_come_back_as_they_were) {
    for (uint64_t seed = 0; seed < 200; ++seed) {
        ExchangeAnswer answer{.epoch = 3, .assignment = Anything(seed).assignment()};
        const auto read = decode_exchange_answer(encode(answer));
        ASSERT_TRUE(read.ok()) << "seed " << seed << ": " << read.error().message;
        EXPECT_EQ(read->assignment, answer.assignment) << "seed " << seed;
        EXPECT_EQ(revision_of(read->assignment), answer.assignment.revision);
        EXPECT_EQ(read->epoch, 3);
    }
}

TEST(worker_codec, what_is_unchanged_is_a_few_bytes) {
    ExchangeRequest request = request_of(Anything(1).report(false));
    const std::string hash = hash_of(request.report);
    request.report.applied = "another";
    EXPECT_EQ(hash_of(request.report), hash) << "what was acted on is no part of the report's hash";
    request.report.device_notes.emplace_back("new");
    EXPECT_NE(hash_of(request.report), hash);
    request.hash = hash;
    request.same = true;
    request.applied = "r1";
    const std::string text = encode(request);
    EXPECT_LT(text.size(), 200u) << text;
    const auto read = decode_exchange_request(text);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_TRUE(read->same);
    EXPECT_EQ(read->hash, hash);
    EXPECT_EQ(read->applied, "r1");

    Assignment assignment = Anything(2).assignment();
    assignment.run.emplace_back();
    ExchangeAnswer answer{.epoch = 1, .unchanged = true, .assignment = assignment};
    EXPECT_THAT(encode(answer), Not(HasSubstr("run")));
    const auto unchanged = decode_exchange_answer(encode(answer));
    ASSERT_TRUE(unchanged.ok());
    EXPECT_TRUE(unchanged->unchanged);
    EXPECT_NE(revision_of(assignment), revision_of(Assignment{}));
}

struct Bad {
    const char* path;
    void (*spoil)(json::object& report);
};
class BrokenReport : public testing::TestWithParam<Bad> {};

TEST_P(BrokenReport, is_refused_by_path) {
    WorkerReport report;
    report.devices.resize(2);
    report.devices[0].vendor = report.devices[1].vendor = "cpu";
    report.devices[1].index = 1;
    report.devices[0].processes.resize(1);
    report.instances.resize(2);
    report.instances[0].id = InstanceId("ins_a");
    report.instances[1].id = InstanceId("ins_b");
    json::value body = parse_json(encode(request_of(report))).value();
    ASSERT_TRUE(decode_exchange_request(json::serialize(body)).ok());
    GetParam().spoil(body.at("report").as_object());
    const auto read = decode_exchange_request(json::serialize(body));
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().param, GetParam().path) << read.error().message;
    EXPECT_THAT(read.error().message, HasSubstr(GetParam().path));
}

json::object& device(json::object& report, size_t index) { return report.at("devices").as_array().at(index).as_object(); }
json::object& instance(json::object& report, size_t index) { return report.at("instances").as_array().at(index).as_object(); }

INSTANTIATE_TEST_SUITE_P(
    worker_codec, BrokenReport,
    testing::Values(
        Bad{"report.name", [](json::object& r) { r["name"] = std::string(257, 'n'); }},
        Bad{"report.name", [](json::object& r) { r["name"] = 5; }},
        Bad{"report.os", [](json::object& r) { r["os"] = "lin\x1b[2Jux"; }},
        Bad{"report.devices", [](json::object& r) { r["devices"] = json::array(1025, json::object()); }},
        Bad{"report.devices", [](json::object& r) { r["devices"] = "many"; }},
        Bad{"report.device_notes", [](json::object& r) { r["device_notes"] = json::array(1025, ""); }},
        Bad{"report.device_notes[0]", [](json::object& r) { r["device_notes"] = json::array{std::string(5000, 'x')}; }},
        Bad{"report.programs", [](json::object& r) { r["programs"] = json::array(1025, json::object()); }},
        Bad{"report.programs[0].path", [](json::object& r) { r["programs"] = json::array{json::object{{"path", "/opt\n/vllm"}}}; }},
        Bad{"report.programs[0].refusals[0].index",
            [](json::object& r) {
                r["programs"] = json::array{json::object{{"refusals", json::array{json::object{{"vendor", "cpu"}, {"index", -1}}}}}};
            }},
        Bad{"report.instances", [](json::object& r) { r["instances"] = json::array(4097, json::object()); }},
        Bad{"report.devices[1].vendor", [](json::object& r) { device(r, 1)["vendor"] = "CPU/0"; }},
        Bad{"report.devices[1].index", [](json::object& r) { device(r, 1)["index"] = -1; }},
        Bad{"report.devices[1]", [](json::object& r) { device(r, 1)["index"] = 0; }},
        Bad{"report.devices[1].memory_total_bytes", [](json::object& r) { device(r, 1)["memory_total_bytes"] = 1ull << 60; }},
        Bad{"report.devices[0].processes[0].name",
            [](json::object& r) { device(r, 0).at("processes").as_array()[0].as_object()["name"] = std::string(300, 'p'); }},
        Bad{"report.devices[0].links", [](json::object& r) { device(r, 0)["links"] = json::array(1025, json::object()); }},
        Bad{"report.instances[1].id", [](json::object& r) { instance(r, 1)["id"] = "../../etc"; }},
        Bad{"report.instances[1]", [](json::object& r) { instance(r, 1)["id"] = "ins_a"; }},
        Bad{"report.instances[0].state", [](json::object& r) { instance(r, 0)["state"] = "glorious"; }},
        Bad{"report.instances[0].pid", [](json::object& r) { instance(r, 0)["pid"] = -4; }},
        Bad{"report.instances[0].restarts", [](json::object& r) { instance(r, 0)["restarts"] = 1ull << 40; }},
        Bad{"report.instances[0].memory_peak_bytes", [](json::object& r) { instance(r, 0)["memory_peak_bytes"] = 1ull << 60; }},
        Bad{"report.instances[0].reason", [](json::object& r) { instance(r, 0)["reason"] = "a\nb"; }}));

TEST(worker_codec, what_is_no_exchange_is_refused) {
    for (const std::string body : {"", "[]", "null", "{", "{\"incarnation\":5}", "{}", "{\"incarnation\":\"A B\"}"}) {
        EXPECT_FALSE(decode_exchange_request(body).ok()) << body;
    }
    EXPECT_EQ(decode_exchange_request(std::string(kExchangeBytesMax + 1, ' ')).error().code, ErrorCode::kTooLarge);
    EXPECT_FALSE(decode_exchange_answer("[]").ok());
}

TEST(worker_codec, a_backend_that_is_unknown_here_is_a_word_like_any_other) {
    const auto read = decode_exchange_request(
        R"({"incarnation":"a","report":{"programs":[{"backend":"of-tomorrow","path":"/opt/t","extra":1}]}})");
    ASSERT_TRUE(read.ok()) << read.error().message;
    ASSERT_EQ(read->report.programs.size(), 1u);
    EXPECT_EQ(read->report.programs[0].backend, "of-tomorrow");
}

TEST(worker_codec, fields_of_another_version_pass) {
    const auto read = decode_exchange_request(R"({"incarnation":"a","colour":"red","report":{"worker_id":"wrk_1","smell":1}})");
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->report.worker_id.text, "wrk_1");
}

TEST(worker_codec, times_beyond_all_calendars_are_cut) {
    const auto read = decode_exchange_request(
        R"({"incarnation":"a","report":{"instances":[{"id":"i","state_since_ms":9223372036854775807},{"id":"j","state_since_ms":-5}]}})");
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(to_rfc3339(read->report.instances[0].state_since), "9999-12-31T23:59:59.999Z");
    EXPECT_EQ(to_unix_ms(read->report.instances[1].state_since), 0);
}

}  // namespace
}  // namespace gantry::protocol
