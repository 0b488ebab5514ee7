// One panel of a comparison: its model and what it has of its own, the answer as it comes, and its times.
import { SlidersHorizontal } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { t } from "../../i18n/index.ts";
import type { Answer } from "../../lib/answer.ts";
import { digits, duration, rate } from "../../lib/format.ts";
import { type Sample, tpotOf, ttftOf } from "../../lib/statistics.ts";
import { Button, classes } from "../../ui/basics.tsx";
import { seriesColor } from "../../ui/memory.tsx";
import { OwnFields } from "./parameters.tsx";
import { type Own, ownText, type Parameters } from "./setup.ts";

interface PanelProps {
  panel: number;
  model: string;
  models: string[];
  busy: boolean;
  answer: Answer | undefined;
  choose: (model: string) => void;
  own: Own;
  shared: Parameters;
  change: (own: Own) => void;
}

export function Panel({ panel, model, models, busy, answer, choose, own, shared, change }: PanelProps) {
  const [open, setOpen] = useState(false);
  const differs = ownText(own);
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
        <Button
          look="quiet"
          small
          className={classes(differs !== "" && "has-own")}
          label={t("compare.own_of", { n: panel + 1 })}
          aria-expanded={open}
          icon={<SlidersHorizontal size={15} aria-hidden />}
          onClick={() => setOpen(!open)}
        />
      </div>
      {open && <OwnFields value={own} shared={shared} onChange={change} />}
      {!open && differs && <p className="own-line small muted clip" title={differs}>{differs}</p>}
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
