#pragma once
// Bounds on the evaluation of a chat template. llama.cpp's interpreter has none, so its tree is
// changed before it runs: each body of a loop and of a macro starts with a statement of ours that
// counts, looks at the clock and at the stack, and range() is replaced by one with a limit.

#include <chrono>
#include <cstdint>

#include <jinja/runtime.h>

#include "engine_server/chat_template.h"

namespace gantry::engine_server {

// Changes the tree; once, before the first evaluation.
void guard_template(jinja::program& program, int64_t range_items);

// While one exists, evaluations of guarded templates on this thread count against its limits; over
// one, they throw std::exception with words for a person. Without one they throw at the first step.
class TemplateBudget {
public:
    explicit TemplateBudget(const TemplateLimits& limits);
    ~TemplateBudget();
    TemplateBudget(const TemplateBudget&) = delete;
    TemplateBudget& operator=(const TemplateBudget&) = delete;

    void step();

private:
    uint64_t steps_left_;
    size_t stack_bytes_;
    uintptr_t stack_start_;
    std::chrono::steady_clock::time_point end_;
};

}  // namespace gantry::engine_server
