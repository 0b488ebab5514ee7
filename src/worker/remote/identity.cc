#include "worker/remote/identity.h"

#include <fmt/format.h>
#include <sodium.h>

#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/platform/files.h"
#include "base/platform/process.h"
#include "http/http.h"
#include "protocol/openai/errors.h"
#include "protocol/worker/join.h"
#include "protocol/worker/versions.h"

namespace gantry::worker {
namespace {

std::string path_of(const std::string& data_dir) { return data_dir + "/identity.json"; }

std::string text_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

Result<Identity> with_key(const std::string& data_dir, const std::string& authority_digest) {
    Identity identity;
    const auto known = load_identity(data_dir);
    if (!known) {
        return known.error();
    }
    if (*known && (*known)->authority_digest == authority_digest) {
        return **known;
    }
    if (*known && !(*known)->worker_id.empty()) {
        return conflict(fmt::format("this machine is a worker of another server already: its identity is in {}. Move that file away to join "
                                    "the one of this token",
                                    path_of(data_dir)));
    }
    auto key = http::make_private_key();
    if (!key) {
        return key.error();
    }
    identity.own.key = *std::move(key);
    identity.authority_digest = authority_digest;
    GANTRY_TRY(save_identity(data_dir, identity));
    return identity;
}

}  // namespace

Result<std::optional<Identity>> load_identity(const std::string& data_dir) {
    const auto text = platform::read_file(path_of(data_dir));
    if (!text && text.error().code == ErrorCode::kNotFound) {
        return std::optional<Identity>();
    }
    if (!text) {
        return text.error();
    }
    const auto value = parse_json(*text);
    if (!value || !value->is_object()) {
        return internal_error(fmt::format("{} is damaged: bring it back, or move it away and join anew with a new token", path_of(data_dir)));
    }
    const json::object& object = value->get_object();
    Identity identity;
    identity.worker_id = WorkerId(text_at(object, "worker_id"));
    identity.own = {text_at(object, "certificate"), text_at(object, "key")};
    identity.authority_digest = text_at(object, "authority_digest");
    return std::optional<Identity>(std::move(identity));
}

Status save_identity(const std::string& data_dir, const Identity& identity) {
    const json::object object{{"worker_id", identity.worker_id.text},
                              {"certificate", identity.own.certificate},
                              {"key", identity.own.key},
                              {"authority_digest", identity.authority_digest}};
    return platform::write_file_atomic(path_of(data_dir), json::serialize(object), 0600);
}

Result<Identity> join(const std::string& data_dir, const JoinOptions& options) {
    const auto token = protocol::parse_join_token(options.token);
    if (!token) {
        return token.error();
    }
    auto identity = with_key(data_dir, token->authority);
    if (!identity) {
        return identity;
    }
    const auto request = http::make_certificate_request(identity->own.key, "worker");
    if (!request) {
        return request.error();
    }
    http::ClientOptions client;
    const auto tls = http::MutualTls::client({}, token->authority, kLinkServerName, kLinkProtocol);
    if (!tls) {
        return tls.error();
    }
    client.mutual = *tls;
    client.header_timeout = std::chrono::seconds(30);
    http::Client::Call call{.method = "POST", .target = "/cluster/v1/join"};
    call.headers.set("content-type", "application/json");
    call.body = protocol::encode(protocol::JoinRequest{token->id, token->secret, options.name, *request, machine_id(), options.labels,
                                                             protocol::kLinkVersion});
    const auto answer = http::fetch(options.server, call, client);
    if (!answer) {
        Error why = answer.error();
        why.message = fmt::format("the server at {} can't be joined: {}", options.server.substr(options.server.find(':') + 1), why.message);
        if (why.reason == http::kTlsFailed) {
            why.message += "; either it is not the server that made the token, or something between ends TLS";
        }
        return why;
    }
    if (answer->status != 200) {
        const auto body = parse_json(answer->body);
        const auto said = body ? protocol::openai::error_of(answer->status, *body) : std::nullopt;   // all our errors have that shape
        return Error{ErrorCode::kPermissionDenied, fmt::format("the server refuses to let this machine join: {}",
                                                               said ? said->message : fmt::format("status {}", answer->status)), {}, {}};
    }
    const auto joined = protocol::decode_join_answer(answer->body);
    if (!joined) {
        return joined.error();
    }
    GANTRY_TRY(http::check_key_fits(joined->certificate, identity->own.key));
    identity->worker_id = WorkerId(joined->worker_id);
    identity->own.certificate = joined->certificate;
    GANTRY_TRY(save_identity(data_dir, *identity));
    return identity;
}

std::string machine_id() {
    const auto text = platform::read_file("/etc/machine-id");
    const std::string seed = text && text->size() > 8 ? *text : platform::host_name();
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(seed.data()), seed.size());
    return to_hex(hash, 16);
}

bool wants_renewal(const Identity& identity, WallTime now) {
    const auto facts = http::read_certificate(identity.own.certificate);
    return facts && now >= facts->valid_from + (facts->valid_until - facts->valid_from) * 2 / 3;
}

Result<std::shared_ptr<http::MutualTls>> link_tls(const Identity& identity) {
    return http::MutualTls::client(identity.own, identity.authority_digest, kLinkServerName, kLinkProtocol);
}

}  // namespace gantry::worker
