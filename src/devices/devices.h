#pragma once
// The devices of this machine. The CPU is read in this process at each call; each vendor's prober runs in a child of its own, with a
// deadline, because a driver may hang or crash whoever asks it. A device that was there and is no more, or whose prober fails, stays
// listed with a `problem` for kRemembered, so that nothing new is placed on it; it heals by itself.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "devices/prober.h"
#include "domain/device.h"

namespace gantry::devices {

inline constexpr std::chrono::minutes kRemembered{60};

struct ProbeOutcome {
    std::vector<Device> devices;
    std::vector<std::string> notes;   // "nvidia: no /dev/nvidiactl, and nvidia-smi is not installed": why nothing was found
};

struct InventoryOptions {
    std::string gantry_binary;                    // started as `gantry probe VENDOR`; empty: accelerators are not looked for
    std::chrono::milliseconds deadline{45'000};   // of a prober; over three of its tools' own
    std::chrono::milliseconds interval{5'000};    // between two looks at what is there
    std::chrono::milliseconds absent_interval{60'000};   // at what is not
    std::function<void()> changed{};              // devices came, went, fell ill or healed. Threads: the inventory's own
    std::vector<const Prober*> probers{};         // empty: all
};

class Inventory {
public:
    static std::unique_ptr<Inventory> start(InventoryOptions options);
    virtual ~Inventory() = default;
    virtual ProbeOutcome latest() = 0;            // threads: any
    virtual void refresh() = 0;                   // look again now: memory was freed. Threads: any
    // Waits until each vendor has been looked at once. False: not by then.
    virtual bool wait_for_first_look(Deadline deadline) = 0;
};

// What `gantry probe VENDOR` does: one line of JSON on stdout. The exit status.
int probe_main(const std::string& vendor);

// The same as text, and back. What comes from a child is bounded and checked: kInvalidArgument.
std::string to_text(const Finding& finding);
Result<Finding> finding_from(const std::string& text, const std::string& vendor);

// What to show of a vendor after a look, given what was shown before; pure. `failed`: why the look gave nothing that can be believed.
// A device is the same by its uuid where it has one. One that is lost while another has taken its index (the driver counts anew) is listed
// behind all others; an index that a device never seen before has taken is that one's.
struct Seen {
    Device device;
    SteadyTime last{};         // when it was well
    WallTime last_wall{};
};
inline constexpr uint32_t kDisplaced = 1'000'000;   // added to the index of a lost one whose place is taken
std::vector<Seen> remembered(const std::vector<Seen>& before, const Finding& finding, const std::string& failed, SteadyTime now, WallTime wall);

}  // namespace gantry::devices
