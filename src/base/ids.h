#pragma once
// Ids are types: a WorkerId cannot be passed as an InstanceId. The text is what users and the database see,
// e.g. "ins_7h2k9d0q4mxv".

#include <compare>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace gantry {

template <class Tag>
struct Id {
    std::string text;

    Id() = default;
    explicit Id(std::string t) : text(std::move(t)) {}
    bool empty() const { return text.empty(); }
    auto operator<=>(const Id&) const = default;
    bool operator==(const Id&) const = default;
};

using ModelId = Id<struct ModelTag>;            // mdl_
using DeploymentId = Id<struct DeploymentTag>;  // dep_
using InstanceId = Id<struct InstanceTag>;      // ins_
using WorkerId = Id<struct WorkerTag>;          // wrk_
using UserId = Id<struct UserTag>;              // usr_
using ApiKeyId = Id<struct ApiKeyTag>;          // key_
using RouteId = Id<struct RouteTag>;            // rte_
using ProviderId = Id<struct ProviderTag>;      // prv_
using AuditEventId = Id<struct AuditEventTag>;  // aud_

// Where new ids and secrets come from; a seam, so that the simulator is repeatable. Thread-safe.
class RandomSource {
public:
    virtual ~RandomSource() = default;
    // `length` characters of lower-case Crockford base32 (5 bits each).
    virtual std::string token(size_t length) = 0;
    // Uniform in [0, 1), for jitter.
    virtual double uniform() = 0;
};
RandomSource& system_random();                                  // the kernel's, through libsodium
// The same, drawn some hundred bytes ahead for each thread: for ids that are no secrets, of which there are many.
std::string quick_token(size_t length);
std::unique_ptr<RandomSource> seeded_random(uint64_t seed);     // repeatable, not secret

template <class IdType>
IdType new_id(RandomSource& random, const char* prefix) {
    return IdType(std::string(prefix) + "_" + random.token(12));
}

}  // namespace gantry

template <class Tag>
struct std::hash<gantry::Id<Tag>> {
    size_t operator()(const gantry::Id<Tag>& id) const { return std::hash<std::string>{}(id.text); }
};
