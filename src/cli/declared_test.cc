// Declared deployments: what is read, what differs, and that an export says what is there.
#include "cli/declared.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/output.h"

namespace gantry::cli {
namespace {

using testing::HasSubstr;

json::array as_there(const std::vector<json::object>& declared) {
    json::array there;
    for (json::object one : declared) {
        one["id"] = "dep_" + text_at(one, "name");
        one["version"] = 3;
        one["status"] = json::object{{"state", "running"}};
        there.emplace_back(std::move(one));
    }
    return there;
}

std::vector<json::object> read(const std::string& text) {
    auto declared = read_declared(text);
    EXPECT_TRUE(declared.ok()) << (declared ? "" : declared.error().message);
    return declared ? *declared : std::vector<json::object>{};
}

TEST(Declared, WhatIsLeftOutHasItsDefault) {
    const auto declared = read(R"({"deployments":[{"name":"a","source":"file:/m.gguf","options":{"threads":2}}]})");
    ASSERT_EQ(declared.size(), 1u);
    EXPECT_EQ(declared[0].at("replicas").to_number<int>(), 1);
    EXPECT_EQ(declared[0].at("backend").as_string(), "engine");
    EXPECT_EQ(declared[0].at("options").at("threads").to_number<int>(), 2);
    EXPECT_EQ(declared[0].at("options").at("context_tokens").to_number<int>(), 0);
    EXPECT_EQ(declared[0].at("rollout").at("max_surge").to_number<int>(), 1);
    EXPECT_EQ(read(R"({"deployments":[{"name":"a","source":"/x/../m.gguf"}]})")[0].at("source").as_string(), "file:/m.gguf");
}

TEST(Declared, WrongFilesAreNamed) {
    const auto why = [](const std::string& text) {
        const auto declared = read_declared(text);
        return declared ? std::string("taken") : declared.error().message;
    };
    EXPECT_THAT(why("deployments: []"), HasSubstr("JSON"));
    EXPECT_THAT(why("[]"), HasSubstr("\"deployments\""));
    EXPECT_THAT(why(R"({"deployments":[],"routes":[]})"), HasSubstr("nothing but"));
    EXPECT_THAT(why(R"({"deployments":[1]})"), HasSubstr("deployment 1 of the file is no object"));
    EXPECT_THAT(why(R"({"deployments":[{"name":"a"}]})"), HasSubstr("deployment 1 of the file (\"a\"): "));
    EXPECT_THAT(why(R"({"deployments":[{"name":"a","source":"file:/m","replica":2}]})"), HasSubstr("replica"));
    EXPECT_THAT(why(R"({"deployments":[{"name":"a","source":"file:/m"},{"name":"a","source":"file:/n"}]})"), HasSubstr("\"a\" twice"));
}

TEST(Declared, DifferencesAreFields) {
    const auto before = read(R"({"deployments":[{"name":"a","source":"file:/m"},{"name":"b","source":"file:/m"},{"name":"c","source":"file:/m"}]})");
    const auto after = read(R"({"deployments":[{"name":"b","source":"file:/m","replicas":2,"options":{"threads":4,"env":{"A":"1"}}},
                                               {"name":"c","source":"file:/m"},{"name":"d","source":"file:/m"}]})");
    const Difference difference = compare(after, as_there(before));
    ASSERT_EQ(difference.created.size(), 1u);
    EXPECT_EQ(text_at(difference.created[0].wanted, "name"), "d");
    EXPECT_EQ(difference.unchanged, std::vector<std::string>{"c"});
    ASSERT_EQ(difference.undeclared.size(), 1u);
    EXPECT_EQ(text_at(difference.undeclared[0], "name"), "a");
    ASSERT_EQ(difference.changed.size(), 1u);
    std::vector<std::string> fields;
    for (const FieldChange& c : difference.changed[0].changes) fields.push_back(c.field + "=" + json::serialize(c.to));
    EXPECT_THAT(fields, testing::UnorderedElementsAre("replicas=2", "options.threads=4", R"(options.env={"A":"1"})"));
}

TEST(Declared, AQuantizationThatTheServerChoseIsNoDifference) {
    const auto there = read(R"({"deployments":[{"name":"a","source":"hf:o/m:Q6_K"}]})");
    const auto same = [&](const std::string& source) {
        return compare(read(R"({"deployments":[{"name":"a","source":")" + source + R"("}]})"), as_there(there)).changed.empty();
    };
    EXPECT_TRUE(same("hf:o/m"));
    EXPECT_TRUE(same("hf:o/m:Q6_K"));
    EXPECT_FALSE(same("hf:o/m:Q8_0"));
    EXPECT_FALSE(same("hf:o/n"));
    EXPECT_FALSE(same("hf:o/m@v2"));
}

TEST(Declared, AnExportIsTakenUnchanged) {
    const auto declared = read(R"({"deployments":[
        {"name":"org/a:q4","source":"file:/models/with \"quotes\".gguf","replicas":0,"stopped":true},
        {"name":"b","source":"file:/m","idle_timeout_seconds":600,"backend":"custom",
         "options":{"command":["x","{{model}}"],"env":{"K":"v=w"},"context_tokens":4096},
         "placement":{"strategy":"binpack","worker_labels":{"room":"lab"},"cpu_offload":false},
         "rollout":{"strategy":"recreate","max_unavailable":1,"ready_seconds":60}},
        {"name":"c","source":"file:/m"}]})");
    ASSERT_EQ(declared.size(), 3u);
    const std::string text = export_text(as_there(declared));
    EXPECT_EQ(read(text), declared) << text;
    EXPECT_THAT(text, HasSubstr(R"({"name":"c","source":"file:/m"})")) << "defaults are left out";
    EXPECT_TRUE(read(export_text({})).empty());
}

}  // namespace
}  // namespace gantry::cli
