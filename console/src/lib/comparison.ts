// A comparison: what each panel asked, what came, and the files that it can be taken away as. Pure.
import { itlOf, type Sample, summarize, totals, tpotOf, ttftOf } from "./statistics.ts";

export const PANELS_MOST = 6;

export interface Run {
  at: number;
  /** The model of each panel. */
  models: string[];
  /** What each panel asked with that is its own, as a text; empty: as all. */
  own: string[];
  /** The samples of each panel, one a round. */
  samples: Sample[][];
  rounds: number;
  /** Of all rounds together: sent to last token. */
  wallMs: number;
}

export interface Target {
  model: string;
  own: string;
  panels: number[];
  samples: Sample[];
}

/** The panels of a run by model and what they have of their own, in the order in which they stand there. */
export function targetsOf(run: Run): Target[] {
  const targets = new Map<string, Target>();
  run.models.forEach((model, panel) => {
    const own = run.own[panel] ?? "";
    const name = targetName({ model, own });
    const target = targets.get(name) ?? { model, own, panels: [], samples: [] };
    target.panels.push(panel);
    target.samples.push(...(run.samples[panel] ?? []));
    targets.set(name, target);
  });
  return [...targets.values()];
}

export function targetName({ model, own }: Pick<Target, "model" | "own">): string {
  return own ? `${model} (${own})` : model;
}

const WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "islet", "jetty", "knoll", "larch", "mesa", "north", "ochre", "pine"];

/** A first sentence of its own for each round, so that no cache answers for the model (as `gantry compare` does). */
export function freshSentence(random: () => number): string {
  const pick = () => WORDS[Math.floor(random() * WORDS.length)] ?? "amber";
  const number = Math.floor(random() * 65536).toString(16).padStart(4, "0");
  return `${pick()} ${pick()} is the name of note ${number}.`;
}

const DEFUSED = /^[=+\-@\t\r]/;

// A cell that a spreadsheet would take for a formula is not one (a model's name may begin so).
export function cell(value: string | number): string {
  const text = typeof value === "number" ? (Number.isFinite(value) ? String(Math.round(value * 1000) / 1000) : "") : value;
  const safe = typeof value === "string" && DEFUSED.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const COLUMNS = [
  "run", "panel", "round", "model", "panels", "ok", "ttft_ms", "tpot_ms", "itl_p50_ms", "itl_p99_ms", "e2e_ms", "prompt_tokens", "cached_tokens",
  "output_tokens", "server_queue_ms", "server_prefill_ms", "server_decode_ms", "error", "parameters",
];

/** One line a request. */
export function toCsv(runs: Run[]): string {
  const lines = [COLUMNS.join(",")];
  for (const run of runs) {
    run.samples.forEach((samples, panel) =>
      samples.forEach((sample, round) => {
        const itl = summarize(itlOf(sample));
        const server = sample.server;
        lines.push(
          [
            new Date(run.at).toISOString(), panel + 1, round + 1, run.models[panel] ?? "", run.models.length, String(sample.ok), ttftOf(sample), tpotOf(sample),
            itl.p50, itl.p99, sample.e2eMs, sample.promptTokens, sample.cachedTokens, sample.outputTokens, server?.queueMs ?? Number.NaN,
            server?.prefillMs ?? Number.NaN, server?.decodeMs ?? Number.NaN, sample.error, run.own[panel] ?? "",
          ].map(cell).join(","),
        );
      }),
    );
  }
  return `${lines.join("\r\n")}\r\n`;
}

function sampleJson(sample: Sample): Record<string, unknown> {
  const split = sample.server;
  return {
    ok: sample.ok,
    ...(sample.ok ? {} : { error: sample.error }),
    ttft_ms: ttftOf(sample),
    e2e_ms: sample.e2eMs,
    prompt_tokens: sample.promptTokens,
    output_tokens: sample.outputTokens,
    cached_tokens: sample.cachedTokens,
    counted_from: sample.counted ? "usage" : "events",
    server: { queue_ms: split?.queueMs ?? null, prefill_ms: split?.prefillMs ?? null, decode_ms: split?.decodeMs ?? null },
    token_ms: sample.tokenMs,
  };
}

/** The object that `gantry compare --json` prints; the times are those that the page saw. */
export function toJson(runs: Run[], about: { commit: string; url: string; agent: string }): string {
  const targets = new Map<string, { name: string; url: string; model: string; backend: string; devices: string[]; runs: unknown[] }>();
  for (const run of runs) {
    for (const target of targetsOf(run)) {
      const entry = targets.get(targetName(target)) ?? { name: targetName(target), url: about.url, model: target.model, backend: "", devices: [], runs: [] };
      const sums = totals(target.samples, run.wallMs);
      entry.runs.push({
        concurrency: run.models.length,
        prompt_tokens: sums.promptTokens,
        output_tokens: sums.outputTokens,
        wall_s: run.wallMs / 1000,
        throughput_tok_s: sums.throughput,
        requests_ok: sums.ok,
        requests_failed: sums.failed,
        ttft_ms: sums.ttft,
        tpot_ms: sums.tpot,
        itl_ms: sums.itl,
        e2e_ms: sums.e2e,
        cached_tokens: sums.cachedTokens,
        samples: target.samples.map(sampleJson),
      });
      targets.set(targetName(target), entry);
    }
  }
  return JSON.stringify({ version: 1, commit: about.commit, machine: { client: about.agent, measured: "in the console's page" }, targets: [...targets.values()] }, null, 1);
}
