#include "engine_server/detokenizer.h"

#include <gtest/gtest.h>

#include "base/ids.h"
#include "protocol/openai/utf8.h"

namespace gantry::engine_server {
namespace {

TEST(Detokenizer, PassesTextThrough) {
    Detokenizer text({});
    EXPECT_EQ(text.push("Hello").text, "Hello");
    EXPECT_EQ(text.push(" world").text, " world");
    EXPECT_EQ(text.finish(), "");
}

TEST(Detokenizer, HoldsHalfACharacter) {
    Detokenizer text({});
    EXPECT_EQ(text.push("a\xF0\x9F").text, "a");
    EXPECT_EQ(text.push("\x98").text, "");
    EXPECT_EQ(text.push("\x80z").text, "\xF0\x9F\x98\x80z");
    EXPECT_EQ(text.push("\xE2\x82").text, "");
    EXPECT_EQ(text.finish(), "\xEF\xBF\xBD");
}

TEST(Detokenizer, StopsAcrossTokens) {
    Detokenizer text({"STOP"});
    EXPECT_EQ(text.push("abS").text, "ab");
    EXPECT_EQ(text.push("TO").text, "");
    const Detokenizer::Output last = text.push("Pxyz");
    EXPECT_EQ(last.text, "");
    EXPECT_TRUE(last.stopped);
    EXPECT_EQ(text.finish(), "");
}

TEST(Detokenizer, GivesBackWhatOnlyLookedLikeAStop) {
    Detokenizer text({"STOP"});
    EXPECT_EQ(text.push("ST").text, "");
    EXPECT_EQ(text.push("ART").text, "START");
    EXPECT_EQ(text.push("S").text, "");
    EXPECT_EQ(text.finish(), "S");
}

TEST(Detokenizer, TheFirstStopWins) {
    Detokenizer text({"later", "now"});
    const Detokenizer::Output output = text.push("a now b later");
    EXPECT_EQ(output.text, "a ");
    EXPECT_TRUE(output.stopped);
}

TEST(Detokenizer, AStopOfHalfCharacters) {
    Detokenizer text({"\xE2\x82\xAC"});
    EXPECT_EQ(text.push("x\xE2\x82").text, "x");
    EXPECT_TRUE(text.push("\xAC").stopped);
}

TEST(Detokenizer, UnarmedStopsDoNotCount) {
    Detokenizer text({"b"});
    EXPECT_EQ(text.push("abc", false).text, "abc");
    EXPECT_EQ(text.push("ab").text, "a");
}

// However the bytes are cut into tokens, the text is the same, valid, and ends before the first
// stop string.
TEST(Detokenizer, CutsDoNotMatter) {
    const auto random = seeded_random(7);
    const std::string whole =
        "Gr\xC3\xBC\xC3\x9F"
        "e an \xF0\x9F\x98\x80 und \xE2\x82\xAC 5, END of \xE4\xBD\xA0\xE5\xA5\xBD";
    for (const bool with_stop : {false, true}) {
        const std::string expected = with_stop ? whole.substr(0, whole.find("END")) : whole;
        for (int round = 0; round < 300; ++round) {
            Detokenizer text(with_stop ? std::vector<std::string>{"END", "ENDE"}
                                       : std::vector<std::string>{});
            std::string seen;
            bool stopped = false;
            for (size_t at = 0; at < whole.size() && !stopped;) {
                const size_t length = 1 + static_cast<size_t>(random->uniform() * 4);
                Detokenizer::Output output = text.push(std::string_view(whole).substr(at, length));
                ASSERT_EQ(protocol::openai::to_utf8(output.text), output.text)
                    << "invalid text went out";
                seen += output.text;
                stopped = output.stopped;
                at += length;
            }
            seen += text.finish();
            ASSERT_EQ(seen, expected);
            ASSERT_EQ(stopped, with_stop);
        }
    }
}

}  // namespace
}  // namespace gantry::engine_server
