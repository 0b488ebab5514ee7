#include "protocol/openai/pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace gantry::protocol::openai {
namespace {

constexpr std::string_view kTypes[] = {"png", "jpeg", "jpg", "gif", "bmp", "webp"};
constexpr size_t kMarkersMax = 1'000;   // of a JPEG before its frame's

constexpr std::array<int8_t, 256> make_values() {
    std::array<int8_t, 256> values{};
    values.fill(-1);
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int8_t>(i);
    return values;
}
constexpr std::array<int8_t, 256> kValues = make_values();

// Bytes of what stands in base64, here and there, without decoding all of it.
class Base64 {
public:
    explicit Base64(std::string_view text) : text_(text) {}

    // -1: there is none.
    int at(uint64_t index) const {
        const uint64_t group = index / 3 * 4, place = index % 3;
        if (group + place + 1 >= text_.size()) return -1;
        const int high = value(group + place), low = value(group + place + 1);
        return high < 0 || low < 0 ? -1 : ((high << (2 * place + 2)) | (low >> (4 - 2 * place))) & 0xFF;
    }
    bool holds(uint64_t index, std::string_view bytes) const {
        for (size_t i = 0; i < bytes.size(); ++i) {
            if (at(index + i) != static_cast<unsigned char>(bytes[i])) return false;
        }
        return true;
    }
    // Of `bytes` bytes; nullopt: it ends before.
    std::optional<uint64_t> number(uint64_t index, unsigned bytes, bool big_endian) const {
        uint64_t number = 0;
        for (unsigned i = 0; i < bytes; ++i) {
            const int byte = at(index + (big_endian ? i : bytes - 1 - i));
            if (byte < 0) return std::nullopt;
            number = number << 8 | static_cast<uint64_t>(byte);
        }
        return number;
    }

private:
    int value(uint64_t index) const { return kValues[static_cast<unsigned char>(text_[index])]; }
    const std::string_view text_;
};

struct Size {
    std::optional<uint64_t> width, height;
};

// The frame's marker is behind others, each with its length (ITU-T T.81, B.1).
Size size_of_jpeg(const Base64& bytes) {
    uint64_t at = 2;
    for (size_t i = 0; i < kMarkersMax; ++i) {
        if (bytes.at(at) != 0xFF) return {};
        while (bytes.at(at + 1) == 0xFF) ++at;   // padding
        const int marker = bytes.at(at + 1);
        const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
        if (frame) return {bytes.number(at + 7, 2, true), bytes.number(at + 5, 2, true)};
        const auto length = bytes.number(at + 2, 2, true);
        if (!length || *length < 2 || marker == 0xDA) return {};
        at += 2 + *length;
    }
    return {};
}

Size size_of_webp(const Base64& bytes) {
    const auto plus_one = [](std::optional<uint64_t> n) { return n ? std::optional(*n + 1) : n; };
    if (bytes.holds(12, "VP8X")) return {plus_one(bytes.number(24, 3, false)), plus_one(bytes.number(27, 3, false))};
    if (bytes.holds(12, "VP8L")) {
        const auto both = bytes.number(21, 4, false);
        return both ? Size{(*both & 0x3FFF) + 1, (*both >> 14 & 0x3FFF) + 1} : Size{};
    }
    if (!bytes.holds(12, "VP8 ")) return {};
    const auto width = bytes.number(26, 2, false), height = bytes.number(28, 2, false);
    return width && height ? Size{*width & 0x3FFF, *height & 0x3FFF} : Size{};
}

Size size_of(const Base64& bytes) {
    if (bytes.holds(0, "\x89PNG\r\n\x1a\n")) return {bytes.number(16, 4, true), bytes.number(20, 4, true)};
    if (bytes.holds(0, "\xFF\xD8\xFF")) return size_of_jpeg(bytes);
    if (bytes.holds(0, "GIF87a") || bytes.holds(0, "GIF89a")) return {bytes.number(6, 2, false), bytes.number(8, 2, false)};
    if (bytes.holds(0, "RIFF") && bytes.holds(8, "WEBP")) return size_of_webp(bytes);
    if (bytes.holds(0, "BM")) {   // rows from below count as they are, from above with a minus
        const auto width = bytes.number(18, 4, false), height = bytes.number(22, 4, false);
        return {width, height && *height > INT32_MAX ? std::optional((uint64_t{1} << 32) - *height) : height};
    }
    return {};
}

}  // namespace

Status check_picture(std::string_view url, const std::string& path) {
    if (!url.starts_with("data:")) {
        return invalid_argument(fmt::format("'{}' must be a data: URL, the picture itself in base64: nothing is fetched for a model that runs here",
                                            path), path, "url_not_allowed");
    }
    constexpr std::string_view kStart = "data:image/", kBase64 = ";base64,";
    const size_t comma = url.substr(0, 256).find(',');
    const std::string_view head = comma == std::string_view::npos ? std::string_view() : url.substr(0, comma + 1);
    const std::string_view type = head.starts_with(kStart) ? head.substr(kStart.size(), head.find(';') - kStart.size()) : std::string_view();
    if (!head.ends_with(kBase64) || std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes)) {
        return invalid_argument(fmt::format("'{}' must begin with data:image/TYPE;base64, where TYPE is png, jpeg, gif, bmp or webp", path), path,
                                "invalid_image");
    }
    const Size size = size_of(Base64(url.substr(comma + 1)));
    if (!size.width || !size.height || *size.width == 0 || *size.height == 0) {
        return invalid_argument(fmt::format("'{}' holds no PNG, JPEG, GIF, BMP or WebP picture", path), path, "invalid_image");
    }
    if (*size.width > kPictureSideMax || *size.height > kPictureSideMax || *size.width * *size.height > kPicturePixelsMax) {
        return invalid_argument(fmt::format("the picture at '{}' is {} x {} pixels; {} a side and {} million in all are the most: send a smaller one",
                                            path, *size.width, *size.height, kPictureSideMax, kPicturePixelsMax / 1'000'000), path,
                                "image_too_large");
    }
    return Ok{};
}

}  // namespace gantry::protocol::openai
