// Properties of placement over many random fleets, by seed (GANTRY_PLACEMENT_SEED replays one). Each property is a function of the
// decider, so that a decider with a planted bug can be given to it: TEST(placement_property, each_finds_its_planted_bug) does that, one
// bug a property, and fails where a property lets its bug pass.

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <random>

#include "backends/backends.h"
#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

using Decide = std::function<Decision(const World&, const Room&)>;

Decision real(const World& world, const Room& room) { return decide(world.deployment, world.snapshot, world.knowledge, room, Detail::kDecision); }

class Random {
public:
    explicit Random(uint64_t seed) : engine_(seed) {}
    uint64_t of(uint64_t low, uint64_t high) { return low + engine_() % (high - low + 1); }
    bool chance(double p) { return static_cast<double>(engine_() >> 11) / 9007199254740992.0 < p; }
    template <class T>
    T one(const std::vector<T>& from) {
        return from[of(0, from.size() - 1)];
    }

private:
    std::mt19937_64 engine_;
};

World random_world(Random& random, size_t workers_max = 5) {
    const bool gguf = random.chance(0.5);
    const BackendKind kind = gguf ? random.one<BackendKind>({BackendKind::kLlamaServer, BackendKind::kEngine})
                                  : random.one<BackendKind>({BackendKind::kVllm, BackendKind::kMindie});
    World world(kind, gguf ? decoder("gguf", static_cast<double>(random.of(1, 140)), 4.8, static_cast<uint32_t>(random.of(16, 80)))
                           : decoder("safetensors", static_cast<double>(random.of(1, 40)), 16, static_cast<uint32_t>(random.of(16, 64))));
    const size_t workers = random.of(1, workers_max);
    for (size_t w = 0; w < workers; ++w) {
        std::vector<Device> devices{memory_device(random.of(16, 256))};
        devices[0].details = "AVX2";
        const std::string vendor = kind == BackendKind::kMindie ? "ascend" : "nvidia";
        const size_t cards = random.of(0, 4);
        for (size_t d = 0; d < cards; ++d) {
            const uint64_t gib = random.one<uint64_t>({16, 24, 40, 64, 80});
            devices.push_back(card(vendor, static_cast<uint32_t>(d), gib, vendor == "ascend" ? "910B" : "sm_80", vendor + std::to_string(gib)));
            if (random.chance(0.1)) devices.back().problem = "broken";
            if (random.chance(0.3)) add_foreign(devices.back(), 99, "someone", random.of(1, gib));
        }
        world.snapshot.workers.push_back(machine("w" + std::to_string(w), std::move(devices)));
        if (random.chance(0.1)) world.snapshot.workers.back().cordoned = true;
    }
    if (random.chance(0.3)) world.deployment.options.context_tokens = static_cast<uint32_t>(random.of(1, 64)) * 1024;
    if (random.chance(0.2)) world.deployment.options.max_sequences = static_cast<uint32_t>(random.of(1, 16));
    if (random.chance(0.2)) world.deployment.placement.device_count = static_cast<uint32_t>(random.of(1, 3));
    if (random.chance(0.3)) world.deployment.placement.strategy = PlacementStrategy::kBinpack;
    if (random.chance(0.2)) world.deployment.placement.cpu_offload = false;
    return world;
}

const Worker* worker_of(const World& world, const WorkerId& id) {
    for (const Worker& w : world.snapshot.workers) {
        if (w.id == id) return &w;
    }
    return nullptr;
}

const Device* device_of(const World& world, const DeviceClaim& claim) {
    const Worker* worker = worker_of(world, claim.worker_id);
    if (worker == nullptr) return nullptr;
    for (const Device& d : worker->devices) {
        if (DeviceName{d.vendor, d.index} == claim.device) return &d;
    }
    return nullptr;
}

// Each answers what is wrong; empty: nothing.

