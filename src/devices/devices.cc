#include "devices/devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/guarded.h"
#include "base/log.h"
#include "base/platform/program.h"
#include "devices/cpu.h"
#include "devices/text.h"
#include "devices/tools.h"
#include "domain/fields.h"

namespace gantry::devices {
namespace {

constexpr size_t kDevicesMax = 256;
constexpr size_t kNoteBytesMax = 2'000;
constexpr size_t kAnswerBytesMax = 4u << 20;

const std::vector<const Prober*>& all_probers() {
    static const std::vector<const Prober*> probers = {&kNvidia,  &kAmd,      &kApple,     &kAscend, &kHygon,
                                                       &kMthreads, &kIluvatar, &kCambricon, &kMetax};
    return probers;
}

// One vendor: a thread that looks now and then.
class Watch {
public:
    Watch(const Prober& prober, const InventoryOptions& options) : prober_(prober), options_(options), thread_([this] { loop(); }) {}
    ~Watch() {
        {
            std::lock_guard lock(mutex_);
            ending_ = true;
        }
        cancel_.cancel();
        woken_.notify_all();
        thread_.join();
    }

    void refresh() {
        std::lock_guard lock(mutex_);
        wanted_ = true;
        woken_.notify_all();
    }
    void add_to(ProbeOutcome& outcome) {
        std::lock_guard lock(mutex_);
        for (const Seen& seen : seen_) outcome.devices.push_back(seen.device);
        if (!note_.empty()) outcome.notes.push_back(fmt::format("{}: {}", prober_.vendor, note_));
    }
    bool wait_for_first_look(Deadline deadline) {
        std::unique_lock lock(mutex_);
        return woken_.wait_until(lock, deadline.time(), [this] { return looked_; });
    }

private:
    void loop() {
        std::unique_lock lock(mutex_);
        while (!ending_) {
            wanted_ = false;
            lock.unlock();
            const bool present = look();
            lock.lock();
            const bool first = !looked_;
            looked_ = true;
            if (first) woken_.notify_all();
            const auto wait = present ? options_.interval : options_.absent_interval;
            // A prober that is not there is not looked for because memory was freed.
            woken_.wait_for(lock, wait, [&] { return ending_ || (wanted_ && present); });
        }
    }

    // False: there is no sign of such a device, and there was none.
    bool look() {
        Finding finding;
        std::string failed;
        const bool present = prober_.present(tools_);
        if (present) {
            Result<Finding> found = ask();
            if (found) {
                finding = *std::move(found);
            } else if (found.error().code == ErrorCode::kCancelled) {
                return true;   // this inventory ends: nothing was learnt
            } else {
                failed = found.error().message;
            }
        } else {
            finding.note = prober_.absent;
        }
        std::vector<Seen> before;
        {
            std::lock_guard lock(mutex_);
            before = seen_;
        }
        std::vector<Seen> now = remembered(before, finding, failed, std::chrono::steady_clock::now(), system_clock().wall());
        const bool differs = !std::equal(before.begin(), before.end(), now.begin(), now.end(), [](const Seen& a, const Seen& b) {
            return a.device.index == b.device.index && a.device.uuid == b.device.uuid && a.device.problem == b.device.problem;
        });
        if (!failed.empty() && before.empty()) log::debug("{}: {}", prober_.vendor, failed);
        const bool something = present || !now.empty();
        {
            std::lock_guard lock(mutex_);
            seen_ = std::move(now);
            note_ = failed.empty() ? finding.note : failed;
        }
        if (differs && options_.changed) options_.changed();
        return something;
    }

    Result<Finding> ask() {
        const auto output = platform::run_program({.argv = {options_.gantry_binary, "probe", prober_.vendor},
                                                   .deadline = Deadline::after(options_.deadline),
                                                   .bytes_max = kAnswerBytesMax,
                                                   .with_errors = false,
                                                   .cancel = &cancel_});
        if (!output) {
            if (output.error().reason == "stuck") {
                return unavailable("its driver holds the process that asked it and does not answer: restart the driver, or the machine");
            }
            if (output.error().reason != "timeout") return output.error();
            return unavailable(fmt::format("its driver or tool did not answer within {:g} s: restart the driver, or the machine",
                                           static_cast<double>(options_.deadline.count()) / 1000));
        }
        if (output->signal != 0) {
            return unavailable(fmt::format("looking at it crashed (signal {}): its driver or library is damaged, or of another version",
                                           output->signal));
        }
        if (output->status != 0) return unavailable(fmt::format("looking at it failed with status {}", output->status));
        return finding_from(output->text, prober_.vendor);
    }

