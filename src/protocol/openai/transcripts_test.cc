#include "protocol/openai/transcripts.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace gantry::protocol::openai {
namespace {

Transcript two() {
    Transcript out;
    out.seconds = 3661.5;
    out.language = "english";
    out.segments = {{0, 1.25, " And so", {1, 2}, -0.5, 0.25, {{"And", 0, 0.5}, {"so", 0.5, 1.25}}},
                    {3600, 3661.5, " my --> \xff\nfriend", {}, 0, 0, {}}};
    return out;
}

TEST(TranscriptsTest, EveryFormat) {
    EXPECT_EQ(transcript_body(two(), TranscriptFormat::kText), "And so my --> \xef\xbf\xbd\nfriend\n");
    EXPECT_EQ(transcript_body(two(), TranscriptFormat::kSrt),
              "1\n00:00:00,000 --> 00:00:01,250\nAnd so\n\n2\n01:00:00,000 --> 01:01:01,500\nmy -> \xef\xbf\xbd friend\n\n");
    EXPECT_EQ(transcript_body(two(), TranscriptFormat::kVtt),
              "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nAnd so\n\n01:00:00.000 --> 01:01:01.500\nmy -> \xef\xbf\xbd friend\n\n");
    const json::value small = parse_json(transcript_body(two(), TranscriptFormat::kJson)).value();
    EXPECT_EQ(small.as_object().size(), 2u);
    EXPECT_EQ(small.at("usage").at("seconds").as_double(), 3661.5);
    Transcript asked = two();
    asked.words = asked.translated = true;
    const json::value whole = parse_json(transcript_body(asked, TranscriptFormat::kVerboseJson)).value();
    EXPECT_EQ(whole.at("task").as_string(), "translate");
    EXPECT_EQ(whole.at("segments").as_array().size(), 2u);
    EXPECT_EQ(whole.at("words").at(1).at("word").as_string(), "so");
    EXPECT_EQ(whole.at("segments").at(0).at("tokens").as_array().size(), 2u);
    EXPECT_FALSE(parse_json(transcript_body(two(), TranscriptFormat::kVerboseJson)).value().as_object().contains("words"));
}

TEST(TranscriptsTest, NothingHeardIsAnAnswer) {
    EXPECT_EQ(transcript_body({}, TranscriptFormat::kVtt), "WEBVTT\n\n");
    EXPECT_EQ(transcript_body({}, TranscriptFormat::kSrt), "");
    EXPECT_EQ(parse_json(transcript_body({}, TranscriptFormat::kJson)).value().at("text").as_string(), "");
}

TEST(TranscriptsTest, Events) {
    EXPECT_EQ(transcript_delta(" hi\xff"), "{\"type\":\"transcript.text.delta\",\"delta\":\" hi\xef\xbf\xbd\"}");
    EXPECT_EQ(parse_json(transcript_done(two())).value().at("usage").at("type").as_string(), "duration");
}

}  // namespace
}  // namespace gantry::protocol::openai
