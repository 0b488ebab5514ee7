#pragma once
// A worker: a machine, a data folder (real, in memory), and now and then a process that runs the product's WorkerCore and ReportBox,
// with a link to the server of which every message may be late, lost, or delivered long after its sender gave up.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "sim/machine.h"
#include "protocol/worker/codec.h"
#include "worker/remote/report_box.h"
#include "worker/worker_core.h"

namespace gantry::sim {

// The way between one worker and the server.
struct Wire {
    bool cut = false;              // nothing passes
    bool deaf = false;             // the worker's messages pass, answers don't
    double loss = 0;
    milliseconds latency{2};       // at most, one way
    double late = 0;               // chance of a message that passes only after its sender has given up
};

// What the wire ends at. Null while the server is down: connections are refused.
class ServerEnd {
public:
    virtual ~ServerEnd() = default;
    virtual bool up() const = 0;
    // As the server's handler: JSON in, JSON out.
    virtual Result<std::string> exchange(const WorkerId& worker, const std::string& body) = 0;
    virtual bool stream_opened(const WorkerId& worker, const std::string& incarnation) = 0;
    virtual void stream_closed(const WorkerId& worker, const std::string& incarnation, uint64_t server_run) = 0;
    virtual uint64_t run() const = 0;    // counts starts: what was said to a former process is forgotten
};

class SimWorker {
public:
    SimWorker(World& world, ServerEnd& server, const EngineFaults& faults, Bug bug, std::string name, std::string folder,
              std::vector<Device> devices);
    ~SimWorker();

    // It joined: this is who it is from now on. A new identity comes with a new data folder.
    void join(const WorkerId& id);
    const WorkerId& id() const { return id_; }
    const std::string& name() const { return machine_.name(); }
    Machine& machine() { return machine_; }
    const Machine& machine() const { return machine_; }
    Wire& wire() { return wire_; }

    bool runs() const { return process_ != nullptr; }
    bool removed() const { return removed_ && !runs(); }   // the server said so; its process has ended its engines, and itself
    void start();
    void kill();                                  // -9: the engines live on
    void power_off();                             // the machine's: engines and all
    void poke();                                  // from the server, by the stream of events
    void set_clock_off(milliseconds by) { clock_.off = by; }

    // Of engines that live: which instance they are.
    const std::map<int64_t, Engine>& engines() const { return machine_.engines(); }

private:
    class Process;
    // Machines don't agree about the time of day.
    struct SkewedClock final : Clock {
        explicit SkewedClock(const Clock& whose) : of(whose) {}
        WallTime wall() const override { return of.wall() + off; }
        SteadyTime steady() const override { return of.steady(); }
        const Clock& of;
        milliseconds off{0};
    };

    World& world_;
    ServerEnd& server_;
    const Bug bug_;
    Machine machine_;
    Wire wire_;
    SkewedClock clock_;
    const std::string folder_;
    WorkerId id_;
    uint64_t identity_ = 0, run_ = 0;
    bool removed_ = false;
    std::unique_ptr<Process> process_;
};

}  // namespace gantry::sim