    const Prober& prober_;
    const InventoryOptions& options_;
    MachineTools tools_;             // the thread's
    platform::ProgramCancel cancel_;
    std::mutex mutex_;               // protects what follows
    std::condition_variable woken_;
    bool ending_ = false;
    bool wanted_ = false;
    bool looked_ = false;
    std::vector<Seen> seen_;
    std::string note_;
    std::thread thread_;             // last: it uses all of the above
};

class InventoryImpl final : public Inventory {
public:
    explicit InventoryImpl(InventoryOptions options) : options_(std::move(options)) {
        if (options_.gantry_binary.empty()) return;
        for (const Prober* prober : options_.probers.empty() ? all_probers() : options_.probers) {
            watches_.push_back(std::make_unique<Watch>(*prober, options_));
        }
    }

    ProbeOutcome latest() override {
        ProbeOutcome outcome;
        outcome.devices.push_back(cpu_.with([](CpuProber& cpu) { return cpu.probe(); }));
        for (const auto& watch : watches_) watch->add_to(outcome);
        return outcome;
    }
    void refresh() override {
        for (const auto& watch : watches_) watch->refresh();
    }
    bool wait_for_first_look(Deadline deadline) override {
        return std::all_of(watches_.begin(), watches_.end(), [&](const auto& watch) { return watch->wait_for_first_look(deadline); });
    }

private:
    const InventoryOptions options_;
    Guarded<CpuProber> cpu_;         // utilization needs the figures of the call before
    std::vector<std::unique_ptr<Watch>> watches_;
};

}  // namespace

std::unique_ptr<Inventory> Inventory::start(InventoryOptions options) { return std::make_unique<InventoryImpl>(std::move(options)); }

namespace {

bool same_device(const Device& a, const Device& b) {
    return a.uuid.empty() || b.uuid.empty() ? a.index == b.index : a.uuid == b.uuid;
}

const Seen* find(const std::vector<Seen>& all, const Device& device) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Seen& one) { return same_device(one.device, device); });
    return found == all.end() ? nullptr : &*found;
}

}  // namespace

std::vector<Seen> remembered(const std::vector<Seen>& before, const Finding& finding, const std::string& failed, SteadyTime now, WallTime wall) {
    std::vector<Seen> out;
    for (const Device& device : finding.devices) out.push_back({device, now, wall});
    for (const Seen& old : before) {
        if (find(out, old.device) != nullptr || now - old.last > kRemembered) continue;
        Seen lost = old;
        const auto taken = std::find_if(out.begin(), out.end(), [&](const Seen& one) { return one.device.index == old.device.index; });
        if (taken != out.end()) {
            if (find(before, taken->device) == nullptr) continue;
            lost.device.index += kDisplaced;
        }
        const std::string since = to_rfc3339(old.last_wall).substr(0, 16) + " UTC";   // to the minute
        const std::string& why = failed.empty() ? finding.note : failed;
        lost.device.problem = failed.empty() ? fmt::format("the driver has not listed it since {}{}{}", since, why.empty() ? "" : ": ", why)
                                             : fmt::format("not seen since {}: {}", since, why);
        lost.device.utilization = 0;
        lost.device.processes.clear();
        out.push_back(std::move(lost));
    }
    std::sort(out.begin(), out.end(), [](const Seen& a, const Seen& b) { return a.device.index < b.device.index; });
    return out;
}

std::string to_text(const Finding& finding) {
    return json::serialize(json::object{{"devices", to_json_value(finding.devices)}, {"note", finding.note}}) + "\n";
}

Result<Finding> finding_from(const std::string& text, const std::string& vendor) {
    const auto wrong = [&](const char* what) { return invalid_argument(fmt::format("its prober's answer {}", what)); };
    const Result<json::value> value = parse_json(text);
    if (!value || !value->is_object()) return wrong("is no JSON object");
    Finding finding;
    const json::object& object = value->get_object();
    const json::value* devices = object.if_contains("devices");
    if (devices == nullptr || !from_json_value(*devices, finding.devices)) return wrong("holds no list of devices");
    if (finding.devices.size() > kDevicesMax) return wrong("lists too many devices");
    if (const json::value* note = object.if_contains("note"); note != nullptr && note->is_string()) {
        finding.note = readable(std::string_view(note->get_string()), kNoteBytesMax);
    }
    for (size_t i = 0; i < finding.devices.size(); ++i) {
        const Device& device = finding.devices[i];
        if (device.vendor != vendor) return wrong("names devices of another vendor");
        if (device.memory_free_bytes > device.memory_total_bytes) return wrong("has a device with more free memory than it has");
        for (size_t k = 0; k < i; ++k) {
            if (finding.devices[k].index == device.index) return wrong("lists a device twice");
        }
    }
    return finding;
}

int probe_main(const std::string& vendor) {
    for (const Prober* prober : all_probers()) {
        if (prober->vendor != vendor) continue;
        MachineTools tools;
        std::fputs(to_text(prober->probe(tools)).c_str(), stdout);
        return std::fflush(stdout) == 0 ? 0 : 1;
    }
    std::fputs("gantry: there is no prober of that vendor\n", stderr);
    return 2;
}

}  // namespace gantry::devices
