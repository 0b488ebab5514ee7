#include "engine_server/template_guard.h"

#include <pthread.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"

namespace gantry::engine_server {
namespace {

thread_local TemplateBudget* current_budget = nullptr;

// The interpreter passes this kind on as it is, instead of wrapping its text once a level.
[[noreturn]] void give_up(const std::string& why) {
    throw jinja::rethrown_exception("the chat template " + why + ", and was stopped");
}

struct CountedStep final : public jinja::statement {
    std::string type() const override { return "CountedStep"; }
    jinja::value execute_impl(jinja::context&) const override {
        if (current_budget == nullptr) {
            give_up("ran without a budget");
        }
        current_budget->step();
        return jinja::mk_val<jinja::value_undefined>();
    }
};

struct BoundedRange final : public jinja::statement {
    explicit BoundedRange(int64_t items) : items_(items) {}
    std::string type() const override { return "BoundedRange"; }
    jinja::value execute_impl(jinja::context& context) const override {
        const auto range = [items = items_](const jinja::func_args& args) -> jinja::value {
            args.ensure_count(1, 3);
            const int64_t first = args.count() == 1 ? 0 : args.get_pos(0)->as_int();
            const int64_t stop =
                args.count() == 1 ? args.get_pos(0)->as_int() : args.get_pos(1)->as_int();
            const int64_t by = args.count() == 3 ? args.get_pos(2)->as_int() : 1;
            if (by == 0) {
                throw jinja::raised_exception("range() step argument must not be zero");
            }
            auto out = jinja::mk_val<jinja::value_array>();
            int64_t count = 0;
            for (__int128 i = first; by > 0 ? i < stop : i > stop;
                 i += by) {  // wide: i + by may pass the end of 64 bits
                if (++count > items) {
                    give_up("asks for a range of more than " + std::to_string(items) + " items");
                }
                out->push_back(jinja::mk_val<jinja::value_int>(static_cast<int64_t>(i)));
            }
            return out;
        };
        context.set_val("range", jinja::mk_val<jinja::value_func>("range", range));
        return jinja::mk_val<jinja::value_undefined>();
    }

private:
    int64_t items_;
};

void guard(jinja::statements& body);

void guard_one(jinja::statement_ptr& statement) {
    const auto counted = [](jinja::statements& body) {
        guard(body);
        body.insert(body.begin(), std::make_unique<CountedStep>());
    };
    if (auto* loop = jinja::cast_stmt<jinja::for_statement>(statement)) {
        counted(loop->body);
        guard(loop->default_block);
    } else if (auto* macro = jinja::cast_stmt<jinja::macro_statement>(statement)) {
        counted(macro->body);
    } else if (auto* call = jinja::cast_stmt<jinja::call_statement>(statement)) {
        counted(call->body);
    } else if (auto* branch = jinja::cast_stmt<jinja::if_statement>(statement)) {
        guard(branch->body);
        guard(branch->alternate);
    } else if (auto* assignment = jinja::cast_stmt<jinja::set_statement>(statement)) {
        guard(assignment->body);
    } else if (auto* filter = jinja::cast_stmt<jinja::filter_statement>(statement)) {
        guard(filter->body);
    }
}

void guard(jinja::statements& body) {
    for (jinja::statement_ptr& statement : body) {
        guard_one(statement);
    }
}

uintptr_t stack_pointer() { return reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); }

// Half of what this thread's stack still has, for templates also run on ordinary threads.
size_t stack_allowance() {
    pthread_attr_t attributes;
    void* lowest = nullptr;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
        return 0;
    }
    pthread_attr_getstack(&attributes, &lowest, &size);
    pthread_attr_destroy(&attributes);
    return (stack_pointer() - reinterpret_cast<uintptr_t>(lowest)) / 2;
}

}  // namespace

void guard_template(jinja::program& program, int64_t range_items) {
    guard(program.body);
    program.body.insert(program.body.begin(), std::make_unique<BoundedRange>(range_items));
}

TemplateBudget::TemplateBudget(const TemplateLimits& limits)
    : steps_left_(limits.steps),
      stack_bytes_(std::min(limits.stack_bytes, stack_allowance())),
      stack_start_(stack_pointer()),
      end_(std::chrono::steady_clock::now() + limits.time) {
    GANTRY_ASSERT(current_budget == nullptr, "one budget a thread");
    current_budget = this;
}

TemplateBudget::~TemplateBudget() { current_budget = nullptr; }

void TemplateBudget::step() {
    if (steps_left_ == 0) {
        give_up("takes too many steps");
    }
    --steps_left_;
    const uintptr_t here = stack_pointer();
    if ((here < stack_start_ ? stack_start_ - here : here - stack_start_) > stack_bytes_) {
        give_up("calls itself too deeply");
    }
    if (std::chrono::steady_clock::now() > end_) {
        give_up("takes too long");
    }
}

}  // namespace gantry::engine_server
