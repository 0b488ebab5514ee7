#pragma once
// multipart/form-data (RFC 7578), read strictly and within limits. Pure: what the fuzzer drives. Threads: any.
//
// Stricter than the RFC where leniency has no honest use: nothing stands before the first boundary or behind the last, lines end in
// CRLF, a part has one Content-Disposition with a name, and nothing is encoded. File names are a stranger's words: plain_file_name().

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::http {

struct MultipartLimits {
    size_t parts = 64;
    size_t head_bytes = 4u << 10;    // of one part's fields
    size_t value_bytes = 64u << 10;  // of a part that is no file
};

struct PartHead {
    std::string name;
    bool is_file = false;            // it has a file name, maybe an empty one
    std::string file_name{};         // as sent
    std::string content_type{};
};

// A form as it comes in. Feed it the bytes that are there and drop from their front those that it took:
//   MultipartReader reader(boundary);
//   for (;;) { auto step = reader.next(bytes); if (!step) ...; bytes.remove_prefix(step->taken); if (step->what == kNeedMore) read on; }
class MultipartReader {
public:
    enum class What { kNeedMore, kPart, kData, kEnd };
    struct Step {
        What what = What::kNeedMore;
        size_t taken = 0;
        std::string_view data{};     // kData: a piece of the part's content, inside the input; never empty
    };

    explicit MultipartReader(std::string_view boundary, MultipartLimits limits = {});
    // kInvalidArgument with what is wrong, kTooLarge over a limit; then nothing more must be asked. At the end of the input (kNeedMore and no
    // more to come) finished() says whether it was whole.
    Result<Step> next(std::string_view input);
    const PartHead& part() const { return part_; }   // of the last kPart
    bool finished() const { return state_ == State::kFinished; }

private:
    enum class State { kBegin, kBoundary, kHead, kContent, kFinished };
    Result<Step> at_begin(std::string_view input);
    Result<Step> behind_boundary(std::string_view input);
    Result<Step> head(std::string_view input);
    Result<Step> content(std::string_view input);

    const MultipartLimits limits_;
    const std::string delimiter_;    // "\r\n--boundary"
    State state_ = State::kBegin;
    PartHead part_;
    size_t parts_ = 0;
    size_t content_bytes_ = 0;       // of the current part
    size_t behind_end_ = 0;
};

// The boundary of "multipart/form-data; boundary=..."; kInvalidArgument with the reason "unsupported_media_type" for another type.
Result<std::string> form_boundary(std::string_view content_type);

// A form that is in memory whole: its parts' contents are pieces of `body`.
struct FormPart {
    PartHead head;
    std::string_view content;
};
Result<std::vector<FormPart>> read_form(std::string_view content_type, std::string_view body, MultipartLimits limits = {});

// What of a file's name may go on: its last component, of letters, digits and "._-" only, 1 to 100 bytes, its ending kept.
std::string plain_file_name(std::string_view name);

// Appends a part to a form of ours. `boundary` must not occur in the content: random. `name`, `file_name`, `type`: plain.
void append_part(std::string& out, std::string_view boundary, const PartHead& head, std::string_view content);
void append_form_end(std::string& out, std::string_view boundary);

}  // namespace gantry::http
