#include "protocol/management/csv.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace gantry::protocol::management {
namespace {

std::string cell(std::string_view text) {
    std::string out;
    CsvRow(out).add(text).end();
    EXPECT_TRUE(out.ends_with("\r\n"));
    return out.substr(0, out.size() - 2);
}

TEST(csv, cells) {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"", ""},
        {"plain text", "plain text"},
        {"a,b", "\"a,b\""},
        {"say \"hi\"", "\"say \"\"hi\"\"\""},
        {"two\nlines", "\"two\nlines\""},
        {"cr\rlf", "\"cr\rlf\""},
        {"ünïcode 模型", "ünïcode 模型"},
        {"=cmd()", "'=cmd()"},
        {"+1", "'+1"},
        {"-1", "'-1"},
        {"@SUM(A1)", "'@SUM(A1)"},
        {"\t=1", "\"'\t=1\""},
        {"\r=1", "\"'\r=1\""},
        {"\n=1", "\"'\n=1\""},
        {"=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""},
        {"a;=1", "\"a;=1\""},
        {"a=b", "a=b"},
    };
    for (const auto& [text, expected] : cases) EXPECT_EQ(cell(text), expected) << text;
}

TEST(csv, rows) {
    std::string out;
    csv_header(out, {"name", "count", "ok"});
    CsvRow row(out);
    row.add("a").add(int64_t{-5}).add(true).end();
    row.add("").add(int64_t{0}).add(false).end();
    EXPECT_EQ(out, "name,count,ok\r\na,-5,true\r\n,0,false\r\n");
}

// Any text comes back from a reader of RFC 4180, with the ' where there must be one.
std::vector<std::string> parse_row(const std::string& text) {
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
                cells.back() += text[++i];
            } else if (c == '"') {
                quoted = false;
            } else {
                cells.back() += c;
            }
        } else if (c == '"') {
            quoted = true;
        } else if (c == ',') {
            cells.emplace_back();
        } else if (c == '\r') {
            break;
        } else {
            cells.back() += c;
        }
    }
    return cells;
}

TEST(csv, any_text_comes_back) {
    std::mt19937 random(1);
    const std::string letters = "a=+-@\t\r\n\",;' b";
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::string> texts(1 + random() % 4);
        std::string out;
        CsvRow row(out);
        for (std::string& text : texts) {
            for (size_t n = random() % 6; n > 0; --n) text += letters[random() % letters.size()];
            row.add(text);
        }
        row.end();
        const auto back = parse_row(out);
        ASSERT_EQ(back.size(), texts.size()) << out;
        for (size_t i = 0; i < texts.size(); ++i) {
            const bool guarded = !texts[i].empty() && std::string("=+-@\t\r\n").find(texts[i][0]) != std::string::npos;
            EXPECT_EQ(back[i], (guarded ? "'" : "") + texts[i]) << out;
        }
    }
}

}  // namespace
}  // namespace gantry::protocol::management
