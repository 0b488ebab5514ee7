#include "control/api/repeats.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "gateway/api_key.h"

namespace gantry::control {
namespace {

constexpr size_t kKeyBytesMax = 255;

bool well_formed(const std::string& key) {
    return key.size() <= kKeyBytesMax && std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

Answer refused(int status, Error error) {
    Answer answer = error_answer(error);
    answer.status = status;
    return answer;
}

std::string to_text(const Answer& answer) {
    return json::serialize(json::object{{"status", answer.status}, {"body", answer.body}});
}

std::optional<Answer> from_text(const std::string& text) {
    const auto value = parse_json(text);
    const json::object* fields = value ? value->if_object() : nullptr;
    const json::value* status = fields != nullptr ? fields->if_contains("status") : nullptr;
    const json::value* body = fields != nullptr ? fields->if_contains("body") : nullptr;
    if (status == nullptr || body == nullptr || !status->is_int64() || !body->is_string()) return std::nullopt;
    return Answer{static_cast<int>(status->get_int64()), std::string(body->get_string()), {}};
}

}  // namespace

Repeat::Repeat(ApiContext& api, const Call& call) : api_(api), call_(call), text_(call.request.headers.get(kIdempotencyKey)) {
    if (text_.empty()) return;
    // NUL is in none of these but bodies, which come last.
    const std::string nul(1, '\0');
    key_ = gateway::digest(call.who->user_id.text + nul + text_);
    request_ = gateway::digest(call.request.method + nul + call.request.target + nul + call.request.body);
}

Repeat::~Repeat() {
    if (entered_) {
        api_.worked_on.with([this](auto& keys) { keys.erase(key_); });
    }
}

std::optional<Answer> Repeat::answer() {
    if (text_.empty()) return std::nullopt;
    if (call_.request.headers.count(kIdempotencyKey) > 1 || !well_formed(text_)) {
        return error_answer(invalid_argument(fmt::format("Idempotency-Key must be one field of 1 to {} printable ASCII characters; a fresh "
                                                         "UUID for each change is a good one",
                                                         kKeyBytesMax),
                                             "Idempotency-Key"));
    }
    api_.worked_on.with([this](auto& keys) { entered_ = keys.insert(key_).second; });
    if (!entered_) {
        Answer busy = refused(409, {ErrorCode::kConflict, "the first request with this Idempotency-Key is still being worked on: send it "
                                                          "again in a moment to get its answer", "Idempotency-Key", "idempotency_key_in_use"});
        busy.headers.set("retry-after", "1");
        return busy;
    }
    return kept();
}

std::optional<Answer> Repeat::kept() const {
    const auto row = api_.store.kept_answer(key_);
    if (!row) return error_answer(row.error());
    if (!row->has_value() || (*row)->at < api_.clock.wall() - kRepeatsKept) return std::nullopt;
    if ((*row)->request != request_) {
        return refused(422, {ErrorCode::kInvalidArgument, "this Idempotency-Key came with another request before: take a fresh one for "
                                                          "each change, and repeat a request as it was", "Idempotency-Key",
                             "idempotency_key_reused"});
    }
    const auto opened = api_.secrets.open((*row)->answer, key_);
    std::optional<Answer> answer = opened ? from_text(*opened) : std::nullopt;
    if (!answer) {
        log::error("an answer that was kept for a repeat can't be opened: {}", opened ? "it is no answer" : opened.error().message);
        return error_answer({ErrorCode::kConflict, "this request was done before, but its answer can't be read any more (was secrets.key "
                                                   "replaced?): look at what there is", "Idempotency-Key", "idempotency_answer_lost"});
    }
    answer->headers.set("idempotent-replayed", "true");
    return answer;
}

Status Repeat::keep(const Answer& answer) {
    if (text_.empty()) return Ok{};
    Result<std::string> sealed = api_.secrets.seal(to_text(answer), key_);
    if (!sealed) return std::move(sealed).error();
    const WallTime now = api_.clock.wall();
    return api_.store.keep_answer({key_, request_, *std::move(sealed), now}, now - kRepeatsKept);
}

}  // namespace gantry::control
