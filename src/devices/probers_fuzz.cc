// Every vendor's reader of its tools' text: the first byte chooses the vendor, the second how the tools end, the rest is what each of
// them prints and what stands in every file. Whatever that is: a note or devices, each with possible figures, and a line that the
// inventory reads (devices.h), or refuses as a whole.

#include <cstdint>

#include "devices/devices.h"
#include "devices/nvidia.h"

namespace {

using namespace gantry;
using namespace gantry::devices;

class SameEverywhere final : public Tools {
public:
    SameEverywhere(int status, std::string text) : status_(status), text_(std::move(text)) {}
    Result<Output> run(const std::vector<std::string>&) override { return Output{status_, text_}; }
    Result<std::string> read(const std::string&) override { return text_; }
    std::vector<std::string> list(const std::string&) override { return {"0", "1", "davinci0", "gfx_err_count", "hwmon0"}; }
    bool has_program(const std::string&) override { return true; }

private:
    const int status_;
    const std::string text_;
};

void check(const Finding& finding, const std::string& vendor) {
    if (finding.devices.empty() && finding.note.empty()) __builtin_trap();
    for (const Device& device : finding.devices) {
        const bool sound = device.vendor == vendor && (device.memory_total_bytes != 0 || !device.problem.empty()) &&
                           device.memory_free_bytes <= device.memory_total_bytes && device.utilization >= 0 && device.utilization <= 1;
        if (!sound) __builtin_trap();
    }
    const auto read = finding_from(to_text(finding), vendor);
    if (read && (read->devices != finding.devices || read->note != finding.note)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    SameEverywhere tools(data[1] % 2, std::string(reinterpret_cast<const char*>(data) + 2, size - 2));
    const Prober* probers[] = {&kNvidia, &kAmd, &kApple, &kAscend, &kHygon, &kMthreads, &kIluvatar, &kCambricon, &kMetax};
    const Prober& prober = *probers[data[0] % std::size(probers)];
    // NVIDIA's library is not asked, should this machine have one.
    check(&prober == &kNvidia ? probe_nvidia_smi(tools) : prober.probe(tools), prober.vendor);
    return 0;
}
