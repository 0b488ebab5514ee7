// NVIDIA GPUs. Index: NVML's, which is by PCI address, as CUDA_VISIBLE_DEVICES counts with CUDA_DEVICE_ORDER=PCI_BUS_ID. Where a GPU is cut
// into MIG devices each of those is a device, its index 1,000 x (that of its GPU + 1) + its own: CUDA takes them by uuid alone.
//
// NVML: functions and structures as in NVIDIA's "NVML API Reference" (docs.nvidia.com/deploy/nvml-api), versions since driver 450. Where
// it can't be loaded nvidia-smi is asked: nvidia_smi.cc.

#include "devices/nvidia.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "devices/text.h"

namespace gantry::devices {
namespace {

constexpr char kLibrary[] = "libnvidia-ml.so.1";
constexpr unsigned kDevicesMax = 256;
constexpr unsigned kProcessesMax = 256;
constexpr unsigned kLinksMax = 18;

// ---- NVML ----------------------------------------------------------------------------------------------------------------
enum NvmlReturn : int {
    kSuccess = 0,
    kNotSupported = 3,
    kNotFound = 6,
    kInsufficientSize = 7,
    kDriverNotLoaded = 9,
    kGpuIsLost = 15,
    kResetRequired = 16,
    kVersionMismatch = 18,
};
using NvmlDevice = void*;
struct NvmlMemory {
    unsigned long long total = 0, free = 0, used = 0;
};
struct NvmlUtilization {
    unsigned gpu = 0, memory = 0;
};
struct NvmlPci {
    char legacy_bus_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};
struct NvmlProcess {
    unsigned pid;
    unsigned long long used_memory;
    unsigned gpu_instance, compute_instance;
};
constexpr unsigned kUncorrected = 1, kSinceBoot = 0;   // of errors in memory
constexpr unsigned kTemperatureGpu = 0;
constexpr unsigned kP2pNvlink = 2;
constexpr unsigned long long kUnknownMemory = ~0ull;

// The functions that are used; one that an older library lacks stays null and counts as not supported.
class Nvml {
public:
    explicit Nvml(const std::string& library) : handle_(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) {
        if (handle_ == nullptr) return;
        load(init, "nvmlInit_v2");
        load(shutdown, "nvmlShutdown");
        load(error_string, "nvmlErrorString");
        load(driver_version, "nvmlSystemGetDriverVersion");
        load(cuda_version, "nvmlSystemGetCudaDriverVersion_v2");
        load(count, "nvmlDeviceGetCount_v2");
        load(by_index, "nvmlDeviceGetHandleByIndex_v2");
        load(name, "nvmlDeviceGetName");
        load(uuid, "nvmlDeviceGetUUID");
        load(memory, "nvmlDeviceGetMemoryInfo");
        load(utilization, "nvmlDeviceGetUtilizationRates");
        load(temperature, "nvmlDeviceGetTemperature");
        load(capability, "nvmlDeviceGetCudaComputeCapability");
        load(pci, "nvmlDeviceGetPciInfo_v3");
        load(processes, "nvmlDeviceGetComputeRunningProcesses_v3");
        load(mig_mode, "nvmlDeviceGetMigMode");
        load(mig_count, "nvmlDeviceGetMaxMigDeviceCount");
        load(mig_by_index, "nvmlDeviceGetMigDeviceHandleByIndex");
        load(ecc_errors, "nvmlDeviceGetTotalEccErrors");
        load(pages_pending, "nvmlDeviceGetRetiredPagesPendingStatus");
        load(common_ancestor, "nvmlDeviceGetTopologyCommonAncestor");
        load(p2p, "nvmlDeviceGetP2PStatus");
        load(link_state, "nvmlDeviceGetNvLinkState");
        load(link_peer, "nvmlDeviceGetNvLinkRemotePciInfo_v2");
        load(remapped_rows, "nvmlDeviceGetRemappedRows");
    }
    ~Nvml() {
        if (handle_ != nullptr) ::dlclose(handle_);
    }
    Nvml(const Nvml&) = delete;
    Nvml& operator=(const Nvml&) = delete;

    bool usable() const { return init != nullptr && count != nullptr && by_index != nullptr && memory != nullptr; }
    std::string error(int code) const {
        const char* text = error_string != nullptr ? error_string(code) : nullptr;
        return text != nullptr ? readable(text) : fmt::format("error {}", code);
    }

