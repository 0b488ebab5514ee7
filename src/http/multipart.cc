#include "http/multipart.h"

#include <algorithm>
#include <optional>

#include "http/text.h"

namespace gantry::http {
namespace {

constexpr size_t kBoundaryMax = 70;
constexpr size_t kNameMax = 128;
constexpr size_t kFileNameMax = 100;
constexpr std::string_view kLineEnd = "\r\n";

Error bad_form(std::string what) { return invalid_argument("The form can't be read: " + std::move(what) + "."); }
Error over(std::string what) { return Error{ErrorCode::kTooLarge, "The form is refused: " + std::move(what) + ".", {}, {}}; }

bool is_boundary_char(char c) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return plain || std::string_view("'()+_,-./:=?").find(c) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// "; name=value" off the front of `rest`. nullopt: that is not what stands there.
struct Parameter {
    std::string_view name;
    std::string value;
};
std::optional<Parameter> take_parameter(std::string_view& rest) {
    rest = trimmed(rest);
    if (rest.empty() || rest.front() != ';') return std::nullopt;
    rest.remove_prefix(1);
    const size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    Parameter out{trimmed(rest.substr(0, equals)), {}};
    if (out.name.empty() || out.name.find_first_of(" \t;\"") != std::string_view::npos) return std::nullopt;
    rest = trimmed(rest.substr(equals + 1));
    if (rest.empty() || rest.front() != '"') {
        const size_t end = std::min(rest.find(';'), rest.size());
        out.value = trimmed(rest.substr(0, end));
        rest.remove_prefix(end);
        return out.value.find('"') == std::string::npos ? std::optional(std::move(out)) : std::nullopt;
    }
    // Backslashes stand before quotes and backslashes only: old browsers send paths of Windows with plain ones.
    for (size_t i = 1; i < rest.size(); ++i) {
        if (rest[i] == '"') {
            rest.remove_prefix(i + 1);
            return out;
        }
        const bool escapes = rest[i] == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\');
        out.value += rest[escapes ? ++i : i];
    }
    return std::nullopt;
}

Status take_disposition(std::string_view value, PartHead& part) {
    const size_t semicolon = std::min(value.find(';'), value.size());
    if (!equal_without_case(trimmed(value.substr(0, semicolon)), "form-data")) return bad_form("a part's Content-Disposition is not form-data");
    value.remove_prefix(semicolon);
    bool named = false;
    while (!trimmed(value).empty()) {
        std::optional<Parameter> parameter = take_parameter(value);
        if (!parameter) return bad_form("a part's Content-Disposition can't be read");
        if (equal_without_case(parameter->name, "name")) {
            if (named) return bad_form("a part has two names");
            named = true;
            part.name = std::move(parameter->value);
        } else if (equal_without_case(parameter->name, "filename")) {
            if (part.is_file) return bad_form("a part has two file names");
            part.is_file = true;
            part.file_name = std::move(parameter->value);
        }   // filename* is not for forms (RFC 7578, 4.2)
    }
    if (part.name.empty() || part.name.size() > kNameMax) return bad_form("each part needs a name of 1 to 128 bytes");
    return Ok{};
}

Status take_field(std::string_view line, PartHead& part, bool& disposed) {
    const size_t colon = line.find(':');
    const bool odd = std::any_of(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || static_cast<unsigned char>(c) == 0x7f;
    });
    if (odd) return bad_form("a part's head holds a control character");
    if (colon == std::string_view::npos || colon == 0 || line.front() == ' ' || line.front() == '\t') {
        return bad_form("a line of a part's head is no field");
    }
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (equal_without_case(name, "content-disposition")) {
        if (disposed) return bad_form("a part has two Content-Dispositions");
        disposed = true;
        return take_disposition(value, part);
    }
    if (equal_without_case(name, "content-type")) part.content_type = value;
    const bool plain = equal_without_case(value, "binary") || equal_without_case(value, "8bit") || equal_without_case(value, "7bit");
    if (equal_without_case(name, "content-transfer-encoding") && !plain) return bad_form("a part is encoded: send it as it is");
    return Ok{};
}

}  // namespace

MultipartReader::MultipartReader(std::string_view boundary, MultipartLimits limits)
    : limits_(limits), delimiter_("\r\n--" + std::string(boundary)) {}

Result<MultipartReader::Step> MultipartReader::next(std::string_view input) {
    switch (state_) {
        case State::kBegin: return at_begin(input);
        case State::kBoundary: return behind_boundary(input);
        case State::kHead: return head(input);
        case State::kContent: return content(input);
        case State::kFinished: break;
    }
    const std::string_view left = kLineEnd.substr(behind_end_);   // one line's end may follow
    if (input.size() > left.size() || input != left.substr(0, input.size())) return bad_form("something stands behind its end");
    behind_end_ += input.size();
    return Step{What::kNeedMore, input.size(), {}};
}

Result<MultipartReader::Step> MultipartReader::at_begin(std::string_view input) {
    const std::string_view first = std::string_view(delimiter_).substr(kLineEnd.size());
    const std::string_view seen = input.substr(0, first.size());
    if (seen != first.substr(0, seen.size())) return bad_form("it does not begin with the boundary that its Content-Type names");
    if (seen.size() < first.size()) return Step{};
    state_ = State::kBoundary;
    return Step{What::kNeedMore, first.size(), {}};
}

