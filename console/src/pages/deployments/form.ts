// What the form of a new deployment holds, and what it asks for. Pure.
import type { CatalogueVariant, Deployment, DeploymentCreate, EvaluationCreate } from "../../api/types.ts";

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
  labels: string;
  deviceTypes: string;
  /** Minutes without a request until it is put to sleep; empty: never. */
  idle: string;
  rollout: "rolling" | "recreate";
}
export const BACKENDS = ["engine", "llama-server", "vllm", "sglang", "mindie", "custom"] as const;
/** What each can keep its keys and values in (src/backends/). */
export const KV_TYPES: Record<(typeof BACKENDS)[number], readonly string[]> = {
  engine: ["f16", "q8_0"], "llama-server": ["f16", "bf16", "q8_0", "q5_1", "q4_0"], vllm: ["auto", "bf16", "fp8"], sglang: ["auto", "bf16", "fp8_e5m2"],
  mindie: [], custom: [],
};
export const EMPTY: Form = {
  name: "", named: false, source: "", backend: "engine", replicas: "1", context: "", sequences: "", threads: "", kvType: "", deviceCount: "", devices: [],
  strategy: "spread", cpuOffload: true, binary: "", command: "", arguments: "", labels: "", deviceTypes: "", idle: "", rollout: "rolling",
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
    .replace(/[.-]gguf$|\.safetensors$/, "")
    .replace(/[.-](i?q\d\w*|f16|bf16|f32|fp8)$/i, "")
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "")
    .slice(0, 63);
}

/** The quantizations that a refusal names ("…; there are :Q4_1, :Q8_0"), to choose from. */
export function quantizationsIn(message: string): string[] {
  const named = /(?:there are|its file:) ((?::[\w.-]+(?:, )?)+)/.exec(message)?.[1] ?? "";
  return named.split(",").map((one) => one.trim().replace(/^:/, "")).filter(Boolean);
}

/** "hf:Org/name:Q2_K" with "Q4_1" -> "hf:Org/name:Q4_1" */
export function withQuantization(source: string, quantization: string): string {
  const [, hub, rest] = /^(\w+:)(.*)$/.exec(sourceOf(source)) ?? ["", "", source];
  return `${hub}${(rest ?? "").replace(/:[^/:]*$/, "")}:${quantization}`;
}

function count(text: string): number | undefined {
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}

/** Words between white space; quotes keep some together, as a shell does for the simple cases. */
export function words(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((found) => found[1] ?? found[2] ?? found[3] ?? "");
}

/** "a=b, c=d" -> {a: "b", c: "d"} */
export function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries(listOf(text).map((one) => {
    const at = one.indexOf("=");
    return at < 0 ? [one, ""] : [one.slice(0, at).trim(), one.slice(at + 1).trim()];
  }));
}

function listOf(text: string): string[] {
  return text.split(",").map((one) => one.trim()).filter(Boolean);
}

function present<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== "" && !(typeof value === "object" && value !== null && Object.keys(value).length === 0))) as Partial<T>;
}

export function evaluationOf(form: Form): EvaluationCreate {
  const options = present({
    context_tokens: count(form.context), max_sequences: count(form.sequences), threads: count(form.threads), kv_type: form.kvType, binary: form.binary.trim(),
    command: words(form.command), extra_args: words(form.arguments),
  });
  const placement = present({ device_count: count(form.deviceCount), devices: form.devices, strategy: form.strategy, cpu_offload: form.cpuOffload, worker_labels: labelsOf(form.labels), device_types: listOf(form.deviceTypes) });
  return { source: sourceOf(form.source), backend: form.backend, options, placement } as EvaluationCreate;
}

function idleSeconds(form: Form): number {
  return Math.round((Number(form.idle) || 0) * 60);
}

export function deploymentOf(form: Form): DeploymentCreate {
  return {
    ...evaluationOf(form),
    name: form.name.trim(),
    replicas: count(form.replicas) ?? 1,
    ...(idleSeconds(form) > 0 ? { idle_timeout_seconds: idleSeconds(form) } : {}),
    ...(form.rollout !== EMPTY.rollout ? { rollout: { strategy: form.rollout } } : {}),
  } as DeploymentCreate;
}

const text = (value: number) => (value > 0 ? String(value) : "");

/** What the catalogue recommends for a variant of it, as fields. */
export function fieldsOf(variant: CatalogueVariant, source: string): Partial<Form> {
  const { backend, options } = variant;
  return { source, backend, context: text(options.context_tokens), sequences: text(options.max_sequences), arguments: options.extra_args.map(quoted).join(" ") };
}

/** `next` in place of `before`, but for the options that a person has changed meanwhile. */
export function replaced(form: Form, before: Partial<Form>, next: Partial<Form>): Partial<Form> {
  const mine = (name: keyof Form) => name !== "source" && name !== "backend" && form[name] !== (before[name] ?? EMPTY[name]);
  return Object.fromEntries(Object.entries(next).filter(([name]) => !mine(name as keyof Form))) as Partial<Form>;
}

/** What a word needs to stay one, as `words` reads it. */
function quoted(word: string): string {
  return /[\s"']/.test(word) || word === "" ? (word.includes('"') ? `'${word}'` : `"${word}"`) : word;
}

export function formOf(of: Deployment): Form {
  const { options, placement } = of;
  return {
    name: of.name, named: true, source: of.source, backend: of.backend, replicas: String(of.replicas), context: text(options.context_tokens), sequences: text(options.max_sequences),
    threads: text(options.threads), kvType: options.kv_type, deviceCount: text(placement.device_count), devices: placement.devices, strategy: placement.strategy,
    cpuOffload: placement.cpu_offload, binary: options.binary, command: options.command.map(quoted).join(" "), arguments: options.extra_args.map(quoted).join(" "),
    labels: Object.entries(placement.worker_labels).map(([name, value]) => `${name}=${value}`).join(", "), deviceTypes: placement.device_types.join(", "),
    idle: of.idle_timeout_seconds > 0 ? String(of.idle_timeout_seconds / 60) : "", rollout: of.rollout.strategy,
  };
}

function changed<T extends object>(wanted: T, now: object): Partial<T> {
  const have = now as Record<string, unknown>;
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(have[name]))) as Partial<T>;
}

/** What of `of` the form changes; what it does not show stays as it is. */
export function patchOf(form: Form, of: Deployment): Record<string, unknown> {
  const options = changed({
    context_tokens: count(form.context) ?? 0, max_sequences: count(form.sequences) ?? 0, threads: count(form.threads) ?? 0, kv_type: form.kvType, binary: form.binary.trim(),
    command: words(form.command), extra_args: words(form.arguments),
  }, of.options);
  const placement = changed({
    device_count: count(form.deviceCount) ?? 0, devices: form.devices, strategy: form.strategy, cpu_offload: form.cpuOffload, worker_labels: labelsOf(form.labels),
    device_types: listOf(form.deviceTypes),
  }, of.placement);
  const rollout = changed({ strategy: form.rollout }, of.rollout);
  return {
    ...changed({ source: sourceOf(form.source), backend: form.backend, replicas: count(form.replicas) ?? of.replicas, idle_timeout_seconds: idleSeconds(form) }, of),
    ...Object.fromEntries(Object.entries({ options, placement, rollout }).filter(([, fields]) => Object.keys(fields).length > 0)),
  };
}
