// Panels over one stream: tagged, whole, each with its own fate.
#include <map>

#include "control/control_test_support.h"

namespace gantry::control {
namespace {

class CompareTest : public testing::Test {
protected:
    TempDir dir_;
    Plane plane_{dir_.path()};

    // The events of each panel, in order, as "chunk", "error", "done"; and what they held.
    struct Seen {
        std::map<int64_t, std::vector<std::string>> kinds;
        std::map<int64_t, std::vector<json::value>> data;
    };
    Seen seen_of(const Reply& reply) {
        Seen seen;
        http::SseReader reader;
        const auto events = reader.feed(reply.text);
        for (const http::SseEvent& event : events.value()) {
            const json::value data = parse_json(event.data).value();
            const int64_t panel = data.at("panel").to_number<int64_t>();
            seen.kinds[panel].push_back(event.event);
            seen.data[panel].push_back(data);
        }
        return seen;
    }
};

TEST_F(CompareTest, each_panel_is_answered_and_one_that_is_refused_does_not_end_the_others) {
    const Reply reply = plane_.ask("POST", "/api/v1/compare", R"({"panels":[{"model":"a"},{"model":"refused"},{"model":"b","stream":false}]})");
    ASSERT_EQ(reply.status, 200) << reply.text;
    EXPECT_EQ(reply.headers.get("content-type"), "text/event-stream");
    Seen seen = seen_of(reply);
    const std::vector<std::string> answered{"chunk", "chunk", "done"};
    const std::vector<std::string> refused{"error", "done"};
    EXPECT_EQ(seen.kinds[0], answered);
    EXPECT_EQ(seen.kinds[1], refused);
    EXPECT_EQ(seen.kinds[2], answered);
    EXPECT_EQ(seen.data[0][0].at_pointer("/chunk/model").as_string(), "a");
    EXPECT_EQ(seen.data[0][1].at_pointer("/chunk/second").as_string(), "admin") << "each is asked as who asked for all";
    EXPECT_EQ(seen.data[1][0].at_pointer("/body/error/code").as_string(), "y");
    EXPECT_TRUE(seen.data[2][0].at_pointer("/chunk/asked/stream").as_bool()) << "they stream, whatever was asked";
    EXPECT_TRUE(seen.data[2][0].at_pointer("/chunk/asked/stream_options/include_usage").as_bool());
}

TEST_F(CompareTest, what_is_no_comparison_is_refused) {
    for (const char* body : {"{}", R"({"panels":[]})", R"({"panels":[1]})", R"({"panels":{}})", R"({"panels":[{}],"more":1})"}) {
        EXPECT_EQ(plane_.ask("POST", "/api/v1/compare", body).status, 400) << body;
    }
    std::string many = R"({"panels":[{"model":"a"})";
    for (int i = 0; i < 16; ++i) many += R"(,{"model":"a"})";
    EXPECT_EQ(plane_.ask("POST", "/api/v1/compare", many + "]}").status, 400) << "17 panels";
    EXPECT_EQ(plane_.ask("POST", "/api/v1/compare", R"({"panels":[{"model":"a"}]})", "").status, 401);
}

TEST_F(CompareTest, a_client_that_leaves_ends_its_panels) {
    http::Client::Call call{"POST", "/api/v1/compare", {}, R"({"panels":[{"model":"slow"},{"model":"a"},{"model":"slow"}]})"};
    call.headers.set("authorization", "Bearer " + plane_.key_of("ann", "user"));
    std::string text;
    const auto got = http::fetch_stream(plane_.endpoint(), call, [&text](std::string_view bytes) {
        text += bytes;
        return text.find("done") == std::string::npos;   // the quick one is through: leave
    });
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_TRUE(eventually([this] { return plane_.chat().left == 2; }));
}

}  // namespace
}  // namespace gantry::control
