// Up to six panels over one stream: the same prompt to each, measured in the page.
import { Play, Square } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { t } from "../../i18n/index.ts";
import type { Answer } from "../../lib/answer.ts";
import { PANELS_MOST, type Run } from "../../lib/comparison.ts";
import { digits, duration, rate } from "../../lib/format.ts";
import { seriesColor } from "../../ui/memory.tsx";
import { type Sample, tpotOf, ttftOf } from "../../lib/statistics.ts";
import { useUrl } from "../../lib/url.ts";
import { Button, Card, Checkbox, classes, Problem, Segments, TextArea, TextField } from "../../ui/basics.tsx";
import { type Progress, runComparison } from "./compare_run.ts";
import { useFrames } from "./frames.ts";
import { ParameterFields, type Parameters } from "./parameters.tsx";
import { Results } from "./results.tsx";

const DEFAULTS: Parameters = { system: "", maxTokens: "128", temperature: "0.7", topP: "", seed: "" };
const COUNTS = Array.from({ length: PANELS_MOST }, (_, i) => ({ value: i + 1, text: String(i + 1) }));

// The models of the panels in the address: fewer than there are panels means that the last goes on.
function chosenModels(text: string, count: number, models: string[]): string[] {
  const named = text.split(",").map(decodeURIComponent).filter((name) => models.includes(name));
  return Array.from({ length: count }, (_, i) => named[i] ?? named.at(-1) ?? models[0] ?? "");
}

export function Compare({ models }: { models: string[] }) {
  const [countText, setCount] = useUrl("panels", "6");
  const count = Math.min(PANELS_MOST, Math.max(1, Math.trunc(Number(countText)) || 6));
  const [named, setNamed] = useUrl("models", "");
  const chosen = chosenModels(named, count, models);
  const [roundsText, setRounds] = useUrl("rounds", "1");
  const [parameters, setParameters] = useState(DEFAULTS);
  const [prompt, setPrompt] = useState(() => t("compare.prompt.default"));
  const [fresh, setFresh] = useState(true);
  const [runs, setRuns] = useState<Run[]>([]);
  const [progress, setProgress] = useState<Progress>();
  const [error, setError] = useState<unknown>();
  const running = useRef<AbortController | null>(null);
  const latest = useRef<Progress | undefined>(undefined);
  const draw = useFrames();
  const busy = running.current !== null;
  const rounds = Math.min(50, Math.max(1, Math.trunc(Number(roundsText)) || 1));
  useEffect(() => () => running.current?.abort(), []);

  const choose = (panel: number, model: string) => setNamed(chosen.map((name, i) => (i === panel ? model : name)).map(encodeURIComponent).join(","));

  async function start() {
    const stop = new AbortController();
    running.current = stop;
    setError(undefined);
    const changed = (next: Progress) => {
      latest.current = next;
      draw();
    };
    try {
      const run = await runComparison({ models: chosen, prompt, parameters, rounds, fresh }, stop.signal, changed);
      setRuns((before) => [run, ...before]);
    } catch (problem) {
      if (!stop.signal.aborted) setError(problem);
    }
    running.current = null;
    for (const answer of latest.current?.answers ?? []) answer.ended = true;
    setProgress(latest.current);
    draw();
  }

  const shown = latest.current ?? progress;
  return (
    <>
      <div className="two compare-setup">
        <Card title={t("compare.prompt")}>
          <TextArea label={<span className="sr">{t("compare.prompt")}</span>} rows={5} value={prompt} onChange={(event) => setPrompt(event.target.value)} />
          <Checkbox label={t("compare.fresh")} hint={t("compare.fresh.why")} checked={fresh} onChange={setFresh} />
          <div className="row wrap">
            <Segments label={t("compare.panels")} value={count} onChange={(next) => setCount(String(next))} options={COUNTS} />
            <span className="muted">{t("compare.panels")}</span>
            <span className="end row">
              {busy ? (
                <Button icon={<Square size={15} aria-hidden />} onClick={() => running.current?.abort()}>{t("stop")}</Button>
              ) : (
                <Button look="primary" disabled={!prompt.trim()} icon={<Play size={15} aria-hidden />} onClick={() => void start()}>{t("compare.start")}</Button>
              )}
            </span>
          </div>
          {error !== undefined && <Problem error={error} />}
        </Card>
        <Card title={t("parameters")}>
          <ParameterFields value={parameters} onChange={setParameters} seed={false}>
            <TextField label={t("compare.rounds")} title={t("compare.rounds.hint")} type="number" min={1} max={50} value={roundsText} onChange={(event) => setRounds(event.target.value)} />
          </ParameterFields>
        </Card>
      </div>
      {busy && shown && rounds > 1 && <p className="muted" role="status">{t("compare.round", { round: shown.round + 1, rounds })}</p>}
      <div className={classes("panels", `of-${count}`)}>
        {chosen.map((model, panel) => (
          <Panel key={panel} panel={panel} model={model} models={models} busy={busy} answer={shown?.answers[panel]} choose={(next) => choose(panel, next)} />
        ))}
      </div>
      <Results runs={runs} clear={() => setRuns([])} />
    </>
  );
}

interface PanelProps {
  panel: number;
  model: string;
  models: string[];
  busy: boolean;
  answer: Answer | undefined;
  choose: (model: string) => void;
}

function Panel({ panel, model, models, busy, answer, choose }: PanelProps) {
  const box = useRef<HTMLDivElement>(null);
  const length = answer ? answer.text.length + answer.reasoning.length : 0;
  useEffect(() => {
    if (box.current && busy) box.current.scrollTop = box.current.scrollHeight;
  }, [length, busy]);
  return (
    <section className="card panel" aria-label={t("compare.panel", { n: panel + 1 })}>
      <div className="panel-head">
        <span className="swatch" style={{ background: `var(${seriesColor(panel)})` }} aria-hidden />
        <select className="input" aria-label={t("compare.model_of", { n: panel + 1 })} value={model} disabled={busy} onChange={(event) => choose(event.target.value)}>
          {models.map((name) => <option key={name}>{name}</option>)}
        </select>
      </div>
      <div className="panel-text" ref={box} tabIndex={0} role="region" aria-label={t("compare.answer", { n: panel + 1 })}>
        {answer?.reasoning && <p className="muted">{answer.reasoning}</p>}
        {answer?.text}
        {answer?.error && <p className="wrong-text">{answer.error}</p>}
        {!answer && <span className="muted">{t("compare.waits")}</span>}
        {answer && !answer.ended && length === 0 && <span className="waiting" />}
      </div>
      <PanelTimes sample={answer?.sample()} />
    </section>
  );
}

function PanelTimes({ sample }: { sample: Sample | undefined }) {
  const tpot = sample ? tpotOf(sample) : Number.NaN;
  const split = sample?.server;
  return (
    <dl className="panel-times num">
      <div><dt>TTFT</dt><dd>{sample ? duration(ttftOf(sample)) : "–"}</dd></div>
      <div><dt>TPOT</dt><dd>{duration(tpot)}</dd></div>
      <div><dt>{t("compare.speed")}</dt><dd>{Number.isFinite(tpot) && tpot > 0 ? rate(1000 / tpot) : "–"}</dd></div>
      <div><dt>{t("compare.tokens")}</dt><dd>{sample?.outputTokens ?? "–"}</dd></div>
      <div className="wide"><dt>{t("compare.server")}</dt><dd>{split ? t("compare.split", { queue: digits(split.queueMs, 3), prefill: digits(split.prefillMs, 3), decode: digits(split.decodeMs, 3) }) : "–"}</dd></div>
    </dl>
  );
}