// What stands behind a boundary: the next part's head, or "--" and the end.
Result<MultipartReader::Step> MultipartReader::behind_boundary(std::string_view input) {
    if (input.size() < 2) return Step{};
    if (input.starts_with(kLineEnd)) {
        if (parts_ == limits_.parts) return over("it has more than " + std::to_string(limits_.parts) + " parts");
        ++parts_;
        state_ = State::kHead;
        return Step{What::kNeedMore, 2, {}};
    }
    if (!input.starts_with("--")) return bad_form("a boundary is followed by something else than a line's end");
    state_ = State::kFinished;
    return Step{What::kEnd, 2, {}};
}

Result<MultipartReader::Step> MultipartReader::head(std::string_view input) {
    const std::string_view end = input.starts_with(kLineEnd) ? kLineEnd : std::string_view("\r\n\r\n");
    const size_t found = input.substr(0, limits_.head_bytes + 4).find(end);
    if (found == std::string_view::npos) {
        if (input.size() >= limits_.head_bytes + 4) return over("a part's head has more than " + std::to_string(limits_.head_bytes) + " bytes");
        return Step{};
    }
    part_ = {};
    content_bytes_ = 0;
    bool disposed = false;
    for (std::string_view lines = input.substr(0, found); !lines.empty();) {
        const size_t length = std::min(lines.find(kLineEnd), lines.size());
        GANTRY_TRY(take_field(lines.substr(0, length), part_, disposed));
        lines.remove_prefix(std::min(length + kLineEnd.size(), lines.size()));
    }
    if (!disposed) return bad_form("a part has no Content-Disposition");
    state_ = State::kContent;
    return Step{What::kPart, found + end.size(), {}};
}

// All that surely is no boundary's beginning.
Result<MultipartReader::Step> MultipartReader::content(std::string_view input) {
    const size_t found = input.find(delimiter_);
    if (found == 0) {
        state_ = State::kBoundary;
        return Step{What::kNeedMore, delimiter_.size(), {}};
    }
    size_t size = found;
    if (found == std::string_view::npos) {
        size = input.size();
        for (size_t tail = std::min(delimiter_.size() - 1, size); tail > 0; --tail) {
            if (input.substr(size - tail) != std::string_view(delimiter_).substr(0, tail)) continue;
            size -= tail;
            break;
        }
    }
    if (size == 0) return Step{};
    content_bytes_ += size;
    if (!part_.is_file && content_bytes_ > limits_.value_bytes) {
        return over("a field has more than " + std::to_string(limits_.value_bytes) + " bytes");
    }
    return Step{What::kData, size, input.substr(0, size)};
}

Result<std::string> form_boundary(std::string_view content_type) {
    const size_t semicolon = std::min(content_type.find(';'), content_type.size());
    if (!equal_without_case(trimmed(content_type.substr(0, semicolon)), "multipart/form-data")) {
        return invalid_argument("Send a form: Content-Type multipart/form-data.", {}, "unsupported_media_type");
    }
    std::string_view rest = content_type.substr(semicolon);
    std::string boundary;
    while (!trimmed(rest).empty()) {
        std::optional<Parameter> parameter = take_parameter(rest);
        if (!parameter) return bad_form("its Content-Type can't be read");
        if (!equal_without_case(parameter->name, "boundary")) continue;
        if (!boundary.empty()) return bad_form("its Content-Type names two boundaries");
        boundary = std::move(parameter->value);
        if (boundary.empty()) break;
    }
    const bool good = !boundary.empty() && boundary.size() <= kBoundaryMax && std::all_of(boundary.begin(), boundary.end(), is_boundary_char);
    if (!good) return bad_form("its Content-Type names no boundary of 1 to 70 letters, digits and '()+_,-./:=?");
    return boundary;
}

Result<std::vector<FormPart>> read_form(std::string_view content_type, std::string_view body, MultipartLimits limits) {
    const Result<std::string> boundary = form_boundary(content_type);
    if (!boundary) return boundary.error();
    MultipartReader reader(*boundary, limits);
    std::vector<FormPart> parts;
    for (;;) {
        const Result<MultipartReader::Step> step = reader.next(body);
        if (!step) return step.error();
        if (step->what == MultipartReader::What::kPart) parts.push_back({reader.part(), {}});
        // In one piece, since all of the body is here.
        if (step->what == MultipartReader::What::kData) parts.back().content = step->data;
        if (step->what == MultipartReader::What::kNeedMore && step->taken == 0) break;
        body.remove_prefix(step->taken);
    }
    if (!reader.finished()) return bad_form("it ends before its last boundary");
    return parts;
}

std::string plain_file_name(std::string_view name) {
    name.remove_prefix(std::min(name.find_last_of("/\\") + 1, name.size()));   // npos + 1 is 0
    if (name.size() > kFileNameMax) name.remove_prefix(name.size() - kFileNameMax);
    std::string out(name);
    for (char& c : out) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '_' || c == '-';
        if (!plain) c = '_';
    }
    out.erase(0, std::min(out.find_first_not_of('.'), out.size()));
    return out.empty() ? "file" : out;
}

void append_part(std::string& out, std::string_view boundary, const PartHead& head, std::string_view content) {
    out.append("--").append(boundary).append("\r\nContent-Disposition: form-data; name=\"").append(head.name).append("\"");
    if (head.is_file) out.append("; filename=\"").append(head.file_name).append("\"");
    if (!head.content_type.empty()) out.append("\r\nContent-Type: ").append(head.content_type);
    out.append("\r\n\r\n").append(content).append(kLineEnd);
}

void append_form_end(std::string& out, std::string_view boundary) { out.append("--").append(boundary).append("--\r\n"); }

}  // namespace gantry::http
