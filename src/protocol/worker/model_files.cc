#include "protocol/worker/model_files.h"

#include <algorithm>
#include <iterator>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_fields.h"
#include "base/log.h"

namespace gantry {

inline bool from_text(const std::string& text, ModelFilesState& out) {
    using State = ModelFilesState;
    for (const State state : {State::kWaiting, State::kDownloading, State::kPaused, State::kReady, State::kFailed}) {
        if (text != to_string(state)) continue;
        out = state;
        return true;
    }
    return false;
}

template <Is<ModelFileSet> T, class Visit>
void fields(T& s, Visit&& visit) {
    visit("id", s.id);
    visit("source", s.source);
    visit("commit", s.commit);
    visit("state", s.state);
    visit("reason", s.reason);
    visit("files", s.files);
    visit("bytes", s.bytes);
    visit("bytes_done", s.bytes_done);
    visit("bytes_per_second", s.bytes_per_second);
    int64_t fetched = to_unix_ms(s.fetched_at);
    visit("fetched_at_ms", fetched);
    if constexpr (!std::is_const_v<T>) s.fetched_at = from_unix_ms(std::clamp<int64_t>(fetched, 0, 253'402'300'799'999));
}

namespace protocol {
namespace {

constexpr size_t kTextMax = 4'200;
constexpr ErrorCode kCodes[] = {ErrorCode::kNotFound, ErrorCode::kConflict, ErrorCode::kInvalidArgument, ErrorCode::kStorageFull,
                                ErrorCode::kUnavailable};

struct List {
    std::vector<ModelFileSet> items;
};
struct Refusal {
    uint64_t code = 0;
    std::string message, reason;
};
template <Is<Refusal> T, class Visit>
void fields(T& r, Visit&& visit) {
    visit("code", r.code);
    visit("message", r.message);
    visit("reason", r.reason);
}
template <Is<List> T, class Visit>
void fields(T& l, Visit&& visit) {
    visit("items", l.items);
}

void clean(std::string& text) { text = log::escape(text, kTextMax); }

const Error kOdd = unavailable("the worker does not answer as one of this version does");

// An object that is no refusal.
Result<json::value> parsed(std::string_view body) {
    const auto value = parse_json(body);
    if (!value || !value->is_object()) return kOdd;
    const json::value* const refused = value->get_object().if_contains("refused");
    if (refused == nullptr) return *value;
    Refusal refusal;
    if (!from_json_value(*refused, refusal) || refusal.code >= std::size(kCodes)) return kOdd;
    return Error{kCodes[refusal.code], log::escape(refusal.message, kTextMax), {}, log::escape(refusal.reason, 100)};
}

}  // namespace

std::string encode(const std::vector<ModelFileSet>& sets) { return json::serialize(to_json_value(List{sets})); }

std::string encode_refusal(const Error& error) {
    size_t code = 0;
    while (code + 1 < std::size(kCodes) && kCodes[code] != error.code) ++code;
    return json::serialize(json::object{{"refused", {{"code", code}, {"message", error.message}, {"reason", error.reason}}}});
}

Result<std::vector<ModelFileSet>> decode_model_files(std::string_view body) {
    const auto value = parsed(body);
    if (!value) return value.error();
    List list;
    if (!from_json_value(*value, list) || list.items.size() > kModelFileSetsMax) return kOdd;
    for (ModelFileSet& set : list.items) {
        for (std::string* text : {&set.id, &set.source, &set.commit, &set.reason}) clean(*text);
        for (std::string& file : set.files) clean(file);
    }
    return std::move(list.items);
}

Status decode_done(std::string_view body) {
    const auto value = parsed(body);
    return value ? Status(Ok{}) : Status(value.error());
}

}  // namespace protocol
}  // namespace gantry
