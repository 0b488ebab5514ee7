#pragma once
// Ways to run an instance: which devices of which workers, how the model is split over them, and whether there is room.

#include <optional>
#include <vector>

#include "placement/needs.h"

namespace gantry::placement {

// A device that came through the filters.
struct Slot {
    const Worker* worker = nullptr;
    const Device* device = nullptr;
    uint64_t room = 0;
    uint32_t instances = 0;      // that are on it

    DeviceName name() const { return {device->vendor, device->index}; }
};

bool roomier(const Slot& a, const Slot& b);   // more room, then fewer instances, then by name

// A worker as candidates are made from it.
struct View {
    const Worker* worker = nullptr;
    std::vector<Slot> accelerators{};            // the roomiest first
    std::optional<Slot> memory{};                // where the instance may compute in memory alone
    uint64_t memory_room = UINT64_MAX;           // of cpu/0, for what stays there; UINT64_MAX: the worker tells of no memory
    bool tells_memory = false;
};

enum class Kind { kDevices, kPartly, kMemory, kSeveralWorkers };   // in the order of preference

struct Candidate {
    Kind kind = Kind::kDevices;
    bool good = false;                     // Needs::good() finds room
    std::vector<Slot> slots{};             // in the order of their ranks; of kMemory cpu/0
    std::vector<uint32_t> layers{};        // on each slot, where it is split by layers
    uint32_t stages = 1;                   // of a pipeline: one a worker, where the backend makes one between workers
    Length tried{};                        // what found room: least() or good()
    bool equal = true;                     // all slots are the same chip
    std::vector<const View*> views{};      // of its workers, the leading one first; they outlive it
    uint32_t layers_on_devices() const;    // or of other workers, in their memory
    bool leads_in_memory() const;          // the first slot is the leading worker's memory, and others compute with it
};

// Of one worker: the best of each kind and group of equal chips, by the strategy.
std::vector<Candidate> candidates(const View& view, const Asked& asked, Needs& needs);
// With ranks on several workers; empty where the backend or the deployment does not want that. several_workers.cc, with what follows.
std::vector<Candidate> candidates_of_several(const std::vector<const View*>& views, const Asked& asked, Needs& needs);

// Why a worker can have no part of an instance that several run.
Reason cannot_take_part(const Worker& worker, const Asked& asked);
// Devices of more than one worker were chosen by hand: exactly those are to be used.
bool names_several_workers(const std::vector<const View*>& views, const Asked& asked);
// Of a candidate on several workers that is split by layers: what a slot takes that gets so many of them, all others being elsewhere; and what
// one of its workers has in memory beside its slots.
uint64_t bytes_on(const Candidate& made, size_t slot, uint32_t layers, Needs& needs, Length length);
uint64_t memory_beside(const Candidate& made, const View& view, Needs& needs, Length length);

// How many devices to try on a worker, the fewest first: those that were forced, or all numbers that the model can be split over.
std::vector<uint32_t> counts(size_t available, const View& view, const Asked& asked, const Needs& needs);
// How many devices may compute together: of tensor-parallel backends each must get whole heads.
Reason refuse_ranks(const ModelMeta* meta, bool by_layers, uint32_t ranks);

// What a device takes that gets so many layers of several devices' split, whichever they are: the output matrix counts on each, since
// one of them has it (llama.cpp counts it as a layer). `pipelined`: all layers are on them, so that each keeps several inputs.
uint64_t bytes_of_layers(const std::string& vendor, Needs& needs, uint32_t layers, Length length, bool pipelined);

// Joined by their vendor's own links, NVLink and the like, and not by PCIe alone; of the same worker.
bool linked(const Slot& a, const Slot& b);

// What a device of that size loses to a rank that takes so much: more, where a backend is told its share as a part of the whole.
uint64_t share_bytes(const Needs& needs, uint64_t rank_bytes, const Device& device);

// The placement of a candidate, its context and sequences settled; `used`: what it was estimated to take.
Placement place(const Candidate& candidate, const Asked& asked, Needs& needs, Estimate* used);

}  // namespace gantry::placement
