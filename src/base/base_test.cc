// The small parts of base: clock, ids, log, queue, json.

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "base/ascii.h"
#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"

namespace gantry {
namespace {

TEST(Clock, Rfc3339GoesBothWays) {
    const WallTime time = from_unix_ms(1'795'468'943'456);
    EXPECT_EQ(to_rfc3339(time), "2026-11-23T21:22:23.456Z");
    EXPECT_EQ(from_rfc3339(to_rfc3339(time)), time);
    EXPECT_EQ(from_rfc3339("yesterday"), WallTime{});
    EXPECT_EQ(to_rfc3339(from_unix_ms(-1)), "1969-12-31T23:59:59.999Z");
}

TEST(Clock, AFakeClocksWallMayJumpBackWhileSteadyDoesNot) {
    FakeClock clock;
    const SteadyTime before = clock.steady();
    clock.advance(std::chrono::milliseconds(5));
    clock.set_wall(from_unix_ms(0));
    EXPECT_EQ(clock.steady() - before, std::chrono::milliseconds(5));
    EXPECT_EQ(to_unix_ms(clock.wall()), 0);
}

TEST(Ids, AreDistinctAndSeededOnesRepeat) {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        seen.insert(new_id<InstanceId>(system_random(), "ins").text);
    }
    EXPECT_EQ(seen.size(), 1000u);
    seen.clear();
    for (int i = 0; i < 1000; ++i) seen.insert(quick_token(24));
    EXPECT_EQ(seen.size(), 1000u);
    EXPECT_EQ(quick_token(3000).size(), 3000u);
    EXPECT_EQ(seeded_random(7)->token(20), seeded_random(7)->token(20));
    EXPECT_NE(seeded_random(7)->token(20), seeded_random(8)->token(20));
}

TEST(Log, ControlCharactersCannotForgeALine) {
    EXPECT_EQ(log::escape("a\r\nINFO forged\x1b[0m"), "a\\x0d\\x0aINFO forged\\x1b[0m");
    EXPECT_LT(log::escape(std::string(1 << 20, 'x')).size(), 5000u);
}

TEST(Log, LinesThatLingerAreWrittenBeforeAWarningAndAtTheEnd) {
    const std::string file = std::filesystem::temp_directory_path() / ("gantry_linger_" + std::to_string(::getpid()) + ".log");
    const auto written = [&file] {
        std::ostringstream text;
        text << std::ifstream(file).rdbuf();
        return text.str();
    };
    log::start({.file = file, .to_stderr = false, .linger = std::chrono::hours(1)});
    log::info("first");
    EXPECT_EQ(written(), "");
    log::warn("second");
    const std::string both = written();
    EXPECT_LT(both.find("info first\n"), both.find("warning second\n"));
    EXPECT_NE(both.find("warning second\n"), std::string::npos);
    log::info("third");
    log::start({});
    EXPECT_TRUE(written().ends_with("info third\n")) << written();
    std::filesystem::remove(file);
}

TEST(Log, NothingSteersATerminalOrTurnsALineAround) {
    EXPECT_EQ(log::escape(std::string("a\0b", 3)), "a\\x00b");
    EXPECT_EQ(log::escape("a\u009b31m"), "a\\xc2\\x9b31m") << "the one-character CSI";
    for (const std::string mark : {"\u0085", "\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069"}) {
        const std::string escaped = log::escape("a" + mark + "b");
        EXPECT_TRUE(escaped.starts_with("a\\x") && escaped.ends_with("b")) << escaped;
        EXPECT_EQ(escaped.size(), 2 + 4 * mark.size()) << escaped;
    }
    // What people write stays readable, right-to-left letters and joined emoji too; a cut character is left as it is.
    for (const std::string text : {"naïve – „Größe“ € \u00a0", "\u05e9\u05dc\u05d5\u05dd", "\U0001f469\u200d\U0001f680",
                                   "\u2030\u2027\u202f\u2065", "\xe2", "\xe2\x80", "\xc2"}) {
        EXPECT_EQ(log::escape(text), text);
    }
}

TEST(BoundedQueue, RefusesWhenFullAndWhenClosed) {
    BoundedQueue<int> queue(2);
    EXPECT_TRUE(queue.try_push(1));
    EXPECT_TRUE(queue.try_push(2));
    EXPECT_FALSE(queue.try_push(3));
    EXPECT_EQ(queue.drain(), (std::vector<int>{1, 2}));
    queue.close();
    EXPECT_FALSE(queue.try_push(4));
    EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BoundedQueue, PopWaitsForAProducer) {
    BoundedQueue<int> queue(1);
    std::jthread producer([&] { queue.try_push(42); });
    EXPECT_EQ(queue.pop(), 42);
}

TEST(Ascii, PrintableIsLookedAtEightBytesAtATime) {
    for (size_t length = 0; length < 20; ++length) {
        EXPECT_TRUE(is_printable(std::string(length, 'x')));
        for (size_t at = 0; at < length; ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string text(length, '~');
                text[at] = static_cast<char>(byte);
                EXPECT_EQ(is_printable(text), byte >= 0x20 && byte < 0x7f) << byte << " at " << at << " of " << length;
            }
        }
    }
}