// After any series of placements and stops, with instances that took all, some or nothing of what was booked: booked and foreign
// together never exceed a device.
std::string never_over_capacity(const Decide& decide, Random& random) {
    World world = random_world(random);
    std::map<std::pair<WorkerId, DeviceName>, uint64_t> others;
    for (const Worker& w : world.snapshot.workers) {
        for (const Device& d : w.devices) others[{w.id, {d.vendor, d.index}}] = d.memory_total_bytes - d.memory_free_bytes;
    }
    for (int step = 0; step < 12; ++step) {
        if (!world.snapshot.instances.empty() && random.chance(0.25)) {
            const Instance gone = world.snapshot.instances[random.of(0, world.snapshot.instances.size() - 1)];
            for (Worker& w : world.snapshot.workers) {
                for (Device& d : w.devices) {
                    std::erase_if(d.processes, [&](const DeviceProcess& p) {
                        if (p.instance_id == gone.id) d.memory_free_bytes += p.memory_bytes;
                        return p.instance_id == gone.id;
                    });
                    if (d.vendor == "cpu" && w.id == gone.worker_id) d.memory_free_bytes += gone.memory_private_bytes;
                }
            }
            std::erase_if(world.snapshot.instances, [&](const Instance& i) { return i.id == gone.id; });
            continue;
        }
        const Decision decision = decide(world, Room(world.snapshot));
        if (decision.placement) world.add("i" + std::to_string(step), *decision.placement, static_cast<double>(random.of(0, 10)) / 10);
        std::map<std::pair<WorkerId, DeviceName>, uint64_t> booked = others;
        for (const Instance& i : world.snapshot.instances) {
            for (const DeviceClaim& c : i.placement.claims) booked[{c.worker_id, c.device}] += c.bytes;
        }
        for (const Worker& w : world.snapshot.workers) {
            for (const Device& d : w.devices) {
                const std::vector<DeviceClaim> claims = decision.placement.value_or(Placement{}).claims;
                const bool counted = std::any_of(claims.begin(), claims.end(), [&](const DeviceClaim& c) {
                    return c.worker_id == w.id && c.device == DeviceName{d.vendor, d.index};
                });
                if (counted && booked[{w.id, {d.vendor, d.index}}] > d.memory_total_bytes) return w.name + " " + d.vendor + " is over its capacity";
            }
        }
    }
    return {};
}

// Where counting by hand finds a device, or equal ones, with room for what was asked for, something is placed, and where one is enough,
// one is taken.
std::string finds_what_there_is(const Decide& decide, Random& random) {
    World world = random_world(random, 3);
    const Room room(world.snapshot);
    const bool by_layers = world.meta().format == "gguf";
    const uint32_t asked = world.deployment.options.context_tokens;
    uint32_t fewest = 0;
    for (const Worker& w : world.snapshot.workers) {
        if (w.cordoned) continue;
        for (uint32_t n = 1; n <= 4; ++n) {
            Shape shape{.backend = world.deployment.backend, .options = world.deployment.options, .vendor = "", .ranks = n};
            shape.layers_on_devices = by_layers ? world.meta().layers : 0;
            // Long enough for two sequences of a good context, so that no more devices are taken for the context's sake.
            shape.context_tokens = asked != 0 ? asked : by_layers ? 2 * kContextGood : kContextGood;
            shape.sequences = world.deployment.options.max_sequences != 0 ? world.deployment.options.max_sequences : by_layers ? 64 : 2;
            std::map<std::string, uint32_t> enough;
            for (const Device& d : w.devices) {
                if (d.vendor == "cpu" || !d.problem.empty() || backends::backend(shape.backend).refuses_device(w.os, w.arch, d)) continue;
                shape.vendor = d.vendor;
                const Estimate e = estimate(world.meta(), shape);
                uint64_t most = 0;
                for (const uint64_t rank : e.rank_bytes) most = std::max(most, rank);
                const double share = by_layers ? 0 : vllm_memory_fraction(most, d.memory_total_bytes) * static_cast<double>(d.memory_total_bytes);
                most = std::max(most, static_cast<uint64_t>(share));
                const bool beside = e.memory_bytes <= room.of(w.id, {"cpu", 0}).allocatable_bytes;
                enough[d.name] += beside && most <= room.of(w.id, {d.vendor, d.index}).allocatable_bytes ? 1 : 0;
            }
            const bool divides = by_layers || (28 % n == 0 && 4 % n == 0);
            const uint32_t forced = world.deployment.placement.device_count;
            for (const auto& [chip, count] : enough) {
                if (divides && count >= n && (forced == 0 || forced == n) && (fewest == 0 || n < fewest)) fewest = n;
            }
        }
    }
    if (fewest == 0) return {};
    const Decision decision = decide(world, room);
    if (!decision.placement) return "there is room on " + std::to_string(fewest) + " devices, and nothing was placed: " + decision.reason;
    const std::vector<DeviceClaim>& claims = decision.placement->claims;
    const auto used = std::count_if(claims.begin(), claims.end(), [](const DeviceClaim& c) { return c.device.vendor != "cpu"; });
    if (used > fewest) return std::to_string(fewest) + " would do, and it got " + std::to_string(used);
    if (used == 0) return "there is room on devices, and it computes in memory";
    return {};
}

