#pragma once
// What a context of a model gets: cells by the memory that is free, sequence ids, rows, kinds of attention and cells. Decided once,
// so that a context given back for a sleep comes back the same.

#include <llama.h>

#include "base/result.h"
#include "engine/llama_runner.h"

namespace gantry::engine {

struct ContextPlan {
    llama_context_params params{};
    RunnerCapacity capacity;
};

// Errors: kUnavailable when memory does not suffice, kInvalidArgument for options that exclude each other.
Result<ContextPlan> plan_context(const llama_model* model, const LlamaOptions& options);

}  // namespace gantry::engine
