// A small NVML for tests, really loaded: three GPUs, of which the second is lost and the third is cut by MIG into two parts. What it answers
// is invented. GANTRY_FAKE_NVML=no-driver: it finds no driver; ecc, remap: the
// first has damaged memory.
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Gpu {
    const char* name;
    const char* uuid;
    unsigned long long total, used;
};
constexpr unsigned long long kGiB = 1ull << 30;
Gpu whole_gpu = {"NVIDIA H100 80GB HBM3", "GPU-aaaaaaaa-0000-0000-0000-000000000001", 80 * kGiB, 30 * kGiB};
Gpu cut_gpu = {"NVIDIA A100-SXM4-80GB", "GPU-cccccccc-0000-0000-0000-000000000003", 80 * kGiB, 11 * kGiB};
Gpu parts[] = {{"NVIDIA A100-SXM4-80GB MIG 1g.10gb", "MIG-cccccccc-0000-0000-0000-000000000004", 10 * kGiB, 1 * kGiB},
               {"NVIDIA A100-SXM4-80GB MIG 3g.40gb", "MIG-cccccccc-0000-0000-0000-000000000005", 40 * kGiB, 10 * kGiB}};

struct Memory {
    unsigned long long total, free, used;
};
struct Utilization {
    unsigned gpu, memory;
};
struct Pci {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};
struct Process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

}  // namespace

extern "C" {

int nvmlInit_v2() {
    const char* mode = std::getenv("GANTRY_FAKE_NVML");
    return mode != nullptr && std::strcmp(mode, "no-driver") == 0 ? 9 : 0;
}
int nvmlShutdown() { return 0; }
const char* nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : code == 15 ? "GPU is lost" : "Unknown Error"; }
int nvmlSystemGetDriverVersion(char* out, unsigned length) { return std::snprintf(out, length, "550.54.15") > 0 ? 0 : 7; }
int nvmlSystemGetCudaDriverVersion_v2(int* version) { return *version = 12040, 0; }
int nvmlDeviceGetCount_v2(unsigned* count) { return *count = 3, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
    if (index == 1) return 15;
    *device = index == 0 ? &whole_gpu : &cut_gpu;
    return 0;
}
int nvmlDeviceGetName(void* device, char* out, unsigned length) {
    return std::snprintf(out, length, "%s", static_cast<Gpu*>(device)->name) > 0 ? 0 : 7;
}
int nvmlDeviceGetUUID(void* device, char* out, unsigned length) {
    return std::snprintf(out, length, "%s", static_cast<Gpu*>(device)->uuid) > 0 ? 0 : 7;
}
int nvmlDeviceGetMemoryInfo(void* device, Memory* out) {
    const Gpu& gpu = *static_cast<Gpu*>(device);
    *out = {gpu.total, gpu.total - gpu.used, gpu.used};
    return 0;
}
int nvmlDeviceGetUtilizationRates(void*, Utilization* out) { return *out = {87, 40}, 0; }
int nvmlDeviceGetTemperature(void*, unsigned, unsigned* celsius) { return *celsius = 61, 0; }
int nvmlDeviceGetCudaComputeCapability(void* device, int* major, int* minor) {
    *major = device == &whole_gpu ? 9 : 8;
    *minor = 0;
    return 0;
}
int nvmlDeviceGetPciInfo_v3(void* device, Pci* out) {
    std::memset(out, 0, sizeof *out);
    return std::snprintf(out->bus_id, sizeof out->bus_id, "%s", device == &whole_gpu ? "00000000:07:00.0" : "00000000:0F:00.0") > 0 ? 0 : 7;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void* device, unsigned* count, Process* out) {
    if (device != &whole_gpu) return *count = 0, 0;
    *count = 1;
    out[0] = {4242, 29 * kGiB, 0, 0};
    return 0;
}
int nvmlDeviceGetMigMode(void* device, unsigned* current, unsigned* pending) {
    *current = *pending = device == &cut_gpu ? 1 : 0;
    return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void*, unsigned* count) { return *count = 7, 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void*, unsigned index, void** device) {
    if (index >= 2) return 6;
    *device = &parts[index];
    return 0;
}
int nvmlDeviceGetTotalEccErrors(void* device, unsigned, unsigned, unsigned long long* count) {
    const char* mode = std::getenv("GANTRY_FAKE_NVML");
    *count = device == &whole_gpu && mode != nullptr && std::strcmp(mode, "ecc") == 0 ? 2 : 0;
    return 0;
}

int nvmlDeviceGetRemappedRows(void* device, unsigned* correctable, unsigned* uncorrectable, unsigned* waiting, unsigned* refused) {
    if (device != &whole_gpu) return 3;
    const char* mode = std::getenv("GANTRY_FAKE_NVML");
    *correctable = *uncorrectable = *refused = 0;
    *waiting = mode != nullptr && std::strcmp(mode, "remap") == 0 ? 1 : 0;
    return 0;
}

}  // extern "C"
