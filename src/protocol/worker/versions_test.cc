// Two versions of server and worker: which work together, and that they understand each other. tests/data/worker_link/ has what earlier
// ones said.
#include "protocol/worker/versions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/json.h"
#include "protocol/worker/codec.h"
#include "protocol/worker/join.h"

namespace gantry::protocol {
namespace {

using testing::HasSubstr;

std::string recorded(const std::string& name) {
    std::ifstream file(std::string(GANTRY_SOURCE_DIR) + "/tests/data/worker_link/v1/" + name);
    EXPECT_TRUE(file.is_open()) << name;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// What `now` lacks of `before`, or says otherwise: the first path of it; empty: nothing.
std::string lost(const json::value& before, const json::value& now, const std::string& path = "") {
    if (before.is_object() && now.is_object()) {
        for (const auto& field : before.get_object()) {
            const std::string deeper = path + "/" + std::string(field.key());
            const json::value* const there = now.get_object().if_contains(field.key());
            if (there == nullptr) return deeper;
            if (std::string found = lost(field.value(), *there, deeper); !found.empty()) return found;
        }
        return {};
    }
    if (before.is_array() && now.is_array()) {
        if (before.get_array().size() != now.get_array().size()) return path;
        for (size_t i = 0; i < before.get_array().size(); ++i) {
            if (std::string found = lost(before.at(i), now.at(i), path + "/" + std::to_string(i)); !found.empty()) return found;
        }
        return {};
    }
    return before == now ? "" : path;
}

// The same as a gantry of later would say it: with fields that nobody here knows, everywhere. Maps, whose keys are anybody's, have none.
void grow(json::value& value) {
    if (value.is_array()) {
        for (json::value& item : value.get_array()) grow(item);
    } else if (value.is_object()) {
        for (auto& field : value.get_object()) {
            if (field.key() != "env" && field.key() != "labels") grow(field.value());
        }
        value.get_object()["of_next_year"] = json::object{{"deep", json::array{1, "x", nullptr}}};
    }
}
std::string grown(const std::string& text) {
    json::value value = parse_json(text).value();
    grow(value);
    return json::serialize(value);
}

// Read, and written again by the codec of today.
template <class Message>
void expect_understood(const std::string& name, Result<Message> (*decode)(std::string_view)) {
    SCOPED_TRACE(name);
    const std::string text = recorded(name);
    const Result<Message> read = decode(text);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(lost(parse_json(text).value(), parse_json(encode(*read)).value()), "") << "an older gantry reads that, and misses it";
    const Result<Message> later = decode(grown(text));
    ASSERT_TRUE(later.ok()) << later.error().message;
    EXPECT_EQ(encode(*later), encode(*read)) << "what is unknown is passed over";
}

TEST(link_versions, what_an_older_worker_and_an_older_server_say_is_understood) {
    expect_understood("report.json", decode_exchange_request);
    expect_understood("report_same.json", decode_exchange_request);
    expect_understood("answer.json", decode_exchange_answer);
    expect_understood("answer_unchanged.json", decode_exchange_answer);
    expect_understood("answer_resend.json", decode_exchange_answer);
    expect_understood("join_request.json", decode_join_request);
    expect_understood("join_answer.json", decode_join_answer);
    expect_understood("renew_request.json", decode_renew_request);
}

TEST(link_versions, what_an_older_one_left_out_has_the_meaning_of_before) {
    const ExchangeRequest request = decode_exchange_request(recorded("report.json")).value();
    EXPECT_EQ(request.link_version, 0);
    EXPECT_EQ(request.report.devices.size(), 2u);
    EXPECT_EQ(request.report.data_address, "");
    EXPECT_TRUE(request.report.programs.empty());
    for (const InstanceReport& one : request.report.instances) EXPECT_EQ(one.attempt, 0u) << "no part of an instance of several workers";
    const ExchangeAnswer answer = decode_exchange_answer(recorded("answer.json")).value();
    EXPECT_EQ(answer.link_version, 0);
    for (const InstanceSpec& one : answer.assignment.run) EXPECT_TRUE(one.peers.empty() && one.part == 0 && one.waits_for.empty());
}

// A word that an older gantry doesn't know makes all of a message unreadable for it. A new one needs a new version, and may be sent only to
// who speaks that.
TEST(link_versions, no_word_is_new) {
    std::set<std::string> states, backends;
    const json::value report = parse_json(recorded("report.json")).value(), answer = parse_json(recorded("answer.json")).value();
    for (const auto& one : report.at_pointer("/report/instances").as_array()) {
        states.emplace(one.at("state").as_string());
    }
    for (const auto& one : answer.at_pointer("/assignment/run").as_array()) {
        backends.emplace(one.at("backend").as_string());
    }
    for (const BackendKind backend : kBackendKinds) EXPECT_TRUE(backends.contains(to_string(backend))) << to_string(backend);
    for (const InstanceState state : {InstanceState::kScheduled, InstanceState::kDownloading, InstanceState::kStarting, InstanceState::kRunning,
                                      InstanceState::kStopping, InstanceState::kError}) {   // what workers report
        EXPECT_TRUE(states.contains(to_string(state))) << to_string(state);
    }
}

TEST(link_versions, one_apart_works_and_more_is_refused_with_what_to_do) {
    EXPECT_TRUE(check_link_versions(0, 0).ok());
    for (int64_t server = 1; server < 8; ++server) {
        for (int64_t worker = 1; worker < 8; ++worker) {
            const Status fits = check_link_versions(worker, server);
            EXPECT_EQ(fits.ok(), worker - server <= 1 && server - worker <= 1) << worker << " " << server;
        }
    }
    EXPECT_TRUE(check_link_versions(0, 2).ok()) << "who says none is version 1";
    const Status old = check_link_versions(0, 3);
    ASSERT_FALSE(old.ok());
    EXPECT_EQ(old.error().reason, "worker_too_old");
    EXPECT_THAT(old.error().message, HasSubstr("version 1"));
    EXPECT_THAT(old.error().message, HasSubstr("upgrade the worker's"));
    const Status young = check_link_versions(5, 3);
    ASSERT_FALSE(young.ok());
    EXPECT_EQ(young.error().code, ErrorCode::kConflict);
    EXPECT_EQ(young.error().reason, "worker_too_new");
    EXPECT_THAT(young.error().message, HasSubstr("upgrade the server's first"));
    EXPECT_TRUE(check_link_versions(kLinkVersion, kLinkVersion).ok());
    EXPECT_FALSE(check_link_versions(std::numeric_limits<int64_t>::max(), 0).ok());
    EXPECT_TRUE(check_link_versions(std::numeric_limits<int64_t>::min(), 0).ok()) << "nonsense is none";
}

}  // namespace
}  // namespace gantry::protocol
