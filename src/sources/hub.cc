#include "sources/hub.h"

#include <charconv>

#include "base/assert.h"
#include "sources/hubs.h"

namespace gantry::sources {

std::unique_ptr<Hub> make_hub(SourceKind kind, const Fetcher& fetcher) {
    GANTRY_ASSERT(kind != SourceKind::kFile, "a file is of no hub");
    return kind == SourceKind::kHuggingFace ? make_hugging_face(fetcher) : make_modelscope(fetcher);
}

unsigned retry_after_seconds(const AnswerHead& head) {
    constexpr unsigned kMost = 3600;
    const std::string& text = head.field("retry-after");
    unsigned seconds = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    return failed != std::errc() || end != text.data() + text.size() ? 0 : std::min(seconds, kMost);
}

Error explain_common(const char* hub, const Url& endpoint, const Answer& answer) {
    const int status = answer.head.status;
    if (status == 429) {
        const unsigned wait = retry_after_seconds(answer.head);
        return Error{ErrorCode::kRateLimited,
                     fmt::format("{} lets no more requests pass now (429){}; a token of its own lifts the limit", hub,
                                 wait > 0 ? fmt::format(" and asks to wait {} s", wait) : std::string()),
                     {}, {}};
    }
    if (status >= 500) return unavailable(fmt::format("{} ({}) answers {}; it is tried again later", hub, endpoint.host, status));
    const std::string said = message_of(answer.body);
    return unavailable(fmt::format("{} ({}) answers {}{}", hub, endpoint.host, status, said.empty() ? "" : ": " + said));
}

}  // namespace gantry::sources