std::string same_every_time(const Decide& decide, Random& random) {
    World world = random_world(random);
    const Room room(world.snapshot);
    const Decision first = decide(world, room);
    std::shuffle(world.snapshot.workers.begin(), world.snapshot.workers.end(), std::mt19937_64(random.of(0, 1000)));
    const Decision second = decide(world, room);   // the order of the rows says nothing
    return first.placement == second.placement ? "" : where(first.placement) + " and then " + where(second.placement);
}

std::string keeps_to_what_was_chosen(const Decide& decide, Random& random) {
    World world = random_world(random);
    const Worker& w = random.one(world.snapshot.workers);
    const Device& d = random.one(w.devices);
    const DeviceName name{d.vendor, d.index};
    world.deployment.placement.device_count = 0;
    world.deployment.placement.devices = {w.name + "/" + to_string(name)};
    const Decision decision = decide(world, Room(world.snapshot));
    if (!decision.placement) return {};
    const DeviceClaim& first = decision.placement->claims.front();
    if (first.worker_id == w.id && first.device == name && decision.placement->ranks == 1) return {};
    return "chosen was " + world.deployment.placement.devices[0] + ", used is " + where(decision.placement);
}

std::string never_uses_what_is_broken(const Decide& decide, Random& random) {
    const World world = random_world(random);
    const Decision decision = decide(world, Room(world.snapshot));
    if (!decision.placement) return {};
    for (const DeviceClaim& claim : decision.placement->claims) {
        const Device* device = device_of(world, claim);
        if (device == nullptr || !device->problem.empty()) return "a broken device is used: " + where(decision.placement);
        if (worker_of(world, claim.worker_id)->cordoned) return "a cordoned worker is used";
    }
    return {};
}

std::string more_devices_never_hurt(const Decide& decide, Random& random) {
    World world = random_world(random);
    const Decision before = decide(world, Room(world.snapshot));
    if (!before.placement) return {};
    // The one exception: a backend that does not mix leaves a machine's memory for its first accelerator (survey.cc, memory_instead).
    if (before.placement->claims.front().device.vendor == "cpu" && !backends::backend(world.deployment.backend).can_offload()) return {};
    Worker& w = world.snapshot.workers[random.of(0, world.snapshot.workers.size() - 1)];
    w.devices.push_back(card(random.one<std::string>({"nvidia", "ascend"}), 9, random.one<uint64_t>({8, 80}), "910B"));
    const Decision decision = decide(world, Room(world.snapshot));
    return decision.placement ? "" : "it does not fit any more: " + decision.reason;
}

struct Property {
    const char* name;
    std::string (*wrong)(const Decide& decide, Random& random);
    Decide planted;   // a decider with the bug that the property is for
};

