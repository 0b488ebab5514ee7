// Runs a comparison: every round one POST /api/v1/compare, whose stream carries the events of all panels.
import { errorOf, send } from "../../api/client.ts";
import { readEvents } from "../../api/sse.ts";
import { Answer, type Chunk } from "../../lib/answer.ts";
import { freshSentence, type Run } from "../../lib/comparison.ts";
import { problemText } from "../../ui/basics.tsx";
import { chatBody } from "./parameters.tsx";
import { ownText, parametersOf, type Setup } from "./setup.ts";

export interface Wanted {
  models: string[];
  prompt: string;
  setup: Setup;
  rounds: number;
  /** Begin each round with a sentence of its own. */
  fresh: boolean;
}
export interface Progress {
  round: number;
  answers: Answer[];
}

async function oneRound(wanted: Wanted, round: number, seed: number, signal: AbortSignal, changed: (progress: Progress) => void): Promise<Answer[]> {
  const prompt = wanted.fresh ? `${freshSentence(Math.random)} ${wanted.prompt}` : wanted.prompt;
  const panels = wanted.models.map((model, panel) => chatBody(model, [{ role: "user", content: prompt }], parametersOf(wanted.setup, panel), { seed: seed + panel }));
  const sentAt = performance.now();
  const answers = wanted.models.map(() => new Answer(sentAt));
  changed({ round, answers });
  const stream = await send("POST", "/api/v1/compare", { panels }, signal);
  await readEvents(stream, (events) => {
    const now = performance.now();
    for (const event of events) {
      const data = JSON.parse(event.data) as { panel: number; chunk?: Chunk; body?: unknown };
      const answer = answers[data.panel];
      if (!answer) continue;
      if (data.chunk) answer.take(data.chunk, now);
      else if (event.event === "error") answer.fail(problemText(errorOf(0, data.body)));
      else if (event.event === "done") answer.ended = true;
    }
    changed({ round, answers });
  });
  return answers;
}

/** Throws what the server refuses the whole comparison with; a panel that fails is a failed sample. */
export async function runComparison(wanted: Wanted, signal: AbortSignal, changed: (progress: Progress) => void): Promise<Run> {
  const run: Run = {
    at: Date.now(), models: wanted.models, own: wanted.models.map((_, panel) => ownText(wanted.setup.own[panel])), samples: wanted.models.map(() => []), rounds: 0, wallMs: 0,
  };
  const seed = Math.floor(Math.random() * 1e9);
  for (let round = 0; round < wanted.rounds; round += 1) {
    const answers = await oneRound(wanted, round, seed + round * 16, signal, changed);
    const samples = answers.map((answer) => answer.sample());
    samples.forEach((sample, panel) => run.samples[panel]?.push(sample));
    run.wallMs += Math.max(0, ...samples.map((sample) => sample.e2eMs));
    run.rounds += 1;
  }
  return run;
}
