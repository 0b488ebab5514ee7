#include "control/device_history.h"

#include <algorithm>
#include <set>

#include "base/log.h"

namespace gantry::control {
namespace {

constexpr Minute kQuarter = 15;
constexpr size_t kDevicesMax = 256;   // of a worker; what is beyond has no history

Minute floor_to(Minute minute, Minute step) { return minute - ((minute % step) + step) % step; }

// A device's steps while they are added up.
class Steps {
public:
    Steps(Minute from, Minute step, size_t count) : from_(from), step_(step), means_(count) {}
    // [begin, end) had these.
    void add(Minute begin, Minute end, const DeviceFigures& figures) {
        begin = std::max(begin, from_);
        end = std::min(end, from_ + step_ * static_cast<Minute>(means_.size()));
        while (begin < end) {
            const Minute at = (begin - from_) / step_;
            const Minute next = std::min(end, from_ + (at + 1) * step_);
            means_[static_cast<size_t>(at)].add(figures, next - begin);
            begin = next;
        }
    }
    bool empty() const {
        return std::all_of(means_.begin(), means_.end(), [](const DeviceMeans& means) { return means.empty(); });
    }
    std::vector<DeviceFigures> figures() const {
        std::vector<DeviceFigures> out;
        for (const DeviceMeans& means : means_) out.push_back(means.figures());
        return out;
    }

private:
    const Minute from_, step_;
    std::vector<DeviceMeans> means_;
};

}  // namespace

DeviceHistory::DeviceHistory(store::Store& store, const Clock& clock)
    : store_(store), clock_(clock), stored_to_(floor_to(minute_of(clock.wall()), kQuarter)), due_(stored_to_ + kQuarter) {}

void DeviceHistory::add(const WorkerId& worker, const std::vector<Device>& devices) {
    const Minute now = minute_of(clock_.wall());
    std::lock_guard lock(mutex_);
    Devices& known = workers_[worker];
    for (const Device& device : devices) {
        const auto place = known.find({device.vendor, device.index});
        if (place != known.end()) {
            place->second.add(now, device);
        } else if (known.size() < kDevicesMax) {
            known[{device.vendor, device.index}].add(now, device);
        }
    }
}

std::vector<DeviceQuarter> DeviceHistory::quarters(Minute from, Minute to) const {
    std::vector<DeviceQuarter> out;
    std::lock_guard lock(mutex_);
    for (const auto& [worker, devices] : workers_) {
        for (const auto& [place, series] : devices) {
            for (Minute at = floor_to(from, kQuarter); at < to; at += kQuarter) {
                DeviceQuarter quarter{worker, place.first, place.second, start_of(at)};
                DeviceMeans means;
                series.each(std::max(at, from), std::min(at + kQuarter, to), [&](Minute, const DeviceFigures& figures) {
                    means.add(figures);
                    ++quarter.minutes;
                });
                if (quarter.minutes == 0) continue;
                quarter.figures = means.figures();
                out.push_back(std::move(quarter));
            }
        }
    }
    return out;
}

void DeviceHistory::store_up_to(Minute to) {
    const Minute now = minute_of(clock_.wall());
    // After a night of a full disk only what is in memory still.
    const std::vector<DeviceQuarter> all = quarters(std::max(stored_to_, now - kMinutesKept - kQuarter), to);
    const Status written = store_.add_device_history(all, clock_.wall());
    if (!written && !refused_) log::warn("what devices did can't be stored and stays in memory: {}", written.error().message);
    refused_ = !written;
    if (written) stored_to_ = to;
    due_ = written ? floor_to(now, kQuarter) + kQuarter : now + 1;
}

void DeviceHistory::store_due() {
    const Minute now = minute_of(clock_.wall());
    // A clock that was set back: what is stored of the time to come stays, and this goes on from now.
    if (now + kQuarter < due_) due_ = stored_to_ = floor_to(now, kQuarter);
    if (now < due_) return;
    {
        std::lock_guard lock(mutex_);
        for (auto& [worker, devices] : workers_) {
            for (auto& [place, series] : devices) series.forget_old(now);
            std::erase_if(devices, [](const auto& entry) { return entry.second.empty(); });
        }
    }
    store_up_to(floor_to(now, kQuarter));
}

void DeviceHistory::store_rest() { store_up_to(minute_of(clock_.wall()) + 1); }

void DeviceHistory::forget_missing(const Snapshot& rows) {
    std::set<WorkerId> workers;
    for (const Worker& worker : rows.workers) workers.insert(worker.id);
    std::lock_guard lock(mutex_);
    std::erase_if(workers_, [&](const auto& entry) { return !workers.contains(entry.first); });
}

Result<DeviceCourses> DeviceHistory::read(const WorkerId& worker, WallTime from, WallTime to, std::chrono::minutes step) const {
    const Minute first = floor_to(minute_of(from), step.count());
    const Minute end = minute_of(to - std::chrono::milliseconds(1)) + 1;
    const auto count = static_cast<size_t>((end - first + step.count() - 1) / step.count());
    const auto stored = store_.device_history(worker, start_of(floor_to(first, kQuarter)), to);
    if (!stored) return stored.error();

    std::lock_guard lock(mutex_);
    static const Devices kNone;
    const auto found = workers_.find(worker);
    const Devices& devices = found == workers_.end() ? kNone : found->second;
    std::optional<WallTime> since = stored->since;
    std::map<Devices::key_type, Steps> all;
    for (const auto& [place, series] : devices) {
        if (const auto begun = series.first()) since = std::min(since.value_or(start_of(*begun)), start_of(*begun));
        Steps& steps = all.try_emplace(place, first, step.count(), count).first->second;
        series.each(first, end, [&](Minute minute, const DeviceFigures& figures) { steps.add(minute, minute + 1, figures); });
    }
    for (const DeviceQuarter& quarter : stored->quarters) {
        const Devices::key_type place{quarter.vendor, quarter.index};
        const auto series = devices.find(place);
        const Minute begin = minute_of(quarter.at);
        Minute until = std::min(begin + kQuarter, end);
        if (series != devices.end()) until = std::min(until, series->second.first().value_or(until));
        all.try_emplace(place, first, step.count(), count).first->second.add(begin, until, quarter.figures);
    }
    DeviceCourses out{.measured_since = since, .from = start_of(first), .step = step};
    for (const auto& [place, steps] : all) {
        if (!steps.empty()) out.devices.push_back({place.first, place.second, steps.figures()});
    }
    return out;
}

}  // namespace gantry::control