const std::vector<Property>& properties() {
    static const std::vector<Property> all = {
        {"never_over_capacity", never_over_capacity,
         [](const World& world, const Room&) {   // forgets what was booked
             World empty = world;
             empty.snapshot.instances.clear();
             return real(world, Room(empty.snapshot));
         }},
        {"finds_what_there_is", finds_what_there_is,
         [](const World& world, const Room& room) {   // never looks at the first card
             World fewer = world;
             for (Worker& w : fewer.snapshot.workers) {
                 for (Device& d : w.devices) {
                     if (d.vendor != "cpu" && d.index == 0) d.problem = "overlooked";
                 }
             }
             return real(fewer, room);
         }},
        {"same_every_time", same_every_time,
         [](const World& world, const Room& room) {   // takes the first worker that will do, as the rows come
             for (const Worker& w : world.snapshot.workers) {
                 World one = world;
                 one.snapshot.workers = {w};
                 if (Decision decision = real(one, room); decision.placement) return decision;
             }
             return real(world, room);
         }},
        {"keeps_to_what_was_chosen", keeps_to_what_was_chosen,
         [](const World& world, const Room& room) {   // takes the choice for a wish
             World free = world;
             free.deployment.placement.devices.clear();
             return real(free, room);
         }},
        {"never_uses_what_is_broken", never_uses_what_is_broken,
         [](const World& world, const Room& room) {   // health is not asked
             World healthy = world;
             for (Worker& w : healthy.snapshot.workers) {
                 for (Device& d : w.devices) d.problem.clear();
             }
             return real(healthy, room);
         }},
        {"more_devices_never_hurt", more_devices_never_hurt,
         [](const World& world, const Room& room) {   // gives up where there is a card that it does not know
             for (const Worker& w : world.snapshot.workers) {
                 if (w.devices.back().index == 9) return Decision{};
             }
             return real(world, room);
         }},
    };
    return all;
}

constexpr int kFleets = 400;

TEST(placement_property, hold) {
    const char* replay = std::getenv("GANTRY_PLACEMENT_SEED");
    for (const Property& property : properties()) {
        for (int seed = 0; seed < kFleets; ++seed) {
            const uint64_t used = replay != nullptr ? std::strtoull(replay, nullptr, 10) : static_cast<uint64_t>(seed);
            Random random(used);
            ASSERT_EQ(property.wrong(real, random), "") << property.name << ", GANTRY_PLACEMENT_SEED=" << used;
        }
    }
}

TEST(placement_property, each_finds_its_planted_bug) {
    for (const Property& property : properties()) {
        int found = 0;
        for (int seed = 0; seed < kFleets; ++seed) {
            Random random(static_cast<uint64_t>(seed));
            found += property.wrong(property.planted, random).empty() ? 0 : 1;
        }
        EXPECT_GT(found, 3) << property.name;
    }
}

// Most fleets must decide something, or the properties above hold of nothing.
TEST(placement_property, fleets_are_worth_deciding) {
    int placed = 0, on_devices = 0, partly = 0, several = 0;
    for (int seed = 0; seed < kFleets; ++seed) {
        Random random(static_cast<uint64_t>(seed));
        const World world = random_world(random);
        const Decision decision = real(world, Room(world.snapshot));
        if (!decision.placement) continue;
        const Placement& p = *decision.placement;
        ++placed;
        on_devices += p.claims.front().device.vendor != "cpu" ? 1 : 0;
        partly += p.claims.front().device.vendor != "cpu" && p.layers_on_devices < p.layers ? 1 : 0;
        several += p.ranks > 1 ? 1 : 0;
    }
    EXPECT_GT(placed, kFleets / 3);
    EXPECT_LT(placed, kFleets);
    EXPECT_GT(on_devices, kFleets / 10);
    EXPECT_GT(partly, 3);
    EXPECT_GT(several, 3);
}

}  // namespace
}  // namespace gantry::placement
