#pragma once
// How a machine becomes a worker: the token that an admin makes, and the JSON of POST /cluster/v1/join and /cluster/v1/renew.

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::protocol {

// "gtj_<id>_<secret>_<SHA-256 of the authority's certificate>": by the last part the worker knows the server before it says its
// secret. All lower-case letters and digits.
struct JoinToken {
    std::string id;                  // kJoinTokenIdLength
    std::string secret;              // kJoinSecretLength
    std::string authority;           // 64 hex digits

    std::string text() const;
};
inline constexpr size_t kJoinTokenIdLength = 12;
inline constexpr size_t kJoinSecretLength = 32;
// White space around it is passed over. kInvalidArgument: it is none, and what one looks like.
Result<JoinToken> parse_join_token(std::string_view text);

struct JoinRequest {
    std::string token_id;
    std::string token_secret;
    std::string name;                              // as a worker's: 1 to 128 of letters, digits and . _ -
    std::string certificate_request;               // PEM
    std::string machine_id;
    std::map<std::string, std::string> labels{};   // at most 64
    int64_t link_version = 0;                      // of the machine's gantry (versions.h); 0: it says none
};
struct JoinAnswer {
    std::string worker_id;
    std::string certificate;                       // PEM, of the worker
    std::string authority;                         // PEM, of who signed it
};
struct RenewRequest {
    std::string certificate_request;
};

inline constexpr size_t kJoinBytesMax = 64u << 10;
std::string encode(const JoinRequest& request);
Result<JoinRequest> decode_join_request(std::string_view body);
std::string encode(const JoinAnswer& answer);          // of a renewal, too
Result<JoinAnswer> decode_join_answer(std::string_view body);
std::string encode(const RenewRequest& request);
Result<RenewRequest> decode_renew_request(std::string_view body);

// 1 to 128 of letters, digits and . _ -, as host names are but for case.
bool valid_worker_name(std::string_view name);

}  // namespace gantry::protocol
