// Every flag of llama-server --help of the pinned tree (tests/data/backends/llama-server-help.txt) is either taken here, by
// whatever name it has there, or refused with what to do instead; llama_server_flags_test.cc says which one is neither.

#include "backends/flag_rules.h"

namespace gantry::backends {
namespace {

using enum FlagValue;

constexpr AllowedFlag kAllowed[] = {
    // threads
    {"-tb", kInteger}, {"--threads-batch", kInteger}, {"--threads-http", kInteger},
    {"-C", kWord}, {"--cpu-mask", kWord}, {"-Cr", kWord}, {"--cpu-range", kWord}, {"--cpu-strict", kInteger},
    {"--prio", kInteger}, {"--poll", kInteger},
    {"-Cb", kWord}, {"--cpu-mask-batch", kWord}, {"-Crb", kWord}, {"--cpu-range-batch", kWord}, {"--cpu-strict-batch", kInteger},
    {"--prio-batch", kInteger}, {"--poll-batch", kInteger}, {"--numa", kWord},
    // batches, cells, caches
    {"-b", kInteger}, {"--batch-size", kInteger}, {"-ub", kInteger}, {"--ubatch-size", kInteger},
    {"-cb", kNone}, {"-nocb", kNone}, {"--cont-batching", kSwitch},
    {"-ctk", kWord}, {"--cache-type-k", kWord}, {"-ctv", kWord}, {"--cache-type-v", kWord},
    {"-dt", kNumber}, {"--defrag-thold", kNumber},
    {"-kvu", kNone}, {"-no-kvu", kNone}, {"--kv-unified", kSwitch}, {"-kvo", kNone}, {"-nkvo", kNone}, {"--kv-offload", kSwitch},
    {"--swa-full", kNone}, {"-ctxcp", kInteger}, {"--ctx-checkpoints", kInteger}, {"--swa-checkpoints", kInteger},
    {"-cms", kInteger}, {"--checkpoint-min-step", kInteger}, {"-cram", kInteger}, {"--cache-ram", kInteger},
    {"--cache-idle-slots", kSwitch}, {"--cache-prompt", kSwitch}, {"--cache-reuse", kInteger}, {"--context-shift", kSwitch},
    {"-sps", kNumber}, {"--slot-prompt-similarity", kNumber}, {"--slots", kSwitch},
    // loading and computing
    {"-fa", kWord}, {"--flash-attn", kWord}, {"-lm", kWord}, {"--load-mode", kWord}, {"-lzm", kWord}, {"--lazy-mode", kWord},
    {"--repack", kSwitch}, {"-nr", kNone}, {"--op-offload", kSwitch}, {"--check-tensors", kNone}, {"--warmup", kSwitch},
    {"-cmoe", kNone}, {"--cpu-moe", kNone}, {"-ncmoe", kInteger}, {"--n-cpu-moe", kInteger}, {"-ncffn", kInteger}, {"--n-cpu-ffn", kInteger},
    {"-fit", kWord}, {"--fit", kWord}, {"-fitt", kList}, {"--fit-target", kList}, {"-fitc", kInteger}, {"--fit-ctx", kInteger},
    {"--perf", kSwitch}, {"--offline", kNone}, {"--override-kv", kList},
    {"--rope-scaling", kWord}, {"--rope-scale", kNumber}, {"--rope-freq-base", kNumber}, {"--rope-freq-scale", kNumber},
    {"--yarn-orig-ctx", kInteger}, {"--yarn-ext-factor", kNumber}, {"--yarn-attn-factor", kNumber}, {"--yarn-beta-slow", kNumber},
    {"--yarn-beta-fast", kNumber},
    // what it serves, and how
    {"--embedding", kNone}, {"--embeddings", kNone}, {"--rerank", kNone}, {"--reranking", kNone}, {"--pooling", kWord},
    {"--embd-normalize", kInteger}, {"--spm-infill", kNone}, {"-sp", kNone}, {"--special", kNone}, {"-e", kNone}, {"--escape", kSwitch},
    {"-to", kInteger}, {"--timeout", kInteger}, {"--sse-ping-interval", kInteger}, {"--sleep-idle-seconds", kInteger},
    {"--jinja", kSwitch}, {"--chat-template", kNamedTemplate}, {"--chat-template-kwargs", kObject}, {"--skip-chat-parsing", kSwitch},
    {"--prefill-assistant", kSwitch}, {"--reasoning-format", kWord}, {"-rea", kWord}, {"--reasoning", kWord}, {"--reasoning-effort", kWord},
    {"--reasoning-budget", kInteger}, {"--reasoning-preserve", kSwitch},
    // pictures: the tower that lies beside the model
    {"--mmproj-auto", kSwitch}, {"--no-mmproj", kNone}, {"--mmproj-offload", kSwitch}, {"--image-min-tokens", kInteger},
    {"--image-max-tokens", kInteger}, {"--mtmd-batch-max-tokens", kInteger}, {"--video-fps", kNumber},
    {"--video-timestamp-interval", kInteger},
    // what a request leaves open
    {"-n", kInteger}, {"--predict", kInteger}, {"--n-predict", kInteger}, {"--keep", kInteger}, {"-s", kInteger}, {"--seed", kInteger},
    {"--ignore-eos", kNone}, {"--samplers", kList}, {"--sampler-seq", kWord}, {"--sampling-seq", kWord}, {"-bs", kNone},
    {"--backend-sampling", kNone}, {"--temp", kNumber}, {"--temperature", kNumber}, {"--top-k", kInteger}, {"--top-p", kNumber},
    {"--min-p", kNumber}, {"--top-nsigma", kNumber}, {"--top-n-sigma", kNumber}, {"--xtc-probability", kNumber},
    {"--xtc-threshold", kNumber}, {"--typical", kNumber}, {"--typical-p", kNumber}, {"--repeat-last-n", kInteger},
    {"--repeat-penalty", kNumber}, {"--presence-penalty", kNumber}, {"--frequency-penalty", kNumber}, {"--dry-multiplier", kNumber},
    {"--dry-base", kNumber}, {"--dry-allowed-length", kInteger}, {"--dry-penalty-last-n", kInteger}, {"--adaptive-target", kNumber},
    {"--adaptive-decay", kNumber}, {"--dynatemp-range", kNumber}, {"--dynatemp-exp", kNumber}, {"--mirostat", kInteger},
    {"--mirostat-lr", kNumber}, {"--mirostat-ent", kNumber},
    // guesses without a second model
    {"--spec-default", kNone}, {"--spec-type", kList}, {"--spec-draft-n-max", kInteger}, {"--spec-draft-n-min", kInteger},
    {"--spec-draft-p-split", kNumber}, {"--draft-p-split", kNumber}, {"--spec-draft-p-min", kNumber}, {"--draft-p-min", kNumber},
    {"--spec-draft-backend-sampling", kSwitch},
    {"--spec-ngram-mod-n-min", kInteger}, {"--spec-ngram-mod-n-max", kInteger}, {"--spec-ngram-mod-n-match", kInteger},
    {"--spec-ngram-simple-size-n", kInteger}, {"--spec-ngram-simple-size-m", kInteger}, {"--spec-ngram-simple-min-hits", kInteger},
    {"--spec-ngram-map-k-size-n", kInteger}, {"--spec-ngram-map-k-size-m", kInteger}, {"--spec-ngram-map-k-min-hits", kInteger},
    {"--spec-ngram-map-k4v-size-n", kInteger}, {"--spec-ngram-map-k4v-size-m", kInteger}, {"--spec-ngram-map-k4v-min-hits", kInteger},
    // of earlier versions, which --binary may name
    {"--mlock", kNone}, {"--mmap", kSwitch}, {"-dio", kNone}, {"--direct-io", kSwitch},
};

const RefusedFlags kRefused[] = {
    {{"--host", "--port", "--reuse-port", "--api-prefix", "--path", "--cors*", "--ssl*", "--ui*", "--webui*", "--server-base"},
     "Gantry gives each engine a port of 127.0.0.1 and is the door to it itself"},
    {{"--api-key*"}, "each engine has a key of its own, and a command line can be read by every user of the machine"},
    {{"-m", "--model", "-mu", "--model-url", "-dr", "--docker-repo", "-hf", "-hfr", "--hf-repo", "-hff", "--hf-file", "-hft", "--hf-token",
      "--models-*", "-a", "--alias", "--tags", "--embd-gemma*", "--fim-qwen*", "--gpt-oss*", "--vision-gemma*", "--tts-oute*"},
     "the model is the deployment's source, its name the deployment's; nothing is fetched"},
    {{"-c", "--ctx-size", "--kv-unified-per-slot"}, "set context_tokens"},
    {{"-np", "--parallel"}, "set max_sequences"},
    {{"-t", "--threads"}, "set threads"},
    {{"-ngl", "--gpu-layers", "--n-gpu-layers", "-ts", "--tensor-split", "-dev", "--device", "-sm", "--split-mode", "-mg", "--main-gpu", "-ot",
      "--override-tensor", "-mmdev", "--mmproj-device"},
     "how the model lies on devices, and on which, is placement's: set placement.device_count or placement.devices"},
    {{"-mm", "--mmproj", "-mmu", "--mmproj-url", "--lora*", "--control-vector*", "-lcs", "-lcd", "--lookup-cache*", "-mv", "--model-vocoder",
      "--grammar-file", "-jf", "--json-schema-file", "--chat-template-file", "--slot-save-path", "--media-path", "--video-ffmpeg-dir",
      "--log-file", "--log-prompts-dir"},
     "it reads or writes other files than the model's"},
    {{"-md", "--model-draft", "-hfd", "-hfrd", "--hf-repo-draft", "--spec-draft-model", "--spec-draft-hf", "--spec-draft-threads*",
      "--spec-draft-cpu*", "--spec-draft-prio*", "--spec-draft-poll*", "--spec-draft-type*", "--spec-draft-override-tensor",
      "--spec-draft-n-cpu-moe", "--spec-draft-ncmoe", "--spec-draft-device", "--spec-draft-ngl", "-td", "-tbd", "-Cd", "-Crd", "-Cbd",
      "-ctkd", "-ctvd", "-otd", "-cmoed", "-ncmoed", "-devd", "-ngld", "--threads-draft", "--threads-batch-draft", "--cpu-mask-draft",
      "--cpu-range-draft", "--cpu-strict-draft", "--prio-draft", "--poll-draft", "--cpu-mask-batch-draft", "--cpu-strict-batch-draft",
      "--prio-batch-draft", "--poll-batch-draft", "--cache-type-k-draft", "--cache-type-v-draft", "--override-tensor-draft",
      "--cpu-moe-draft", "--n-cpu-moe-draft", "--device-draft", "--gpu-layers-draft", "--n-gpu-layers-draft"},
     "it is for a second model, which nobody checked and whose memory nobody booked"},
    {{"--tools*", "-ag", "-no-ag", "--agent", "--mcp*", "--props", "--rpc"}, "it opens a door to commands or to other machines"},
    {{"-v", "--verbose", "--log-verbose", "-lv", "--verbosity", "--log-verbosity"}, "it writes what people asked into the log"},
    {{"--log-disable", "--log-jsonl", "--log-colors", "--log-prefix", "--log-timestamps"}, "Gantry reads in the log how far loading is"},
    {{"--metrics"}, "it is always on"},
    {{"-r", "--reverse-prompt", "-l", "--logit-bias", "--grammar", "-j", "--json-schema", "--dry-sequence-breaker",
      "--reasoning-budget-message"},
     "each request says it for itself"},
    {{"--spec-synth*"}, "it makes up what was guessed right, for measurements"},
    {{"--draft", "--draft-n", "--draft-max", "--draft-min", "--draft-n-min"}, "llama-server has it no more: --spec-draft-n-max, --spec-draft-n-min"},
    {{"--spec-ngram-size-n", "--spec-ngram-size-m", "--spec-ngram-min-hits"}, "llama-server has it no more: --spec-ngram-simple-..."},
    {{"-h", "--help", "--usage", "--version", "-cl", "--cache-list", "--list-devices", "--completion-bash"}, "it would end at once"},
};

const FlagRules kRules{"llama-server", kAllowed, kRefused};

}  // namespace

const FlagRules& llama_server_flags() { return kRules; }

}  // namespace gantry::backends
