#pragma once
// What shapes of one deployment take, corrected by what was measured; each is estimated once.

#include <functional>
#include <map>
#include <string>
#include <tuple>

#include "placement/asked.h"
#include "placement/scheduler.h"

namespace gantry::placement {

// As estimates call the memory of a worker that computes for one that leads (backends/llama_rpc.h).
inline constexpr char kMemoryElsewhere[] = "memory elsewhere";

struct Length {
    uint32_t context_tokens = 0;
    uint32_t sequences = 0;
    auto operator<=>(const Length&) const = default;
};

struct Need {
    Estimate estimate;               // as it was estimated
    uint64_t memory_bytes = 0;       // corrected, of the machine
    uint64_t rank_bytes = 0;         // corrected, the most of any rank
};

class Needs {
public:
    Needs(const Asked& asked, const Knowledge& knowledge);

    const Need& of(const std::string& vendor, uint32_t ranks, uint32_t layers_on_devices, Length length, bool pipelined = false, uint32_t stages = 1);
    const Correction& correction(const std::string& vendor);

    bool known() const { return missing_.empty(); }
    const std::string& missing() const { return missing_; }   // why it is not known, for a person
    bool shares_cells() const { return shares_cells_; }       // all sequences share context_tokens cells: llama.cpp's backends
    bool takes_fraction() const { return takes_fraction_; }   // its share of a device is told to it as a part of the whole
    const char* usual_vendor() const;                         // of devices that the backend is for
    uint32_t layers() const;                                  // to be put on devices by layers; 0: the backend does not split so

    Length least() const;   // what must find room at least
    Length good() const;    // what should: kContextGood for two sequences, or all there is; least() where everything was given
    // What is booked where `fits` says what finds room; least() does.
    Length settle(const std::function<bool(Length)>& fits) const;
    Length booked(Length found) const;   // of least() or good(): without the second sequence that is not booked

private:
    uint32_t trained() const;
    uint32_t sequences_least() const;
    std::string why_unknown(const Knowledge& knowledge);

    const Asked& asked_;
    const Knowledge& knowledge_;
    Shape shape_;
    bool shares_cells_ = false;
    bool takes_fraction_ = false;
    std::string missing_;
    std::map<std::string, Correction> corrections_;
    std::map<std::tuple<std::string, uint32_t, uint32_t, Length, bool, uint32_t>, Need> memo_;
};

}  // namespace gantry::placement
