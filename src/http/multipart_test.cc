#include "http/multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::http {
namespace {

using testing::HasSubstr;

constexpr char kType[] = "multipart/form-data; boundary=xYz";

std::string part(const std::string& disposition, const std::string& content, const std::string& more = "") {
    return "--xYz\r\nContent-Disposition: form-data; " + disposition + "\r\n" + more + "\r\n" + content + "\r\n";
}
const std::string kEnd = "--xYz--\r\n";

std::string why(const std::string& body, const std::string& type = kType) {
    const auto form = read_form(type, body);
    return form ? "taken" : form.error().message;
}

TEST(MultipartTest, ReadsWhatClientsSend) {
    const std::string file("RIFF\0\r\n--xY\r\n\r\n--", 18);
    const std::string body = part("name=\"model\"", "tiny") +
                             part(R"(name="file"; filename="C:\\a\"b.wav")", file, "content-type: audio/wav\r\nX-Else: 1\r\n") +
                             part("name=empty", "") + kEnd;
    const auto form = read_form("Multipart/Form-Data; charset=utf-8; boundary=\"xYz\"", body);
    ASSERT_TRUE(form.ok()) << form.error().message;
    ASSERT_EQ(form->size(), 3u);
    EXPECT_EQ((*form)[0].head.name, "model");
    EXPECT_EQ((*form)[0].content, "tiny");
    EXPECT_FALSE((*form)[0].head.is_file);
    EXPECT_EQ((*form)[1].head.file_name, R"(C:\a"b.wav)");
    EXPECT_EQ((*form)[1].head.content_type, "audio/wav");
    EXPECT_EQ((*form)[1].content, file);
    EXPECT_EQ((*form)[2].content, "");
    EXPECT_EQ(why(body.substr(0, body.size() - 2)), "taken") << "without the last line's end";
}

TEST(MultipartTest, RefusesWhatIsNoForm) {
    const std::string good = part("name=\"a\"", "1");
    const std::pair<std::string, std::string> cases[] = {
        {"", "before its last boundary"},
        {good, "before its last boundary"},
        {good + "--xYz-", "before its last boundary"},
        {"--xYz", "before its last boundary"},
        {"preamble\r\n" + good + kEnd, "does not begin with the boundary"},
        {good + kEnd + "x", "behind its end"},
        {good + kEnd + good + kEnd, "behind its end"},
        {good + "--xYzz\r\n", "followed by something else"},
        {"--xYz\nContent-Disposition: form-data; name=a\n\n1\n--xYz--\n", "followed by something else"},
        {"--xYz\r\n\r\n1\r\n" + kEnd, "no Content-Disposition"},
        {"--xYz\r\nContent-Type: text/plain\r\n\r\n1\r\n" + kEnd, "no Content-Disposition"},
        {"--xYz\r\nno field\r\n\r\n1\r\n" + kEnd, "no field"},
        {"--xYz\r\nContent-Disposition: form-data; name=a\r\n folded: x\r\n\r\n1\r\n" + kEnd, "no field"},
        {part(std::string("name=\"a\0b\"", 10), "1") + kEnd, "control character"},
        {part("filename=x", "1") + kEnd, "needs a name"},
        {part("name=\"\"", "1") + kEnd, "needs a name"},
        {part("name=" + std::string(129, 'n'), "1") + kEnd, "needs a name"},
        {part("name=a; name=b", "1") + kEnd, "two names"},
        {part("name=a; filename=a; filename=b", "1") + kEnd, "two file names"},
        {part("name=\"a", "1") + kEnd, "can't be read"},
        {part("name", "1") + kEnd, "can't be read"},
        {part("name=a", "1", "Content-Disposition: form-data; name=b\r\n") + kEnd, "two Content-Dispositions"},
        {part("name=a", "1", "Content-Transfer-Encoding: base64\r\n") + kEnd, "encoded"},
        {"--xYz\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n" + kEnd, "not form-data"},
    };
    for (const auto& [body, expected] : cases) EXPECT_THAT(why(body), HasSubstr(expected)) << body;
    EXPECT_EQ(why(good + kEnd), "taken");
}

TEST(MultipartTest, RefusesWhatIsTooMuch) {
    std::string many;
    for (int i = 0; i < 10'000; ++i) many += part("name=\"a\"", "1");
    EXPECT_THAT(why(many + kEnd), HasSubstr("more than 64 parts"));
    EXPECT_THAT(why(part("name=a", "1", "X: " + std::string(5'000, 'x') + "\r\n") + kEnd), HasSubstr("more than 4096 bytes"));
    EXPECT_THAT(why("--xYz\r\n" + std::string(5'000, 'x')), HasSubstr("more than 4096 bytes")) << "and it needn't end";
    EXPECT_THAT(why(part("name=a", std::string(65'537, 'x')) + kEnd), HasSubstr("more than 65536 bytes"));
    EXPECT_EQ(why(part("name=a; filename=f", std::string(65'537, 'x')) + kEnd), "taken") << "a file";
}

TEST(MultipartTest, BoundariesAreChecked) {
    const std::string body = part("name=a", "1") + kEnd;
    for (const char* type : {"multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"",
                             "multipart/form-data; boundary=a b", "multipart/form-data; boundary=\"a\r\n\"",
                             "multipart/form-data; boundary=a; boundary=b", "multipart/form-data; boundary"}) {
        EXPECT_THAT(why(body, type), HasSubstr("Content-Type")) << type;
    }
    EXPECT_THAT(why(body, "multipart/form-data; boundary=" + std::string(71, 'b')), HasSubstr("boundary of 1 to 70"));
    for (const char* type : {"", "application/json", "multipart/mixed; boundary=xYz"}) {
        const auto form = read_form(type, body);
        ASSERT_FALSE(form.ok());
        EXPECT_EQ(form.error().reason, "unsupported_media_type") << type;
    }
}

TEST(MultipartTest, FileNamesBecomePlain) {
    const std::pair<std::string, std::string> cases[] = {
        {"jfk.wav", "jfk.wav"},           {"../../etc/passwd", "passwd"}, {"C:\\music\\a b.mp3", "a_b.mp3"},
        {std::string("a\0.wav", 6), "a_.wav"}, {"..", "file"},                 {"", "file"},
        {"x/", "file"},                   {"h\xc3\xa9.flac", "h__.flac"}, {"a\"\r\nX: y", "a___X__y"},
        {std::string(300, 'l') + ".wav", std::string(96, 'l') + ".wav"},
    };
    for (const auto& [name, plain] : cases) EXPECT_EQ(plain_file_name(name), plain) << name;
}

}  // namespace
}  // namespace gantry::http