TEST(Json, AppendsTextsAndValuesAsTheSerializerWritesThem) {
    for (const std::string& text : {std::string(), std::string("plain"), std::string("\"\\/"), std::string("\x7f\n\0", 3), std::string("\xc3\xa9"),
                                    std::string(10'000, 'x') + "\"" + std::string(10'000, 'y')}) {
        std::string out = ">";
        append_json(out, text);
        EXPECT_EQ(out, ">" + json::serialize(json::value(text)));
        const json::value value = {{"key", text}, {"list", {1, 2.5, true, nullptr, text}}};
        out = ">";
        append_value(out, value);
        append_value(out, value.at("key"));
        EXPECT_EQ(out, ">" + json::serialize(value) + json::serialize(json::value(text)));
    }
}

TEST(Json, BoundsDepthAndNamesTheOffset) {
    EXPECT_TRUE(parse_json(R"({"a":[1,2,{"b":null}]})").ok());
    EXPECT_TRUE(parse_json(std::string(kJsonDepthMax, '[') + std::string(kJsonDepthMax, ']')).ok());
    const auto deep = parse_json(std::string(100'000, '['));
    ASSERT_FALSE(deep.ok());
    EXPECT_NE(deep.error().message.find("deeper"), std::string::npos);
    for (const std::string& text : {std::string("1e309"), std::string("[{\"a\":-1e999}]"), "{\"a\":1" + std::string(400, '0') + "}"}) {
        const auto infinite = parse_json(text);
        ASSERT_FALSE(infinite.ok()) << text;
        EXPECT_NE(infinite.error().message.find("too large"), std::string::npos);
    }
    EXPECT_TRUE(parse_json("[1e308,-1.7e308,1e-999]").ok());
    const auto broken = parse_json(R"({"a":1,})");
    ASSERT_FALSE(broken.ok());
    EXPECT_NE(broken.error().message.find("byte 7"), std::string::npos) << broken.error().message;
    for (const char* text : {"", "{", "{} {}", "{'a':1}", "[NaN]", "\xef\xbb\xbf{}", "\"\xc3\"", "\"\\ud800\"", "\"\xc0\xaf\""}) {
        EXPECT_FALSE(parse_json(text).ok()) << text;
    }
    EXPECT_EQ(parse_json(R"({"a":1,"a":2})")->at("a"), 2);
}

TEST(Json, BoundsTheValuesAndCountsNoneInStrings) {
    const auto list = [](size_t elements, std::string_view one) {
        std::string text = "[";
        for (size_t k = 0; k < elements; ++k) text.append(k == 0 ? "" : ",").append(one);
        return text + "]";
    };
    EXPECT_EQ(parse_json(list(kJsonValuesMax - 1, "0"))->as_array().size(), kJsonValuesMax - 1) << "the list itself is one";
    EXPECT_TRUE(parse_json(list(kJsonValuesMax - 1, "{ }")).ok());
    EXPECT_TRUE(parse_json(list((kJsonValuesMax - 1) / 3, "{\"a\":[]}")).ok());
    for (const std::string& text : {list(kJsonValuesMax, "0"), list(kJsonValuesMax, "[]"), list(kJsonValuesMax / 2, R"({"a":0})")}) {
        const auto refused = parse_json(text);
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_NE(refused.error().message.find("more than 1000000 values"), std::string::npos) << refused.error().message;
    }
    // A long prompt of code is one value, whatever its characters and escapes are.
    std::string prompt;
    for (size_t k = 0; k < kJsonValuesMax; ++k) prompt += R"(\",[{)";
    EXPECT_TRUE(parse_json("[\"" + prompt + "\",\"\\\\\",1]").ok());
}

}  // namespace
}  // namespace gantry
