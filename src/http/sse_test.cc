#include <gmock/gmock.h>

#include "http/http.h"

namespace gantry::http {
namespace {

std::string show(const std::vector<SseEvent>& events) {
    std::string text;
    for (const SseEvent& event : events) text += "<" + event.event + "|" + event.data + ">";
    return text;
}

// The events must not depend on how the bytes were cut.
std::string read_cut(const std::string& text, size_t step) {
    SseReader reader;
    std::string all;
    for (size_t i = 0; i < text.size(); i += step) {
        auto events = reader.feed(std::string_view(text).substr(i, step));
        EXPECT_TRUE(events.ok());
        all += show(*events);
    }
    return all + (reader.mid_event() ? "..." : "");
}

TEST(SseReader, ReadsEventsHoweverTheyAreCut) {
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"data: a\n\n", "<|a>"},
        {"data:a\r\n\r\ndata: b\r\rdata: c\n\n", "<|a><|b><|c>"},
        {"event: e\ndata: 1\ndata: 2\n\n", "<e|1\n2>"},
        {": ping\n\ndata\n\n", "<|>"},
        {"event: lost\n\ndata: x\n\n", "<|x>"},
        {"\xEF\xBB\xBF" "data: bom\n\n", "<|bom>"},
        {"id: 7\nretry: 9\ndata:  two spaces\n\n", "<| two spaces>"},
        {"data: [DONE]\n\ndata: rest", "<|[DONE]>..."},
        {"data: a\n", "..."},
        {"dat: a\n\n", ""},
    };
    for (const auto& [text, expected] : rows) {
        for (const size_t step : {1u, 2u, 3u, 1000u}) EXPECT_EQ(read_cut(text, step), expected) << text << " by " << step;
    }
}

TEST(SseReader, BoundsLinesAndEvents) {
    SseReader line(100);
    EXPECT_TRUE(line.feed("data: " + std::string(90, 'x')).ok());
    const auto over = line.feed("xxxxxxx");
    ASSERT_FALSE(over.ok());
    EXPECT_EQ(over.error().code, ErrorCode::kInvalidArgument);
    SseReader event(100);
    bool failed = false;
    for (int i = 0; i < 50 && !failed; ++i) failed = !event.feed("data: xxxx\n").ok();
    EXPECT_TRUE(failed);
}

TEST(SseEvent, SurvivesTheWayThroughTheReader) {
    for (const std::string data : {"", "one", "two\nlines", "cr\rand\r\nboth", "\n", "ends\n"}) {
        SseReader reader;
        const auto events = reader.feed(sse_event(data, "kind"));
        ASSERT_TRUE(events.ok());
        ASSERT_EQ(events->size(), 1u) << data;
        std::string expected = data;
        for (size_t at; (at = expected.find("\r\n")) != std::string::npos;) expected.replace(at, 2, "\n");
        for (char& c : expected) c = c == '\r' ? '\n' : c;
        EXPECT_EQ((*events)[0].data, expected);
        EXPECT_EQ((*events)[0].event, "kind");
    }
    EXPECT_EQ(sse_event("x"), "data: x\n\n");
    EXPECT_EQ(sse_event("x", "a\ndata: forged"), "event: a\ndata: x\n\n");
    SseReader reader;
    EXPECT_TRUE(reader.feed(kSsePing)->empty());
}

}  // namespace
}  // namespace gantry::http
