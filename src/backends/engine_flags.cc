#include "backends/flag_rules.h"

namespace gantry::backends {
namespace {

constexpr AllowedFlag kAllowed[] = {
    {"--chat-template", FlagValue::kJinjaFile},
    {"--draft-model", FlagValue::kGgufFile},
    {"--flash-attention", FlagValue::kWord},
    {"--kernels", FlagValue::kWord},
    {"--kv-type", FlagValue::kWord},
    {"--no-speculation", FlagValue::kNone},
    {"--packed-cache-gib", FlagValue::kInteger},
    {"--pooling", FlagValue::kWord},
    {"--prefix-cache", FlagValue::kInteger},
    {"--sleep-after", FlagValue::kInteger},
};

const RefusedFlags kRefused[] = {
    {{"--host", "--port", "--socket"}, "Gantry gives each engine a socket of its own and is the door to it itself"},
    {{"--api-key"}, "the engine's socket lies in a folder that only Gantry enters, and needs no key"},
    {{"-m", "--model", "--model-name"}, "the model is the deployment's source, its name the deployment's"},
    {{"--ctx"}, "set context_tokens"},
    {{"--max-sequences"}, "set max_sequences"},
    {{"--threads"}, "set threads"},
    {{"--packed-cache"}, "Gantry keeps them in the worker's data folder; --packed-cache-gib says how much of them"},
    {{"--exit-file"}, "Gantry reads there why the engine ended"},
    {{"-h", "--help"}, "the engine would end at once"},
};

const FlagRules kRules{"the embedded engine", kAllowed, kRefused};

}  // namespace

const FlagRules& engine_flags() { return kRules; }

}  // namespace gantry::backends
