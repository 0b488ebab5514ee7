#include "domain/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace gantry {
namespace {

constexpr size_t kNameBytesMax = 96;       // of an organisation or a model, as the hubs have it
constexpr size_t kRevisionBytesMax = 128;
constexpr size_t kQuantizationBytesMax = 32;
constexpr size_t kPathBytesMax = 1024;
constexpr size_t kComponentBytesMax = 255;

constexpr std::string_view kFilePrefix = "file:";
constexpr std::string_view kHuggingFacePrefix = "hf:";
constexpr std::string_view kModelScopePrefix = "modelscope:";

Error bad(const std::string& what) { return invalid_argument("\"source\" " + what, "source"); }

bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool clean_word(std::string_view word, size_t most) {
    return !word.empty() && word.size() <= most && is_alnum(word.front()) && word.find("..") == std::string_view::npos &&
           std::all_of(word.begin(), word.end(), [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// A name of two worlds: Windows keeps no file of such a name, and no trailing dot or space.
bool reserved_name(std::string_view name) {
    std::string stem(name.substr(0, name.find('.')));
    std::transform(stem.begin(), stem.end(), stem.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    if (stem == "CON" || stem == "PRN" || stem == "AUX" || stem == "NUL") return true;
    return stem.size() == 4 && (stem.starts_with("COM") || stem.starts_with("LPT")) && stem[3] >= '0' && stem[3] <= '9';
}

Result<Source> parse_file(std::string path) {
    if (path.size() < 2 || path.front() != '/') return bad("must hold an absolute path: file:/path");
    if (has_control(path)) return bad("holds a control character");
    Source source;
    source.path = std::move(path);
    return source;
}

Result<Source> parse_hub(SourceKind kind, const char* prefix, std::string_view rest) {
    Source source;
    source.kind = kind;
    const std::string form = fmt::format("must be {0}ORG/NAME, {0}ORG/NAME/FILE or {0}ORG/NAME:QUANTIZATION", prefix);
    const size_t slash = rest.find('/');
    if (slash == std::string_view::npos) return bad(form);
    const size_t end = std::min(rest.find_first_of("/@:", slash + 1), rest.size());
    const std::string_view organisation = rest.substr(0, slash), name = rest.substr(slash + 1, end - slash - 1);
    if (!clean_word(organisation, kNameBytesMax) || !clean_word(name, kNameBytesMax)) {
        return bad(form + "; the names there are of letters, digits, \".\", \"_\" and \"-\"");
    }
    source.repository = rest.substr(0, end);
    rest.remove_prefix(end);
    if (rest.starts_with('@')) {
        const size_t behind = std::min(rest.find_first_of("/:"), rest.size());
        source.revision = rest.substr(1, behind - 1);
        if (!clean_word(source.revision, kRevisionBytesMax)) return bad("has no branch, tag or commit behind the \"@\"");
        rest.remove_prefix(behind);
    }
    if (rest.starts_with(':')) {
        source.quantization = rest.substr(1);
        if (!clean_word(source.quantization, kQuantizationBytesMax)) return bad("has no quantization behind the \":\", such as Q4_K_M");
    } else if (!rest.empty()) {
        source.file = rest.substr(1);
        if (!safe_relative_path(source.file)) return bad("names a file by no path inside the repository");
    }
    return source;
}

}  // namespace

std::string Source::text() const {
    if (kind == SourceKind::kFile) return std::string(kFilePrefix) + path;
    std::string out(kind == SourceKind::kHuggingFace ? kHuggingFacePrefix : kModelScopePrefix);
    out += repository;
    if (!revision.empty()) out += "@" + revision;
    if (!quantization.empty()) out += ":" + quantization;
    return file.empty() ? out : out + "/" + file;
}

Result<Source> parse_source(const std::string& text) {
    if (text.size() > kSourceBytesMax) return bad("is longer than 4112 bytes");
    const std::string_view view = text;
    if (view.starts_with(kFilePrefix)) return parse_file(text.substr(kFilePrefix.size()));
    if (view.starts_with(kHuggingFacePrefix)) return parse_hub(SourceKind::kHuggingFace, "hf:", view.substr(kHuggingFacePrefix.size()));
    if (view.starts_with(kModelScopePrefix)) return parse_hub(SourceKind::kModelScope, "modelscope:", view.substr(kModelScopePrefix.size()));
    return bad("must be file:/path, the model's absolute path on the worker, hf:ORG/NAME[/FILE] or modelscope:ORG/NAME[/FILE]");
}

bool safe_relative_path(const std::string& path) {
    if (path.empty() || path.size() > kPathBytesMax || has_control(path) || path.find('\\') != std::string::npos) return false;
    size_t begin = 0;
    for (size_t end = 0; end != std::string::npos; begin = end + 1) {
        end = path.find('/', begin);
        const std::string_view name = std::string_view(path).substr(begin, end == std::string::npos ? end : end - begin);
        if (name.empty() || name == "." || name == ".." || name.size() > kComponentBytesMax) return false;
        if (name.ends_with('.') || name.ends_with(' ') || name.find(':') != std::string_view::npos || reserved_name(name)) return false;
    }
    return true;
}

}  // namespace gantry
