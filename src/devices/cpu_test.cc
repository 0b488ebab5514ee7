#include "devices/cpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "devices/devices.h"

namespace gantry::devices {
namespace {

using testing::HasSubstr;

constexpr uint64_t kKiB = 1024;

// A copy of a recorded machine that a test may change.
class Machine {
public:
    explicit Machine(const std::string& recorded) {
        char name[] = "/tmp/gantry_devices_XXXXXX";
        root_ = ::mkdtemp(name);
        std::filesystem::copy(std::string(GANTRY_SOURCE_DIR) + "/tests/data/devices/" + recorded, root_,
                              std::filesystem::copy_options::recursive);
    }
    ~Machine() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    void write(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << text;
    }
    const std::string& root() const { return root_; }

private:
    std::string root_;
};

TEST(CpuProber, ReadsARecordedMachine) {
    const Machine machine("xeon-2-cores");
    const Device device = CpuProber(machine.root(), 2).probe();
    EXPECT_EQ(device.vendor, "cpu");
    EXPECT_EQ(device.name, "Intel(R) Xeon(R) Processor");
    EXPECT_EQ(device.cores, 2u);
    EXPECT_EQ(device.memory_total_bytes, 24684084 * kKiB);
    EXPECT_EQ(device.memory_free_bytes, 24284592 * kKiB);
    EXPECT_EQ(device.details,
              "AVX2 FMA F16C AVX512 AVX-VNNI AVX512-VNNI AVX512-BF16 AVX512-FP16 AMX-INT8 AMX-BF16");
    EXPECT_EQ(device.utilization, 0);
    EXPECT_EQ(device.problem, "");
}

TEST(CpuProber, ReadsTheNodesOfRecordedMachines) {
    const Device cores = CpuProber(Machine("xeon-8470q-nodes").root(), 208).probe();
    ASSERT_EQ(cores.numa_nodes.size(), 2u);
    EXPECT_EQ(cores.numa_nodes[1],
              (NumaNode{.node = 1, .cores = "52-103,156-207", .core_count = 104, .memory_total_bytes = std::nullopt,
                        .memory_free_bytes = std::nullopt, .distances = {21, 10}}))
        << "its memory was not recorded: unknown, not none";
    const Device memory = CpuProber(Machine("two-nodes-memory").root(), 2).probe();
    ASSERT_EQ(memory.numa_nodes.size(), 2u);
    EXPECT_EQ(memory.numa_nodes[0].memory_total_bytes, 134182340 * kKiB);
    EXPECT_EQ(memory.numa_nodes[0].memory_free_bytes, 53030372 * kKiB);
    EXPECT_EQ(memory.numa_nodes[1].memory_total_bytes, 134217728 * kKiB);
    EXPECT_EQ(memory.numa_nodes[1].memory_free_bytes, 39634788 * kKiB);
    EXPECT_TRUE(memory.numa_nodes[1].distances.empty());
    EXPECT_EQ(memory.numa_nodes[1].core_count, std::nullopt);
}

TEST(CpuProber, NodesAreInTheOrderOfTheirNumbersAndNonsenseIsUnknown) {
    Machine machine("xeon-2-cores");
    const std::string node = "/sys/devices/system/node/node";
    machine.write(node + "0/cpulist", "0-31,64-95\n");
    machine.write(node + "0/meminfo", "Node 0 MemTotal:       131811028 kB\nNode 0 MemFree:        3868928 kB\n");
    machine.write(node + "0/distance", "10 12 32\n");
    EXPECT_TRUE(CpuProber(machine.root(), 2).probe().numa_nodes.empty()) << "one node is nothing to say";
    machine.write(node + "10/cpulist", "\n");   // memory alone, as CXL's is
    machine.write(node + "10/meminfo", "Node 10 MemTotal:       67108864 kB\nNode 10 MemFree: 67108864 kB\n");
    machine.write(node + "10/distance", "32 30\n");   // of other nodes
    machine.write(node + "2/cpulist", "32-,x,9-3,7,99999999999\n");
    machine.write(node + "2/meminfo", "nonsense");
    machine.write(node + "2/distance", "99999999999 -1 10\n");
    machine.write(node + "s/cpulist", "1\n");
    const Device device = CpuProber(machine.root(), 2).probe();
    ASSERT_EQ(device.numa_nodes.size(), 3u);
    EXPECT_EQ(device.numa_nodes[0].core_count, 64u);
    EXPECT_EQ(device.numa_nodes[0].distances, (std::vector<uint32_t>{10, 12, 32}));
    EXPECT_EQ(device.numa_nodes[1].node, 2u);
    EXPECT_EQ(device.numa_nodes[1].core_count, 1u);
    EXPECT_EQ(device.numa_nodes[1].memory_total_bytes, std::nullopt);
    EXPECT_EQ(device.numa_nodes[1].distances, (std::vector<uint32_t>{255, 0, 10}));
    EXPECT_EQ(device.numa_nodes[2].node, 10u);
    EXPECT_EQ(device.numa_nodes[2].core_count, 0u);
    EXPECT_EQ(device.numa_nodes[2].memory_free_bytes, 67108864 * kKiB);
    EXPECT_TRUE(device.numa_nodes[2].distances.empty());
    EXPECT_THAT(device.details, testing::Not(HasSubstr("NUMA")));
}

TEST(CpuProber, FreeMemoryOfANodeIsReadEachTime) {
    Machine machine("two-nodes-memory");
    CpuProber prober(machine.root(), 2);
    EXPECT_EQ(prober.probe().numa_nodes[1].memory_free_bytes, 39634788 * kKiB);
    machine.write("/sys/devices/system/node/node1/meminfo", "Node 1 MemTotal: 134217728 kB\nNode 1 MemFree: 1024 kB\n");
    EXPECT_EQ(prober.probe().numa_nodes[1].memory_free_bytes, 1024 * kKiB);
}

TEST(CpuProber, UtilizationIsSinceTheLastCall) {
    Machine machine("xeon-2-cores");
    CpuProber prober(machine.root(), 2);
    machine.write("/proc/stat", "cpu  100 0 100 1000 0 0 0 0 0 0\n");
    EXPECT_EQ(prober.probe().utilization, 0);
    machine.write("/proc/stat", "cpu  150 0 125 1020 5 0 0 0 0 0\n");  // 75 busy of 100
    EXPECT_DOUBLE_EQ(prober.probe().utilization, 0.75);
    EXPECT_EQ(prober.probe().utilization, 0);                            // no time passed
    machine.write("/proc/stat", "cpu  150 0 125 1020 1 0 0 0 0 0\n");  // iowait went back, as it may
    EXPECT_EQ(prober.probe().utilization, 0);
    machine.write("/proc/stat", "nonsense");
    EXPECT_EQ(prober.probe().utilization, 0);
}

TEST(CpuProber, AContainersLimitsCount) {
    Machine machine("xeon-2-cores");
    machine.write("/proc/self/cgroup", "0::/pods/one\n");
    machine.write("/sys/fs/cgroup/pods/memory.max", "4294967296\n");
    machine.write("/sys/fs/cgroup/pods/memory.current", "1073741824\n");
    machine.write("/sys/fs/cgroup/pods/memory.stat", "anon 1\ninactive_file 536870912\n");
    machine.write("/sys/fs/cgroup/pods/one/memory.max", "max\n");
    machine.write("/sys/fs/cgroup/pods/one/cpu.max", "150000 100000\n");
    const Device device = CpuProber(machine.root(), 16).probe();
    EXPECT_EQ(device.memory_total_bytes, 4ull << 30);
    EXPECT_EQ(device.memory_free_bytes, (4ull << 30) - (512ull << 20)) << "the page cache that can go counts as free";
    EXPECT_EQ(device.cores, 2u) << "one and a half, rounded up";
}

TEST(CpuProber, TheOldHierarchiesLimitsCountToo) {
    Machine machine("xeon-2-cores");
    machine.write("/proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n");
    // Inside a container without a namespace of its own the path is the host's: only the mount's root exists.
    machine.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
    machine.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "2147483648\n");
    machine.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
    machine.write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    const Device device = CpuProber(machine.root(), 64).probe();
    EXPECT_EQ(device.memory_total_bytes, 1ull << 30);
    EXPECT_EQ(device.memory_free_bytes, 0u);
    EXPECT_EQ(device.cores, 4u);
    machine.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    EXPECT_EQ(CpuProber(machine.root(), 64).probe().cores, 64u);
}

TEST(CpuProber, ABareMachineIsADeviceWithAProblem) {
    const Device device = CpuProber("/nonexistent", 1).probe();
    EXPECT_EQ(device.name, "CPU");
    EXPECT_EQ(device.cores, 1u);
    EXPECT_THAT(device.problem, HasSubstr("how much memory"));
}

TEST(Devices, ThisMachine) {
    const auto inventory = Inventory::start({});
    const ProbeOutcome outcome = inventory->latest();
    ASSERT_EQ(outcome.devices.size(), 1u);
    const Device& device = outcome.devices[0];
    EXPECT_EQ(device.index, 0u);
    EXPECT_GE(device.cores, 1u);
    EXPECT_GT(device.memory_total_bytes, 64u << 20);
    EXPECT_LE(device.memory_free_bytes, device.memory_total_bytes);
    // Work for a while: the machine must not seem idle.
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(60);
    volatile uint64_t sum = 0;
    while (std::chrono::steady_clock::now() < end) {
        sum = sum + 1;
    }
    EXPECT_GT(inventory->latest().devices[0].utilization, 0);
}

}  // namespace
}  // namespace gantry::devices
