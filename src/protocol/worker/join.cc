#include "protocol/worker/join.h"

#include <algorithm>

#include "protocol/worker/checked_reader.h"

namespace gantry::protocol {

template <Is<JoinRequest> T, class Visit>
void fields(T& r, Visit&& visit) {
    visit("token_id", r.token_id);
    visit("token_secret", r.token_secret);
    visit("name", r.name);
    visit("certificate_request", r.certificate_request);
    visit("machine_id", r.machine_id);
    visit("labels", r.labels);
    visit("link_version", r.link_version);
}

template <Is<JoinAnswer> T, class Visit>
void fields(T& a, Visit&& visit) {
    visit("worker_id", a.worker_id);
    visit("certificate", a.certificate);
    visit("authority", a.authority);
}

template <Is<RenewRequest> T, class Visit>
void fields(T& r, Visit&& visit) {
    visit("certificate_request", r.certificate_request);
}

namespace {

constexpr std::string_view kPrefix = "gtj_";
constexpr size_t kDigestLength = 64;

bool holds_pem(std::string_view key) { return key == "certificate_request" || key == "certificate" || key == "authority"; }
// PEM has line ends; what else it has, who reads it decides.
constexpr ReadBounds kBounds{.text_bytes = 16u << 10, .items = 64, .plain_text = false, .long_text = holds_pem};

bool is_token_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); });
}

template <class T>
Result<T> decode(std::string_view body) {
    if (body.size() > kJoinBytesMax) return Error{ErrorCode::kTooLarge, "it is too long", {}, {}};
    const auto value = parse_json(body);
    if (!value) return value.error();
    if (!value->is_object()) return invalid_argument("it must be a JSON object");
    T out;
    GANTRY_TRY(CheckedReader(kBounds).read(*value, out));
    return out;
}

template <class T>
std::string encoded(const T& value) { return json::serialize(json_fields::Writer::written(value)); }

Error wrong(const char* field, const std::string& what) {
    return invalid_argument(fmt::format("\"{}\" {}", field, what), field);
}

}  // namespace

std::string JoinToken::text() const { return fmt::format("{}{}_{}_{}", kPrefix, id, secret, authority); }

Result<JoinToken> parse_join_token(std::string_view text) {
    const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    const Error none = invalid_argument("this is no join token: one looks like gtj_..._..._...; `gantry workers token create` on "
                                        "the server makes one",
                                        "token", "invalid_join_token");
    if (text.size() != kPrefix.size() + kJoinTokenIdLength + 1 + kJoinSecretLength + 1 + kDigestLength) return none;
    if (!text.starts_with(kPrefix)) return none;
    text.remove_prefix(kPrefix.size());
    if (text[kJoinTokenIdLength] != '_' || text[kJoinTokenIdLength + 1 + kJoinSecretLength] != '_') return none;
    JoinToken out{std::string(text.substr(0, kJoinTokenIdLength)),
                  std::string(text.substr(kJoinTokenIdLength + 1, kJoinSecretLength)),
                  std::string(text.substr(text.size() - kDigestLength))};
    if (!is_token_text(out.id) || !is_token_text(out.secret) || !is_token_text(out.authority)) return none;
    return out;
}

bool valid_worker_name(std::string_view name) {
    return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    });
}

std::string encode(const JoinRequest& request) { return encoded(request); }
std::string encode(const JoinAnswer& answer) { return encoded(answer); }
std::string encode(const RenewRequest& request) { return encoded(request); }

Result<JoinRequest> decode_join_request(std::string_view body) {
    auto out = decode<JoinRequest>(body);
    if (!out) return out;
    if (out->token_id.size() != kJoinTokenIdLength || !is_token_text(out->token_id)) return wrong("token_id", "is none");
    if (out->token_secret.size() != kJoinSecretLength || !is_token_text(out->token_secret)) return wrong("token_secret", "is none");
    if (!valid_worker_name(out->name)) return wrong("name", "must be 1 to 128 characters of letters, digits and . _ -");
    const bool machine = !out->machine_id.empty() && out->machine_id.size() <= 64 && is_token_text(out->machine_id);
    if (!machine) return wrong("machine_id", "must be 1 to 64 lower-case letters and digits");
    for (const auto& [name, value] : out->labels) {
        const auto visible = [](unsigned char c) { return c >= 0x20 && c != 0x7f; };
        if (name.empty() || !std::all_of(name.begin(), name.end(), visible) || !std::all_of(value.begin(), value.end(), visible)) {
            return wrong("labels", "must hold names and values without control characters");
        }
    }
    return out;
}

Result<JoinAnswer> decode_join_answer(std::string_view body) { return decode<JoinAnswer>(body); }
Result<RenewRequest> decode_renew_request(std::string_view body) { return decode<RenewRequest>(body); }

}  // namespace gantry::protocol