    int (*init)() = nullptr;
    int (*shutdown)() = nullptr;
    const char* (*error_string)(int) = nullptr;
    int (*driver_version)(char*, unsigned) = nullptr;
    int (*cuda_version)(int*) = nullptr;
    int (*count)(unsigned*) = nullptr;
    int (*by_index)(unsigned, NvmlDevice*) = nullptr;
    int (*name)(NvmlDevice, char*, unsigned) = nullptr;
    int (*uuid)(NvmlDevice, char*, unsigned) = nullptr;
    int (*memory)(NvmlDevice, NvmlMemory*) = nullptr;
    int (*utilization)(NvmlDevice, NvmlUtilization*) = nullptr;
    int (*temperature)(NvmlDevice, unsigned, unsigned*) = nullptr;
    int (*capability)(NvmlDevice, int*, int*) = nullptr;
    int (*pci)(NvmlDevice, NvmlPci*) = nullptr;
    int (*processes)(NvmlDevice, unsigned*, NvmlProcess*) = nullptr;
    int (*mig_mode)(NvmlDevice, unsigned*, unsigned*) = nullptr;
    int (*mig_count)(NvmlDevice, unsigned*) = nullptr;
    int (*mig_by_index)(NvmlDevice, unsigned, NvmlDevice*) = nullptr;
    int (*ecc_errors)(NvmlDevice, unsigned, unsigned, unsigned long long*) = nullptr;
    int (*pages_pending)(NvmlDevice, unsigned*) = nullptr;
    int (*common_ancestor)(NvmlDevice, NvmlDevice, unsigned*) = nullptr;
    int (*p2p)(NvmlDevice, NvmlDevice, unsigned, unsigned*) = nullptr;
    int (*link_state)(NvmlDevice, unsigned, unsigned*) = nullptr;
    int (*link_peer)(NvmlDevice, unsigned, NvmlPci*) = nullptr;
    int (*remapped_rows)(NvmlDevice, unsigned*, unsigned*, unsigned*, unsigned*) = nullptr;

private:
    template <class Function>
    void load(Function& function, const char* symbol) { function = reinterpret_cast<Function>(::dlsym(handle_, symbol)); }
    void* handle_;
};

template <class Get, class... Arguments>
int call(Get get, Arguments... arguments) { return get != nullptr ? get(arguments...) : static_cast<int>(kNotSupported); }

std::string text_of(int (*get)(NvmlDevice, char*, unsigned), NvmlDevice handle) {
    std::array<char, 128> text{};
    if (call(get, handle, text.data(), static_cast<unsigned>(text.size() - 1)) != kSuccess) return {};
    return readable(text.data());
}

struct Opened {
    NvmlDevice handle = nullptr;
    Device device{};
};

void read_processes(const Nvml& nvml, NvmlDevice handle, Device& device) {
    std::vector<NvmlProcess> found(kProcessesMax);
    unsigned count = kProcessesMax;
    if (call(nvml.processes, handle, &count, found.data()) != kSuccess) return;
    for (unsigned i = 0; i < std::min(count, kProcessesMax); ++i) {
        const uint64_t bytes = found[i].used_memory == kUnknownMemory ? 0 : found[i].used_memory;
        device.processes.push_back({.pid = found[i].pid, .name = {}, .memory_bytes = bytes, .instance_id = {}});
    }
}

// What a whole GPU and a part of one have in common.
void read_device(const Nvml& nvml, NvmlDevice handle, Device& device) {
    device.vendor = "nvidia";
    device.name = text_of(nvml.name, handle);
    device.uuid = text_of(nvml.uuid, handle);
    NvmlMemory memory;
    if (const int failed = nvml.memory(handle, &memory); failed == kSuccess) {
        device.memory_total_bytes = memory.total;
        device.memory_free_bytes = std::min(memory.free, memory.total);
    } else if (failed == kNotSupported) {
        device.problem = "its memory is the machine's, and the driver does not tell how much of it";
    } else {
        device.problem = "its memory can't be read: " + nvml.error(failed);
    }
    read_processes(nvml, handle, device);
}

void read_health(const Nvml& nvml, NvmlDevice handle, Device& device) {
    unsigned long long errors = 0;
    if (call(nvml.ecc_errors, handle, kUncorrected, kSinceBoot, &errors) == kSuccess && errors > 0) {
        device.problem = fmt::format("{} uncorrected memory error{} since the machine's start: reset the GPU (nvidia-smi --gpu-reset), and "
                                     "replace it if they come back", errors, errors == 1 ? "" : "s");
    }
    unsigned pending = 0;
    if (call(nvml.pages_pending, handle, &pending) == kSuccess && pending != 0) {
        device.problem = "damaged pages of its memory wait to be retired: restart the machine, or reset the GPU";
    }
    unsigned correctable = 0, uncorrectable = 0, waiting = 0, refused = 0;   // since Ampere rows are remapped, not pages retired
    if (call(nvml.remapped_rows, handle, &correctable, &uncorrectable, &waiting, &refused) != kSuccess) return;
    if (waiting != 0) device.problem = "damaged rows of its memory wait to be remapped: reset the GPU, or restart the machine";
    if (refused != 0) device.problem = "damaged rows of its memory can't be remapped any more: replace the GPU";
}

void read_whole(const Nvml& nvml, NvmlDevice handle, Tools& tools, Device& device) {
    read_device(nvml, handle, device);
    NvmlUtilization use;
    if (call(nvml.utilization, handle, &use) == kSuccess) device.utilization = share(use.gpu);
    unsigned celsius = 0;
    if (call(nvml.temperature, handle, kTemperatureGpu, &celsius) == kSuccess) device.temperature_celsius = celsius;
    int major = 0, minor = 0;
    if (call(nvml.capability, handle, &major, &minor) == kSuccess) device.chip = fmt::format("sm_{}{}", major, minor);
    NvmlPci pci{};
    if (call(nvml.pci, handle, &pci) == kSuccess) {
        pci.bus_id[sizeof pci.bus_id - 1] = '\0';
        device.bus_address = bus_address(pci.bus_id);
        device.numa_node = numa_node(tools, device.bus_address);
    }
    read_health(nvml, handle, device);
}

// The parts of a GPU in MIG mode; each has its own memory and processes.
std::vector<Device> read_parts(const Nvml& nvml, NvmlDevice handle, const Device& whole) {
    std::vector<Device> parts;
    unsigned most = 0;
    if (call(nvml.mig_count, handle, &most) != kSuccess) return parts;
    for (unsigned i = 0; i < std::min(most, kDevicesMax); ++i) {
        NvmlDevice part = nullptr;
        if (call(nvml.mig_by_index, handle, i, &part) != kSuccess) continue;
        Device device;
        read_device(nvml, part, device);
        device.index = kPartsFrom * (whole.index + 1) + i;
        device.chip = whole.chip;
        device.bus_address = whole.bus_address;
        device.numa_node = whole.numa_node;
        device.temperature_celsius = whole.temperature_celsius;
        if (device.problem.empty()) device.problem = whole.problem;
        const size_t profile = device.name.rfind("MIG ");   // "NVIDIA A100-SXM4-80GB MIG 1g.10gb"
        device.partition = whole.uuid + (profile == std::string::npos ? "" : " " + device.name.substr(profile + 4));
        parts.push_back(std::move(device));
    }
    return parts;
}

// A driver's levels of how far two devices are apart, in nvidia-smi's words.
const char* path_kind(unsigned level) {
    switch (level) {
        case 10: return "PIX";
        case 20: return "PXB";
        case 30: return "PHB";
        case 40: return "NODE";
        case 50: return "SYS";
        default: return nullptr;
    }
}

// What the active NVLinks of a GPU lead to: the address of another GPU, or of a switch.
std::vector<std::string> link_peers(const Nvml& nvml, NvmlDevice handle) {
    std::vector<std::string> peers;
    for (unsigned link = 0; link < kLinksMax; ++link) {
        unsigned active = 0;
        if (call(nvml.link_state, handle, link, &active) != kSuccess) break;
        if (active == 0) continue;
        NvmlPci peer{};
        const bool told = call(nvml.link_peer, handle, link, &peer) == kSuccess;
        peer.bus_id[sizeof peer.bus_id - 1] = '\0';
        peers.push_back(told ? bus_address(peer.bus_id) : "");
    }
    return peers;
}

void read_links(const Nvml& nvml, std::vector<Opened>& opened) {
    for (Opened& from : opened) {
        const std::vector<std::string> peers = link_peers(nvml, from.handle);
        // Links that lead to no GPU lead to switches, and so to all.
        const auto to_switches = std::count_if(peers.begin(), peers.end(), [&](const std::string& peer) {
            return std::none_of(opened.begin(), opened.end(), [&](const Opened& one) { return !peer.empty() && one.device.bus_address == peer; });
        });
        for (const Opened& to : opened) {
            if (from.handle == to.handle) continue;
            const auto links = to_switches + std::count(peers.begin(), peers.end(), to.device.bus_address);
            unsigned status = 1, level = 0;
            if (links > 0 && call(nvml.p2p, from.handle, to.handle, kP2pNvlink, &status) == kSuccess && status == 0) {
                from.device.links.push_back({to.device.index, fmt::format("NV{}", links)});
            } else if (call(nvml.common_ancestor, from.handle, to.handle, &level) == kSuccess && path_kind(level) != nullptr) {
                from.device.links.push_back({to.device.index, path_kind(level)});
            }
        }
    }
}

std::string advice_for(int failed) {
    if (failed == kDriverNotLoaded) return ": load it (modprobe nvidia), or restart the machine after the driver's installation";
    if (failed == kVersionMismatch) return ": the driver was renewed while it was in use; restart the machine";
    return {};
}

Finding read_all(const Nvml& nvml, Tools& tools) {
    Finding finding;
    std::array<char, 96> driver{};
    if (nvml.driver_version != nullptr) nvml.driver_version(driver.data(), static_cast<unsigned>(driver.size() - 1));
    int cuda = 0;
    if (nvml.cuda_version != nullptr) nvml.cuda_version(&cuda);
    unsigned count = 0;
    if (const int failed = nvml.count(&count); failed != kSuccess) {
        finding.note = "the driver does not count its devices: " + nvml.error(failed);
        return finding;
    }
    std::vector<Opened> whole;
    std::vector<Device> parts;
    for (unsigned i = 0; i < std::min(count, kDevicesMax); ++i) {
        Opened one;
        one.device.vendor = "nvidia";
        one.device.index = i;
        if (const int failed = nvml.by_index(i, &one.handle); failed != kSuccess) {
            one.device.name = "NVIDIA GPU";
            one.device.problem = fmt::format("{}{}", nvml.error(failed), failed == kGpuIsLost || failed == kResetRequired
                ? ": it fell off the bus or hangs; look for \"Xid\" in the kernel's log and restart the machine" : "");
            finding.devices.push_back(std::move(one.device));
            continue;
        }
        read_whole(nvml, one.handle, tools, one.device);
        unsigned mode = 0, pending = 0;
        if (call(nvml.mig_mode, one.handle, &mode, &pending) == kSuccess && mode != 0) {
            for (Device& part : read_parts(nvml, one.handle, one.device)) parts.push_back(std::move(part));
        } else {
            whole.push_back(std::move(one));
        }
    }
    read_links(nvml, whole);
    for (Opened& one : whole) finding.devices.push_back(std::move(one.device));
    for (Device& part : parts) finding.devices.push_back(std::move(part));
    for (Device& device : finding.devices) {
        device.driver_version = readable(driver.data());
        if (cuda > 0) device.runtime_version = fmt::format("CUDA {}.{}", cuda / 1000, cuda % 1000 / 10);
    }
    if (finding.devices.empty()) {
        finding.note = count == 0 ? "its driver runs, but no GPU is there" : "its GPUs are in MIG mode, with no MIG devices made";
    }
    return finding;
}

bool present(Tools& tools) {
    return has_device_file(tools, "nvidiactl") || has_device_file(tools, "nvidia") || tools.has_program("nvidia-smi");
}

Finding probe(Tools& tools) {
    if (auto found = probe_nvml(kLibrary, tools)) return *std::move(found);
    return probe_nvidia_smi(tools);
}

}  // namespace

std::optional<Finding> probe_nvml(const std::string& library, Tools& tools) {
    const Nvml nvml(library);
    if (!nvml.usable()) return std::nullopt;
    if (const int failed = nvml.init(); failed != kSuccess) {
        return Finding{{}, fmt::format("its driver does not answer: {}{}", nvml.error(failed), advice_for(failed))};
    }
    Finding finding = read_all(nvml, tools);
    if (nvml.shutdown != nullptr) nvml.shutdown();
    return finding;
}

const Prober kNvidia{"nvidia", present, "no /dev/nvidiactl, and nvidia-smi is not installed", probe};

}  // namespace gantry::devices
