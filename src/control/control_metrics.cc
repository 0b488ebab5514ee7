#include "control/control_metrics.h"

namespace gantry::control {

using Values = std::map<metrics::Labels, double>;

ControlMetrics::Series::Series(const std::string& name, const std::string& help)
    : family_(prometheus::BuildGauge().Name(name).Help(help).Register(metrics::registry())) {}

ControlMetrics::Series::~Series() { set({}); }

void ControlMetrics::Series::set(const Values& values) {
    for (auto it = shown_.begin(); it != shown_.end();) {
        if (values.contains(it->first)) {
            ++it;
        } else {
            family_.Remove(it->second);
            it = shown_.erase(it);
        }
    }
    for (const auto& [labels, value] : values) {
        prometheus::Gauge*& gauge = shown_[labels];
        if (gauge == nullptr) gauge = &family_.Add(labels);
        gauge->Set(value);
    }
}

ControlMetrics::ControlMetrics()
    : deployments_("gantry_deployments", "Deployments"),
      asleep_("gantry_deployments_asleep", "Deployments that sleep until a request wakes them"),
      instances_("gantry_instances", "Instances by state"),
      workers_("gantry_workers", "Workers by state"),
      models_("gantry_models", "Models in the catalogue"),
      replicas_wanted_("gantry_model_desired_instances", "Replicas wanted of a deployment"),
      replicas_ready_("gantry_model_running_instances", "Replicas of a deployment that serve"),
      restarts_("gantry_model_instance_restarts", "Restarts of a deployment's present instances"),
      instance_memory_("gantry_model_instance_memory_bytes", "Resident memory of a deployment's instances"),
      device_total_("gantry_device_memory_total_bytes", "Memory of a device"),
      device_free_("gantry_device_memory_free_bytes", "Free memory of a device") {}

void ControlMetrics::show(const Snapshot& view) {
    Values instances, workers, wanted, ready, restarts, memory, total, free;
    for (const InstanceState s :
         {InstanceState::kPending, InstanceState::kScheduled, InstanceState::kDownloading, InstanceState::kStarting,
          InstanceState::kRunning, InstanceState::kStopping, InstanceState::kError, InstanceState::kUnreachable}) {
        instances[{{"state", to_string(s)}}] = 0;
    }
    for (const WorkerState s :
         {WorkerState::kPending, WorkerState::kReady, WorkerState::kUnreachable, WorkerState::kDraining}) {
        workers[{{"state", to_string(s)}}] = 0;
    }
    std::map<DeploymentId, metrics::Labels> labels;
    double asleep = 0;
    for (const Deployment& d : view.deployments) {
        labels[d.id] = {{"model", d.name}};
        wanted[labels[d.id]] = instances_wanted(d);
        asleep += d.asleep_since ? 1 : 0;
        for (Values* values : {&ready, &restarts, &memory}) (*values)[labels[d.id]] = 0;
    }
    for (const Instance& i : view.instances) {
        ++instances[{{"state", to_string(i.state)}}];
        const auto of = labels.find(i.deployment_id);
        if (of == labels.end()) continue;
        ready[of->second] += i.state == InstanceState::kRunning ? 1 : 0;
        restarts[of->second] += i.restarts;
        memory[of->second] += static_cast<double>(i.memory_bytes);
    }
    for (const Worker& w : view.workers) {
        ++workers[{{"state", to_string(w.state)}}];
        for (const Device& d : w.devices) {
            const metrics::Labels device{{"worker", w.name}, {"vendor", d.vendor}, {"index", std::to_string(d.index)}};
            total[device] = static_cast<double>(d.memory_total_bytes);
            free[device] = static_cast<double>(d.memory_free_bytes);
        }
    }
    deployments_.set({{{}, static_cast<double>(view.deployments.size())}});
    asleep_.set({{{}, asleep}});
    models_.set({{{}, static_cast<double>(view.models.size())}});
    instances_.set(instances);
    workers_.set(workers);
    replicas_wanted_.set(wanted);
    replicas_ready_.set(ready);
    restarts_.set(restarts);
    instance_memory_.set(memory);
    device_total_.set(total);
    device_free_.set(free);
}

}  // namespace gantry::control
