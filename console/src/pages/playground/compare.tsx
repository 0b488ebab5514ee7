// Up to six panels over one stream: the same prompt to each, measured in the page.
import { Link as LinkIcon, Play, Square } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { t } from "../../i18n/index.ts";
import { PANELS_MOST, type Run } from "../../lib/comparison.ts";
import { useUrl } from "../../lib/url.ts";
import { Button, Card, Checkbox, classes, copy, Problem, Segments, TextArea, TextField } from "../../ui/basics.tsx";
import { say } from "../../ui/overlays.tsx";
import { type Progress, runComparison } from "./compare_run.ts";
import { useFrames } from "./frames.ts";
import { Panel } from "./panel.tsx";
import { ParameterFields } from "./parameters.tsx";
import { Results } from "./results.tsx";
import { readSetup, type Setup, writeSetup } from "./setup.ts";

const ADDRESS_MS = 400;
const COUNTS = Array.from({ length: PANELS_MOST }, (_, i) => ({ value: i + 1, text: String(i + 1) }));

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // an address that was mistyped
  }
}

// The models of the panels in the address: fewer than there are panels means that the last goes on.
function chosenModels(text: string, count: number, models: string[]): string[] {
  const named = text.split(",").map(decoded).filter((name) => models.includes(name));
  return Array.from({ length: count }, (_, i) => named[i] ?? named.at(-1) ?? models[0] ?? "");
}

/** The parameters, which go into the address when typing has paused: browsers take only so many changes of it a second. */
function useSetup(): [Setup, (part: Partial<Setup>) => void] {
  const [text, setText] = useUrl("set", "");
  const [setup, setSetup] = useState(() => readSetup(text, PANELS_MOST));
  useEffect(() => {
    const timer = setTimeout(() => setText(writeSetup({ shared: setup.shared, own: setup.own })), ADDRESS_MS);
    return () => clearTimeout(timer);
  }, [setup]);
  return [setup, (part) => setSetup((before) => ({ ...before, ...part }))];
}

export function Compare({ models }: { models: string[] }) {
  const [countText, setCount] = useUrl("panels", "6");
  const count = Math.min(PANELS_MOST, Math.max(1, Math.trunc(Number(countText)) || 6));
  const [named, setNamed] = useUrl("models", "");
  const chosen = chosenModels(named, count, models);
  const [roundsText, setRounds] = useUrl("rounds", "1");
  const [setup, change] = useSetup();
  const [prompt, setPrompt] = useState(() => setup.prompt ?? t("compare.prompt.default"));
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

  async function share() {
    const link = new URL(location.href);
    link.searchParams.set("set", writeSetup({ shared: setup.shared, own: setup.own.slice(0, count), prompt }));
    link.searchParams.set("models", chosen.map(encodeURIComponent).join(","));
    say(await copy(link.href) ? t("compare.shared") : t("copy.failed"));
  }

  async function start() {
    const stop = new AbortController();
    running.current = stop;
    setError(undefined);
    const changed = (next: Progress) => {
      latest.current = next;
      draw();
    };
    try {
      const run = await runComparison({ models: chosen, prompt, setup, rounds, fresh }, stop.signal, changed);
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
              <Button look="quiet" label={t("compare.share")} icon={<LinkIcon size={16} aria-hidden />} onClick={() => void share()} />
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
          <ParameterFields value={setup.shared} onChange={(shared) => change({ shared })} seed={false}>
            <TextField label={t("compare.rounds")} title={t("compare.rounds.hint")} type="number" min={1} max={50} value={roundsText} onChange={(event) => setRounds(event.target.value)} />
          </ParameterFields>
        </Card>
      </div>
      {busy && shown && rounds > 1 && <p className="muted" role="status">{t("compare.round", { round: shown.round + 1, rounds })}</p>}
      <div className={classes("panels", `of-${count}`)}>
        {chosen.map((model, panel) => (
          <Panel
            key={panel}
            panel={panel}
            model={model}
            models={models}
            busy={busy}
            answer={shown?.answers[panel]}
            choose={(next) => choose(panel, next)}
            own={setup.own[panel] ?? {}}
            shared={setup.shared}
            change={(next) => change({ own: setup.own.map((one, i) => (i === panel ? next : one)) })}
          />
        ))}
      </div>
      <Results runs={runs} clear={() => setRuns([])} />
    </>
  );
}
