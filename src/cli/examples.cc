#include "cli/examples.h"

#include <CLI/CLI.hpp>

#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr const char* kExamples[] = {
    "gantry serve --data-dir /srv/gantry --port 9090",
    "gantry worker --server http://10.0.0.5:9090 --token-file /etc/gantry/token",
    "gantry engine --model SmolLM2-135M-Instruct.Q4_1.gguf --port 8081",
    "gantry deploy smollm2 --source file:/models/SmolLM2-135M-Instruct.Q4_1.gguf --wait",
    "gantry deploy rival --source /models/SmolLM2-135M-Instruct.Q4_1.gguf --backend llama-server --ctx 8192 --replicas 2",
    "gantry deploy large --source /models/Qwen3-32B --backend vllm --recreate",
    "gantry deploy qwen --source hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M --wait",
    "gantry evaluate /models/SmolLM2-135M-Instruct.Q4_1.gguf",
    "gantry evaluate /models/Qwen3-32B --backend all",
    "gantry evaluate smollm2 --ctx 8192 --max-sequences 16 --json | jq .estimate.total_bytes",
    "gantry deploy qwen3 --source /models/Qwen3-32B --backend vllm --device-type 910B --device-count 2",
    "gantry run smollm2",
    "gantry run smollm2 \"Why is the sky blue?\" --max-tokens 100",
    "git diff | gantry run smollm2 \"Review this change:\" -",
    "gantry ps",
    "gantry ps --json | jq '.deployments[].status.state'",
    "gantry ls",
    "gantry ls --files",
    "gantry catalogue --fits",
    "gantry catalogue qwen3-8b",
    "gantry catalogue --check models-of-ours.json",
    "gantry deploy qwen --source catalogue:qwen3-8b:Q4_K_M --hub modelscope --wait",
    "gantry inspect SmolLM2-135M-Instruct.Q4_1.gguf --ctx 4096",
    "gantry inspect SmolLM2-135M-Instruct.Q4_1.gguf --template",
    "gantry import gpustack --database /var/lib/gpustack/database.db --dry-run",
    "gantry import gpustack --database postgresql://gpustack@db.example/gpustack --dry-run",
    "gantry search qwen2.5 --hub modelscope",
    "gantry pull modelscope:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M",
    "gantry verify modelscope:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M",
    "gantry instances events smollm2",
    "gantry instances metrics smollm2 --follow",
    "gantry instances why ins_7h2k9d0q4mxv",
    "gantry instances restart ins_7h2k9d0q4mxv",
    "gantry logs smollm2 --follow",
    "gantry requests --watch",
    "gantry requests cancel t5ktt49qgq3trap4txjmks51",
    "gantry start smollm2 --wait",
    "gantry stop smollm2 rival",
    "gantry sleep smollm2",
    "gantry scale smollm2 3 --wait",
    "gantry rollout status smollm2 --wait",
    "gantry rollout history smollm2",
    "gantry rollout undo smollm2 --to 3 --wait",
    "gantry rm rival --yes",
    "gantry rm --files hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M --yes",
    "gantry export > fleet.json",
    "gantry diff -f fleet.json --prune",
    "gantry apply -f fleet.json --wait",
    "gantry compare smollm2 rival --panels 1,6",
    "gantry compare smollm2 --target other=http://10.0.0.6:8000,model=smollm2",
    "gantry bench smollm2 --concurrency 1,8,32 --prompt-tokens 512 --max-tokens 128",
    "gantry bench smollm2 --rate 4 --slo-ttft 500 --slo-tpot 50",
    "gantry benchmarks list",
    "gantry benchmarks start smollm2 rival --concurrency 1,6 --wait",
    "gantry benchmarks start smollm2 --kind compare --concurrency 1,6 --rounds 3 --name evening",
    "gantry benchmarks start smollm2 --target other=http://10.0.0.6:8000,model=smollm2 --concurrency 1,8,32 --duration 60",
    "gantry benchmarks show bmk_t5ktt49qgq3t --wait",
    "gantry benchmarks show bmk_t5ktt49qgq3t --json | jq .result",
    "gantry benchmarks compare bmk_t5ktt49qgq3t bmk_4y8m2c0n7pra",
    "gantry benchmarks cancel bmk_t5ktt49qgq3t",
    "gantry benchmarks rm bmk_t5ktt49qgq3t",
    "gantry backends",
    "gantry backends vllm",
    "gantry backends vllm --json | jq -r '.workers[].next_step'",
    "gantry devices",
    "gantry devices --history --since 24h",
    "gantry devices --history --worker host-1 --since 7d --json | jq '.items[].temperature_celsius | max'",
    "gantry workers list",
    "gantry workers label host-1 room=lab disk=ssd spare-",
    "gantry workers token create --uses 4 --expires 7d",
    "gantry workers token list",
    "gantry workers token revoke t5ktt49qgq3t",
    "gantry workers cordon host-1",
    "gantry workers uncordon host-1",
    "gantry workers rm host-1",
    "gantry drain host-1 --deadline 10m",
    "gantry keys list",
    "gantry keys create ci --rpm 60 --tpm 10k --scope inference --expires 30d",
    "gantry keys edit ci --tpm none --disable",
    "gantry keys rm ci",
    "gantry users list",
    "gantry users create ann --generate",
    "gantry users edit ann --monthly-tokens 50M",
    "gantry users passwd ann --generate",
    "gantry users rm ann",
    "gantry routes list",
    "gantry routes create chat --target big=9 --target small=1 --fallback openai/gpt-4o",
    "gantry routes edit chat --fallback none",
    "gantry routes rm chat",
    "gantry providers list",
    "gantry providers create openai --base-url https://api.openai.com/v1 --model gpt-4o --model gpt-4o-mini --api-key-file openai.key",
    "gantry providers test openai",
    "gantry providers edit openai --disable",
    "gantry providers rm openai",
    "gantry usage --by user,model --bucket day --from 30d --csv > usage.csv",
    "gantry usage --records --from 1h",
    "gantry audit --actor ada --from 7d",
    "gantry reset-password admin --data-dir /srv/gantry",
    "gantry bundle save site.tar --model hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M",
    "gantry bundle load site.tar --data-dir /srv/gantry",
    "gantry backup --data-dir /srv/gantry",
    "gantry restore /srv/gantry/backups/gantry-2026-11-26.db --data-dir /srv/gantry",
    "gantry version --json",
    "source <(gantry completion bash)",
    "gantry completion zsh > \"${fpath[1]}/_gantry\"",
    "gantry completion fish > ~/.config/fish/completions/gantry.fish",
};

void add_to(CLI::App& verb, const std::string& line) {
    const std::string before = verb.get_footer();
    verb.footer(before.empty() ? "Examples:\n  " + line : before + "\n  " + line);
}

}  // namespace

std::span<const char* const> examples() { return kExamples; }

std::vector<std::string> words_of_example(const std::string& line) {
    const std::string name = "gantry ";
    std::string command = line.substr(line.find(name) + name.size());
    for (const char* end : {" |", " >", ")"}) {
        command = command.substr(0, command.find(end));
    }
    const Result<std::vector<std::string>> words = split_command(command);
    return words ? *words : std::vector<std::string>();
}

void add_examples(CLI::App& app) {
    for (const char* line : kExamples) {
        CLI::App* verb = &app;
        for (const std::string& word : words_of_example(line)) {
            const auto inner = verb->get_subcommands([&](const CLI::App* one) { return one->get_name() == word; });
            if (inner.empty()) {
                break;
            }
            verb = inner[0];
            add_to(*verb, line);
        }
    }
}

}  // namespace gantry::cli
