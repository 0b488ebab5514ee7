// What the form of a new deployment holds, and what it asks for. Pure.
import type { DeploymentCreate, EvaluationCreate } from "../../api/types.ts";

export interface Form {
  name: string;
  named: boolean; // by a person: it no longer follows the source
  source: string;
  backend: (typeof BACKENDS)[number];
  replicas: string;
  context: string;
  sequences: string;
  threads: string;
  kvType: string;
  deviceCount: string;
  devices: string[];
  strategy: "spread" | "binpack";
  cpuOffload: boolean;
  binary: string;
  command: string;
  arguments: string;
}
export const BACKENDS = ["engine", "llama-server", "vllm", "sglang", "mindie", "custom"] as const;
/** What each can keep its keys and values in (src/backends/). */
export const KV_TYPES: Record<(typeof BACKENDS)[number], readonly string[]> = {
  engine: ["f16", "q8_0"], "llama-server": ["f16", "bf16", "q8_0", "q5_1", "q4_0"], vllm: ["auto", "bf16", "fp8"], sglang: ["auto", "bf16", "fp8_e5m2"],
  mindie: [], custom: [],
};
export const EMPTY: Form = {
  name: "", named: false, source: "", backend: "engine", replicas: "1", context: "", sequences: "", threads: "", kvType: "", deviceCount: "", devices: [],
  strategy: "spread", cpuOffload: true, binary: "", command: "", arguments: "",
};

/** A path by itself is a file; white space around it is nobody's wish. */
export function sourceOf(text: string): string {
  const trimmed = text.trim();
  return trimmed.startsWith("/") ? `file:${trimmed}` : trimmed;
}

/** "file:/m/SmolLM2-135M.Q4_1.gguf" -> "smollm2-135m" */
export function nameFor(source: string): string {
  const last = source.replace(/\/+$/, "").split(/[/:]/).pop() ?? "";
  return last
    .toLowerCase()
    .replace(/\.(gguf|safetensors)$/, "")
    .replace(/[.-](i?q\d\w*|f16|bf16|f32|fp8)$/i, "")
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "")
    .slice(0, 63);
}

function count(text: string): number | undefined {
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}

/** Words between white space; quotes keep some together, as a shell does for the simple cases. */
export function words(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((found) => found[1] ?? found[2] ?? found[3] ?? "");
}

function present<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0))) as Partial<T>;
}

export function evaluationOf(form: Form): EvaluationCreate {
  const options = present({
    context_tokens: count(form.context), max_sequences: count(form.sequences), threads: count(form.threads), kv_type: form.kvType, binary: form.binary.trim(),
    command: words(form.command), extra_args: words(form.arguments),
  });
  const placement = present({ device_count: count(form.deviceCount), devices: form.devices, strategy: form.strategy, cpu_offload: form.cpuOffload });
  return { source: sourceOf(form.source), backend: form.backend, options, placement } as EvaluationCreate;
}

export function deploymentOf(form: Form): DeploymentCreate {
  return { ...(evaluationOf(form) as DeploymentCreate), name: form.name.trim(), replicas: count(form.replicas) ?? 1 };
}
