#include "protocol/openai/pictures.h"

#include <gtest/gtest.h>

namespace gantry::protocol::openai {
namespace {

std::string base64(const std::string& bytes) {
    constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t group = 0;
        for (size_t k = 0; k < 3; ++k) group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
        for (size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kAlphabet[group >> (18 - 6 * k) & 63];
    }
    return out;
}

std::string be(uint32_t n, int bytes) {
    std::string out;
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(n >> (8 * i));
    return out;
}
std::string le(uint32_t n, int bytes) {
    const std::string big = be(n, bytes);
    return {big.rbegin(), big.rend()};
}
std::string zeros(size_t n) { return std::string(n, '\0'); }

std::string png(uint32_t w, uint32_t h) { return "\x89PNG\r\n\x1a\n" + be(13, 4) + "IHDR" + be(w, 4) + be(h, 4) + "more"; }
std::string jpeg(uint32_t w, uint32_t h) {
    const std::string app = "\xFF\xE1" + be(100, 2) + zeros(98), padding = "\xFF\xFF";
    return "\xFF\xD8" + app + padding + "\xDB" + be(4, 2) + zeros(2) + "\xFF\xC2" + be(17, 2) + "\x08" + be(h, 2) + be(w, 2) + "more";
}
std::string gif(uint32_t w, uint32_t h) { return "GIF89a" + le(w, 2) + le(h, 2) + "more"; }
std::string bmp(uint32_t w, uint32_t h) { return "BM" + zeros(16) + le(w, 4) + le(h, 4) + "more"; }
std::string webp(uint32_t w, uint32_t h) { return "RIFF" + zeros(4) + "WEBPVP8X" + zeros(8) + le(w - 1, 3) + le(h - 1, 3) + "more"; }
std::string webp_lossless(uint32_t w, uint32_t h) {
    return "RIFF" + zeros(4) + "WEBPVP8L" + zeros(4) + "\x2f" + le((h - 1) << 14 | (w - 1), 4) + "more";
}
std::string webp_lossy(uint32_t w, uint32_t h) { return "RIFF" + zeros(4) + "WEBPVP8 " + zeros(10) + le(w, 2) + le(h, 2) + "more"; }

// "" where it is taken, else the reason.
std::string refused(const std::string& url) {
    const Status status = check_picture(url, "messages[0].content[1].image_url.url");
    if (status) return "";
    EXPECT_EQ(status.error().param, "messages[0].content[1].image_url.url");
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    return status.error().reason;
}
std::string refused_bytes(const std::string& bytes, const std::string& type = "png") {
    return refused("data:image/" + type + ";base64," + base64(bytes));
}

TEST(Pictures, TheSizeIsReadOfEachKind) {
    using Make = std::string (*)(uint32_t, uint32_t);
    for (const Make make : {Make(png), Make(jpeg), Make(gif), Make(bmp), Make(webp), Make(webp_lossless), Make(webp_lossy)}) {
        EXPECT_EQ(refused_bytes(make(640, 480)), "");
        EXPECT_EQ(refused_bytes(make(1, 1)), "");
    }
    for (const Make make : {Make(png), Make(jpeg), Make(gif), Make(bmp), Make(webp)}) {
        EXPECT_EQ(refused_bytes(make(65'535, 65'535)), "image_too_large");
        EXPECT_EQ(refused_bytes(make(16'385, 1)), "image_too_large");
        EXPECT_EQ(refused_bytes(make(16'384, 16'384)), "image_too_large") << "each side is within its limit, the whole is not";
        EXPECT_EQ(refused_bytes(make(8'192, 8'192)), "");
    }
    EXPECT_EQ(refused_bytes(bmp(640, static_cast<uint32_t>(-480))), "") << "rows from above";
    EXPECT_EQ(refused_bytes(bmp(640, static_cast<uint32_t>(-40'000))), "image_too_large");
    EXPECT_EQ(refused_bytes(png(0, 480)), "invalid_image");
    EXPECT_EQ(refused_bytes(png(0xFFFFFFFF, 0xFFFFFFFF)), "image_too_large");
}

TEST(Pictures, NothingIsFetched) {
    for (const char* url : {"http://127.0.0.1/a.png", "https://example.com/a.png", "file:///etc/passwd", "gopher://x", "ftp://x", "//x", "", "DATA:x",
                            "/etc/passwd", "iVBORw0KGgo="}) {
        EXPECT_EQ(refused(url), "url_not_allowed") << url;
    }
}

TEST(Pictures, WhatIsNoneIsRefused) {
    for (const char* url : {"data:", "data:,", "data:image/png", "data:image/png,x", "data:image/svg+xml;base64,PHN2Zz4=",
                            "data:text/html;base64,eA==", "data:image/png;base64", "data:application/pdf;base64,eA=="}) {
        EXPECT_EQ(refused(url), "invalid_image") << url;
    }
    for (const char* bytes : {"", "x", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "\xFF\xD8\xFF", "\xFF\xD8\xFF\xDA", "GIF89a", "BM",
                              "RIFFxxxxWEBPVP9 ", "RIFFxxxxWEBPVP8X"}) {
        EXPECT_EQ(refused_bytes(bytes), "invalid_image") << bytes;
    }
    EXPECT_EQ(refused_bytes(png(640, 480).substr(0, 22)), "invalid_image") << "it ends within its size";
    EXPECT_EQ(refused("data:image/png;base64," + base64(png(640, 480)).insert(25, "!")), "invalid_image") << "no base64";
    std::string markers = "\xFF\xD8";
    for (int i = 0; i < 2'000; ++i) markers += "\xFF\xE1" + be(2, 2);
    EXPECT_EQ(refused_bytes(markers + jpeg(640, 480).substr(2)), "invalid_image") << "its markers have no end";
}

}  // namespace
}  // namespace gantry::protocol::openai
