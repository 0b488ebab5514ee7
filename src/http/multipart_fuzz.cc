// A form, cut as the first byte says: it must be read as the uncut one is, and written anew it must read back.

#include <algorithm>
#include <cstdint>

#include "http/multipart.h"

namespace gantry::http {
namespace {

using What = MultipartReader::What;

constexpr MultipartLimits kLimits{.parts = 8, .head_bytes = 256, .value_bytes = 512};

std::string show(const PartHead& head) {
    return '\x01' + head.name + '\x02' + (head.is_file ? "f" : "v") + head.file_name + '\x03' + head.content_type + '\x04';
}

// nullopt-like: "!" for a form that is refused.
std::string read_in_pieces(std::string_view bytes, size_t step_bytes) {
    MultipartReader reader("b", kLimits);
    std::string out, held;
    for (size_t at = 0; at < bytes.size(); at += step_bytes) {
        held += bytes.substr(at, step_bytes);
        for (;;) {
            const auto step = reader.next(held);
            if (!step) return "!";
            if (step->what == What::kPart) out += show(reader.part());
            if (step->what == What::kData) {
                if (step->data.empty()) __builtin_trap();
                out += step->data;
            }
            if (step->what == What::kNeedMore && step->taken == 0) break;
            held.erase(0, step->taken);
        }
    }
    return reader.finished() ? out : "!";
}

}  // namespace
}  // namespace gantry::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gantry::http;
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto form = read_form("multipart/form-data; boundary=b", bytes, kLimits);
    std::string whole = form ? "" : "!", again;
    if (form) {
        for (const FormPart& part : *form) {
            whole += show(part.head).append(part.content);
            if (part.content.find("\r\n--zz-own-boundary") != std::string_view::npos) return 0;
            const std::string name = plain_file_name(part.head.file_name);
            if (name.empty() || name.size() > 100 || name.find_first_of(std::string_view("/\\\"\r\n\0", 6)) != std::string::npos) __builtin_trap();
            append_part(again, "zz-own-boundary", {"n", part.head.is_file, name, "text/plain"}, part.content);
        }
        append_form_end(again, "zz-own-boundary");
    }
    if (whole != read_in_pieces(bytes, std::max<size_t>(data[0], 1))) __builtin_trap();
    if (!form || form->empty()) return 0;
    const auto read_back = read_form("multipart/form-data; boundary=\"zz-own-boundary\"", again, kLimits);
    if (!read_back || read_back->size() != form->size()) __builtin_trap();
    for (size_t i = 0; i < form->size(); ++i) {
        if ((*read_back)[i].content != (*form)[i].content) __builtin_trap();
    }
    // Of hostile types only that they end.
    (void)form_boundary(bytes);
    return 0;
}
