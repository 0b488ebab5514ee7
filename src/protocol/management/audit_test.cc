// What the audit log says was changed, and that no secret gets into it.

#include <gtest/gtest.h>

#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

json::object object(const char* text) { return parse_json(text).value().get_object(); }

using Changes = std::vector<AuditChange>;
constexpr std::nullopt_t kNone = std::nullopt;

TEST(audit, changes_of_an_edit) {
    const json::object before = object(
        R"({"id":"d","name":"a","replicas":1,"stopped":false,"limit":null,"options":{"threads":2,"extra_args":["-x"],"gone":1},"version":1})");
    const json::object after = object(
        R"({"id":"d","name":"a","replicas":3,"stopped":false,"limit":5,"options":{"threads":4,"extra_args":["-x","-y"]},"version":2,
            "status":{"state":"running"},"updated_at":"now"})");
    EXPECT_EQ(changes_between(before, after),
              (Changes{{"replicas", "1", "3"}, {"limit", kNone, "5"}, {"options.threads", "2", "4"},
                       {"options.extra_args", R"(["-x"])", R"(["-x","-y"])"}, {"options.gone", "1", kNone}}));
    EXPECT_EQ(changes_between(before, before), Changes());
}

TEST(audit, secrets_are_named_and_not_shown) {
    const json::object before = object(
        R"({"options":{"env":{"HF_TOKEN":"hf_old","GONE":"x","SAME":"s"},"command":["a"]},"api_key":"k1","max_tokens":5,
            "must_change_password":false})");
    const json::object after = object(
        R"({"options":{"env":{"HF_TOKEN":"hf_new","NEW":"y","SAME":"s"},"command":["a","--Api-Key","hidden"]},"api_key":"k2",
            "max_tokens":null,"must_change_password":true})");
    const Changes changes = changes_between(before, after);
    EXPECT_EQ(changes, (Changes{{"options.env.HF_TOKEN", kNone, kNone}, {"options.env.NEW", kNone, kNone}, {"options.env.GONE", kNone, kNone},
                                {"options.command", kNone, kNone}, {"api_key", kNone, kNone}, {"max_tokens", "5", kNone},
                                {"must_change_password", "false", "true"}}));
    EXPECT_EQ(changes_of_body(object(R"({"name":"u","password":"p4ssw0rd","role":"user"})"), nullptr),
              (Changes{{"name", kNone, "u"}, {"password", kNone, kNone}, {"role", kNone, "user"}}));
}

TEST(audit, values_and_their_number_are_bounded) {
    json::object after;
    for (int i = 0; i < 300; ++i) after["f" + std::to_string(i)] = i;
    EXPECT_EQ(changes_between({}, after).size(), 100u);
    const std::string text = std::string(1023, 'x') + "模型";
    const Changes cut = changes_between({}, {{"note", text}});
    ASSERT_EQ(cut.size(), 1u);
    EXPECT_EQ(cut[0].to, std::string(1023, 'x') + "...") << "whole characters";
}

TEST(audit, csv_has_the_fields_of_the_object) {
    AuditEvent event;
    event.object_name = "=cmd()";
    event.changes = {{"replicas", "1", "2"}, {"password", kNone, kNone}};
    event.status = 200;
    std::string csv;
    audit_csv_header(csv);
    std::string names;
    for (const auto& field : to_json(event)) names += (names.empty() ? "" : ",") + std::string(field.key());
    EXPECT_EQ(csv, names + "\r\n");
    csv.clear();
    add_csv(csv, event);
    EXPECT_NE(csv.find(",'=cmd(),\"replicas: 1 -> 2; password\","), std::string::npos) << csv;
}

TEST(audit, usage_csv_has_the_fields_of_the_object) {
    const auto names = [](const json::object& shown) {
        std::string out;
        for (const auto& field : shown) out += (out.empty() ? "" : ",") + std::string(field.key());
        return out + "\r\n";
    };
    std::string records, summary;
    usage_csv_header(records);
    EXPECT_EQ(records, names(to_json(UsageRecord{}, {})));
    usage_summary_csv_header(summary);
    EXPECT_EQ(summary, names(to_json(UsageSummary{}, {}, {})));
    std::string line;
    add_csv(line, UsageRecord{}, {"+ann", "a,b"});
    EXPECT_EQ(line, ",1970-01-01T00:00:00.000Z,,'+ann,,\"a,b\",,,,0,false,false,0,0,0,0,0,0,0,0\r\n");
    line.clear();
    add_csv(line, UsageSummary{}, {});
    EXPECT_EQ(line, ",,,,,,,,0,0,0,0,0,0,0,0,0,0,0,0,0\r\n");
}

}  // namespace
}  // namespace gantry::protocol::management
