#include "control/cluster/joining.h"

#include <sodium.h>

#include "base/log.h"
#include "gateway/api_key.h"
#include "protocol/openai/errors.h"
#include "protocol/worker/versions.h"

namespace gantry::control {

NewJoinToken make_join_token(const Authority& authority, RandomSource& random) {
    const protocol::JoinToken token{random.token(protocol::kJoinTokenIdLength), random.token(protocol::kJoinSecretLength), authority.digest()};
    return {token.text(), JoinToken{.id = JoinTokenId(token.id), .secret_digest = gateway::digest(token.secret)}};
}

// The same steps for every cause: which of them it was would help only somebody who guesses.
Status check_join_token(store::Store& store, const std::string& id, const std::string& secret) {
    const auto row = store.join_token(JoinTokenId(id));
    if (!row && row.error().code != ErrorCode::kNotFound) return row.error();
    const std::string given = gateway::digest(secret);
    const std::string kept = row ? row->secret_digest : gateway::digest("");
    if (row && given.size() == kept.size() && sodium_memcmp(given.data(), kept.data(), kept.size()) == 0) return Ok{};
    return Error{ErrorCode::kUnauthenticated, "this join token is none of this server's: `gantry workers token create` there makes one", {},
                 "invalid_join_token"};
}

Result<protocol::JoinAnswer> Joining::answer(const WorkerId& worker, const std::string& certificate_request) const {
    auto certificate = authority_.sign_worker(certificate_request, worker.text, clock_.wall());
    if (!certificate) return certificate.error();
    return protocol::JoinAnswer{worker.text, *std::move(certificate), authority_.certificate()};
}

Result<protocol::JoinAnswer> Joining::join(const protocol::JoinRequest& request, const std::string& peer) {
    const auto refuse = [&](const Error& error) {
        alarms_.raise({"refuse_join", {}, request.name, peer, error.message, protocol::openai::http_status(error.code)});
        return error;
    };
    if (Status token = check_join_token(store_, request.token_id, request.token_secret); !token) return refuse(token.error());
    if (Status fits = protocol::check_link_versions(request.link_version, protocol::kLinkVersion); !fits) return refuse(fits.error());
    const auto key = http::key_digest_of_request(request.certificate_request);
    if (!key) return key.error();
    Worker worker;
    worker.id = new_id<WorkerId>(random_, "wrk");
    worker.name = request.name;
    worker.address = peer;
    worker.labels = request.labels;
    worker.created_at = clock_.wall();
    const auto joined = store_.join_worker(worker, {.worker_id = worker.id,
                                                    .token_id = JoinTokenId(request.token_id),
                                                    .key_digest = *key,
                                                    .machine_id = request.machine_id,
                                                    .address = peer,
                                                    .joined_at = worker.created_at});
    if (!joined && joined.error().code == ErrorCode::kPermissionDenied) return refuse(joined.error());
    if (!joined) return joined.error();
    GANTRY_TRY(publisher_.refresh());
    log::info("worker {} ({}) joined from {}", joined->text, request.name, peer);
    alarms_.raise({"join", *joined, request.name, peer, "with the token " + request.token_id, 200});
    return answer(*joined, request.certificate_request);
}

Result<protocol::JoinAnswer> Joining::renew(const WorkerId& worker, const protocol::RenewRequest& request) {
    auto renewed = answer(worker, request.certificate_request);
    if (renewed) log::info("worker {}: its certificate is renewed", worker.text);
    return renewed;
}

}  // namespace gantry::control
