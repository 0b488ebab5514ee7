#pragma once
// llama.cpp on several workers: llama-server on the leading one with --rpc, and ggml's ggml-rpc-server on each other. The pinned tree's
// tools/rpc/rpc-server.cpp and ggml/src/ggml-rpc, protocol 4.
//
//   program   ggml-rpc-server (rpc-server in older builds), beside llama-server or in PATH; both built with GGML_RPC
//   address   -H the worker's data address alone. It has no authentication and no encryption, and who reaches its port can read and write
//             its memory: never started but for a deployment that asks for several workers (docs/multi-worker.md)
//   clients   it serves one at a time, and others wait in its queue of two: nobody asks after its health once it listens
//   devices   shown by the vendor's variable; without accelerators -d CPU. Those of RPC stand first in llama.cpp's list, in the order of
//             --rpc, before the leading worker's own; --tensor-split counts them so
//   files     weights go over the network as they are read; no cache (-c), which would keep them below HOME

#include "backends/backends.h"

namespace gantry::backends {

// Of the `ggml-rpc-server` that belongs to a llama-server. kInvalidArgument with the reason "backend_missing".
Result<std::string> rpc_server_beside(const std::string& llama_server);

Result<LaunchPlan> rpc_follower(const LaunchInput& input, const std::string& llama_server);

// "10.0.0.2:4711,10.0.0.3:4711"
std::string rpc_servers(const SpanInput& span);
// All devices that have layers, in llama.cpp's order: those of the others, then the leading worker's own.
std::vector<DeviceClaim> devices_of_all(const SpanInput& span);

}  // namespace gantry::backends
