#pragma once
// The fields of the values that are kept and sent as JSON (base/json_fields.h): in columns of the store, between processes.

#include "base/json_fields.h"
#include "domain/audit.h"
#include "domain/deployment.h"
#include "domain/device.h"
#include "domain/model.h"
#include "domain/placement.h"
#include "domain/route.h"
#include "domain/user.h"

namespace gantry {

template <Is<BackendOptions> T, class Visit>
void fields(T& o, Visit&& visit) {
    visit("context_tokens", o.context_tokens);
    visit("max_sequences", o.max_sequences);
    visit("threads", o.threads);
    visit("extra_args", o.extra_args);
    visit("env", o.env);
    visit("kv_type", o.kv_type);
    visit("binary", o.binary);
    visit("command", o.command);
    visit("health_path", o.health_path);
}

template <Is<PlacementOptions> T, class Visit>
void fields(T& o, Visit&& visit) {
    visit("strategy", o.strategy);
    visit("devices", o.devices);
    visit("device_count", o.device_count);
    visit("device_types", o.device_types);
    visit("worker_labels", o.worker_labels);
    visit("cpu_offload", o.cpu_offload);
    visit("across_workers", o.across_workers);
}

template <Is<RolloutOptions> T, class Visit>
void fields(T& o, Visit&& visit) {
    visit("strategy", o.strategy);
    visit("max_surge", o.max_surge);
    visit("max_unavailable", o.max_unavailable);
    visit("ready_seconds", o.ready_seconds);
    visit("drain_seconds", o.drain_seconds);
}

template <Is<DeviceClaim> T, class Visit>
void fields(T& c, Visit&& visit) {
    visit("worker_id", c.worker_id.text);
    visit("vendor", c.device.vendor);
    visit("index", c.device.index);
    visit("bytes", c.bytes);
    visit("layers", c.layers);
    visit("memory_fraction", c.memory_fraction);
}

template <Is<Placement> T, class Visit>
void fields(T& p, Visit&& visit) {
    visit("claims", p.claims);
    visit("ranks", p.ranks);
    visit("context_tokens", p.context_tokens);
    visit("sequences", p.sequences);
    visit("layers", p.layers);
    visit("layers_on_devices", p.layers_on_devices);
    visit("kv_bytes", p.kv_bytes);
    visit("estimate_bytes", p.estimate_bytes);
}

template <Is<DeviceLink> T, class Visit>
void fields(T& l, Visit&& visit) {
    visit("to", l.to);
    visit("kind", l.kind);
}

template <Is<DeviceProcess> T, class Visit>
void fields(T& p, Visit&& visit) {
    visit("pid", p.pid);
    visit("name", p.name);
    visit("memory_bytes", p.memory_bytes);
    visit("instance_id", p.instance_id.text);
}

template <Is<NumaNode> T, class Visit>
void fields(T& n, Visit&& visit) {
    visit("node", n.node);
    visit("cores", n.cores);
    visit("core_count", n.core_count);
    visit("memory_total_bytes", n.memory_total_bytes);
    visit("memory_free_bytes", n.memory_free_bytes);
    visit("distances", n.distances);
}

template <Is<Device> T, class Visit>
void fields(T& d, Visit&& visit) {
    visit("vendor", d.vendor);
    visit("index", d.index);
    visit("name", d.name);
    visit("uuid", d.uuid);
    visit("chip", d.chip);
    visit("memory_total_bytes", d.memory_total_bytes);
    visit("memory_free_bytes", d.memory_free_bytes);
    visit("unified_memory", d.unified_memory);
    visit("cores", d.cores);
    visit("utilization", d.utilization);
    visit("temperature_celsius", d.temperature_celsius);
    visit("driver_version", d.driver_version);
    visit("runtime_version", d.runtime_version);
    visit("bus_address", d.bus_address);
    visit("numa_node", d.numa_node);
    visit("numa_nodes", d.numa_nodes);
    visit("network_address", d.network_address);
    visit("partition", d.partition);
    visit("links", d.links);
    visit("processes", d.processes);
    visit("details", d.details);
    visit("problem", d.problem);
}

template <Is<WeightBytes> T, class Visit>
void fields(T& w, Visit&& visit) {
    visit("embedding", w.embedding);
    visit("output", w.output);
    visit("layers", w.layers);
    visit("other", w.other);
}

template <Is<VisionTower> T, class Visit>
void fields(T& v, Visit&& visit) {
    visit("projector", v.projector);
    visit("embedding_length", v.embedding_length);
    visit("feed_forward_length", v.feed_forward_length);
    visit("projection_length", v.projection_length);
    visit("image_side", v.image_side);
    visit("patch_side", v.patch_side);
    visit("merged_side", v.merged_side);
    visit("image_pixels_max", v.image_pixels_max);
    visit("gated", v.gated);
}

template <Is<ModelMeta> T, class Visit>
void fields(T& m, Visit&& visit) {
    visit("format", m.format);
    visit("architecture", m.architecture);
    visit("name", m.name);
    visit("quantization", m.quantization);
    visit("dtype", m.dtype);
    visit("modality", m.modality);
    visit("parameter_count", m.parameter_count);
    visit("file_bytes", m.file_bytes);
    visit("layers", m.layers);
    visit("context_length", m.context_length);
    visit("embedding_length", m.embedding_length);
    visit("feed_forward_length", m.feed_forward_length);
    visit("heads", m.heads);
    visit("heads_kv", m.heads_kv);
    visit("key_length", m.key_length);
    visit("value_length", m.value_length);
    visit("vocabulary", m.vocabulary);
    visit("experts", m.experts);
    visit("experts_used", m.experts_used);
    visit("sliding_window", m.sliding_window);
    visit("kv_lora_rank", m.kv_lora_rank);
    visit("rope_head_length", m.rope_head_length);
    visit("state_bytes", m.state_bytes);
    visit("vision_heads", m.vision_heads);
    visit("tower", m.tower);
    visit("layer_memory", m.layer_memory);
    visit("layer_heads_kv", m.layer_heads_kv);
    visit("weights", m.weights);
    visit("bytes_of_type", m.bytes_of_type);
    visit("has_chat_template", m.has_chat_template);
    visit("brings_code", m.brings_code);
    visit("pooling", m.pooling);
}

template <Is<Limits> T, class Visit>
void fields(T& l, Visit&& visit) {
    visit("requests_per_minute", l.requests_per_minute);
    visit("tokens_per_minute", l.tokens_per_minute);
    visit("concurrent_requests", l.concurrent_requests);
    visit("tokens_per_month", l.tokens_per_month);
}

template <Is<AuditChange> T, class Visit>
void fields(T& c, Visit&& visit) {
    visit("field", c.field);
    visit("from", c.from);
    visit("to", c.to);
}

template <Is<RouteTarget> T, class Visit>
void fields(T& t, Visit&& visit) {
    visit("model", t.model);
    visit("weight", t.weight);
}

}  // namespace gantry
