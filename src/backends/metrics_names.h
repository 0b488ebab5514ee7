#pragma once
// One set of names for what engines tell of themselves: the embedded engine's (gantry_engine_..., docs/metrics.md), which
// the server's /metrics has of all engines. Pure: the text of one engine's /metrics in, the same families as the embedded
// engine would write out.
//
// Names looked at: vLLM 0.8 to 0.32 (vllm/v1/metrics/loggers.py), SGLang 0.4 to 0.5 (production_metrics.md), llama-server
// b11434 (tools/server), MindIE-LLM after 3.0 (src/server/endpoint/http_wrapper/prometheus_metrics.cpp). Where a product
// renamed one, the table has both, the newer first.

#include <string>
#include <string_view>

#include "domain/deployment.h"

namespace gantry::backends {

// HELP, TYPE and samples, without labels but a bucket's `le`: an instance is one engine with one model, so that several
// samples of a gauge are views of the same thing (the largest counts), those of a counter parts of it (their sum). Empty:
// nothing known in `text`. Of the embedded engine `text` itself.
std::string common_metrics(BackendKind kind, std::string_view text);

}  // namespace gantry::backends
