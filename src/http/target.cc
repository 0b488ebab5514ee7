#include "http/target.h"

#include "http/text.h"

namespace gantry::http {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = to_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Shortest form only, no surrogates, nothing over U+10FFFF, as RFC 3629 has it.
bool is_utf8(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        size_t length = 1;
        uint32_t code = lead;
        if (lead >= 0x80) {
            if (lead >= 0xf0 && lead <= 0xf4) {
                length = 4;
                code = lead & 0x07u;
            } else if (lead >= 0xe0 && lead < 0xf0) {
                length = 3;
                code = lead & 0x0fu;
            } else if (lead >= 0xc2 && lead < 0xe0) {
                length = 2;
                code = lead & 0x1fu;
            } else {
                return false;
            }
        }
        if (i + length > text.size()) return false;
        for (size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next & 0xc0u) != 0x80u) return false;
            code = (code << 6) | (next & 0x3fu);
        }
        if ((length == 3 && code < 0x800) || (length == 4 && (code < 0x10000 || code > 0x10ffff))) return false;
        if (code >= 0xd800 && code <= 0xdfff) return false;
        i += length;
    }
    return true;
}

Result<std::string> decode(std::string_view text, bool plus_is_space, const char* part) {
    std::string out;
    if (is_printable(text) && text.find('%') == std::string_view::npos && text.find('+') == std::string_view::npos) return std::string(text);
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return invalid_argument(std::string("a '%' in the ") + part + " of the URL is not followed by two hex digits");
            }
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0') return invalid_argument(std::string("the ") + part + " of the URL holds a NUL character");
        out.push_back(c);
    }
    if (!is_utf8(out)) return invalid_argument(std::string("the ") + part + " of the URL is not valid UTF-8");
    return out;
}

Result<std::string> fold_path(const std::string& decoded) {
    std::string path;
    path.reserve(decoded.size());
    std::string_view rest = decoded;
    while (!rest.empty()) {
        const size_t slash = rest.find('/');
        const std::string_view segment = rest.substr(0, slash);
        if (segment == "." || segment == "..") {
            return invalid_argument("the path of the URL holds a '.' or '..' segment; ask for the path it stands for");
        }
        if (!segment.empty()) path.append("/").append(segment);
        rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    }
    if (path.empty()) path = "/";
    return path;
}

// "http://host/path?x" is what a proxy is sent; a server must take it too (RFC 9112, 3.2.2). The host in it is not used.
std::string_view without_origin(std::string_view target) {
    for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
        if (target.size() > scheme.size() && equal_without_case(target.substr(0, scheme.size()), scheme)) {
            target.remove_prefix(scheme.size());
            const size_t end = target.find_first_of("/?#");
            target = end == std::string_view::npos ? std::string_view{} : target.substr(end);
            if (target.empty()) return "/";
            break;
        }
    }
    return target;
}

}  // namespace

Result<Target> parse_target(std::string_view text) {
    Target target;
    if (text == "*") {
        target.path = "*";
        return target;
    }
    text = without_origin(text);
    if (text.empty() || (text.front() != '/' && text.front() != '?')) {
        return invalid_argument("the request target is neither an absolute path nor an http URL");
    }
    if (text.find('#') != std::string_view::npos) {
        return invalid_argument("the request target holds a '#'; a fragment is not sent to a server");
    }
    const size_t question = text.find('?');
    auto decoded = decode(text.substr(0, question), false, "path");
    if (!decoded) return std::move(decoded).error();
    auto folded = fold_path(*decoded);
    if (!folded) return std::move(folded).error();
    target.path = std::move(folded).value();

    std::string_view rest = question == std::string_view::npos ? std::string_view{} : text.substr(question + 1);
    while (!rest.empty()) {
        const size_t end = rest.find('&');
        const std::string_view pair = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        if (pair.empty()) continue;
        const size_t equals = pair.find('=');
        auto name = decode(pair.substr(0, equals), true, "query");
        if (!name) return std::move(name).error();
        auto value = decode(equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1), true, "query");
        if (!value) return std::move(value).error();
        target.query[std::move(name).value()] = std::move(value).value();
    }
    return target;
}

std::string_view path_as_sent(std::string_view target) {
    target = without_origin(target);
    target = target.substr(0, target.find('?'));
    return target.empty() ? "/" : target;
}

}  // namespace gantry::http
