// What the server says of a deployment that is not there yet, or of an instance that waits: does it fit, where, what it takes, why not.
import { Ban, CircleCheck, CircleHelp, LoaderCircle, TriangleAlert } from "lucide-react";
import type { ApiError } from "../../api/client.ts";
import type { Decision, Evaluation, ModelMeta } from "../../api/types.ts";
import { t, told, word } from "../../i18n/index.ts";
import { bytes, parameters, whole } from "../../lib/format.ts";
import { languageNow } from "../../i18n/index.ts";
import { Button, Card, problemText, Note } from "../../ui/basics.tsx";
import { seriesColor } from "../../ui/memory.tsx";
import { VERDICT_LOOK } from "../../ui/verdict.tsx";

type Judged = Pick<Evaluation, "verdict" | "reason" | "placement" | "estimate" | "workers" | "suggestions"> | Decision;

const ICONS = { fits: CircleCheck, does_not_fit: TriangleAlert, incompatible: Ban, unknown: CircleHelp };

interface Props {
  value: Evaluation | undefined;
  error: ApiError | undefined;
  busy: boolean;
  apply: (change: string, value: string) => void;
}

export function EvaluationView({ value, error, busy, apply }: Props) {
  return (
    // It scrolls by itself beside a long form, also by the keyboard.
    <aside className="evaluation" aria-label={t("evaluation")} tabIndex={0}>
      <Card title={t("evaluation")} actions={busy && <LoaderCircle size={16} className="spin" aria-label={t("loading")} />}>
        <div className="stack" aria-live="polite">
          {!value && !error && <p className="muted">{t("evaluation.none")}</p>}
          {error && !error.param && <Note look="bad">{problemText(error)}</Note>}
          {error?.param && <p className="muted">{t("evaluation.mend")}</p>}
          {value?.choice && <Choice of={value.choice} apply={apply} />}
          {value && <Judgement of={value} apply={apply} />}
          {value?.model && <ModelFacts meta={value.model} />}
        </div>
      </Card>
    </aside>
  );
}

/** Which of a hub's quantizations was taken, and the others to take instead. */
function Choice({ of, apply }: { of: NonNullable<Evaluation["choice"]>; apply: Props["apply"] }) {
  return (
    <div className="stack tight">
      <p>{t("evaluation.choice", { source: of.source })} {told(of.reason)}</p>
      <div className="row wrap">
        <span className="small muted">{t("create.choose")}</span>
        {of.considered.map((one) => <Button key={one.source} small onClick={() => apply("source", one.source)}>{one.quantization}</Button>)}
      </div>
    </div>
  );
}

export function Judgement({ of, apply }: { of: Judged; apply?: (change: string, value: string) => void }) {
  const Icon = ICONS[of.verdict];
  return (
    <>
      <div className={`note ${VERDICT_LOOK[of.verdict]}`}>
        <Icon size={18} aria-hidden />
        <div><strong>{word("verdict", of.verdict)}</strong> {told(of.reason)}</div>
      </div>
      {of.suggestions.length > 0 && (
        <div className="stack tight">
          <h3>{t("evaluation.would_fit")}</h3>
          <ul className="stack tight">
            {of.suggestions.map((suggestion) => (
              <li key={suggestion.change + suggestion.value} className="row spread">
                <span className="break">{told(suggestion.text)}</span>
                {apply && APPLIED.includes(suggestion.change) && <Button small onClick={() => apply(suggestion.change, suggestion.value)}>{t("evaluation.apply")}</Button>}
              </li>
            ))}
          </ul>
        </div>
      )}
      {of.estimate.total_bytes > 0 && <Need of={of} />}
      <Where of={of} />
    </>
  );
}

const APPLIED = ["context_tokens", "max_sequences", "kv_type", "device_count", "cpu_offload", "backend"];

/** What it takes, sum by sum, as a bar and as the formulas behind it. */
function Need({ of: { estimate, placement } }: { of: Judged }) {
  return (
    <div className="stack tight">
      <div className="row spread"><h3>{t("evaluation.need")}</h3><strong className="num">{bytes(estimate.total_bytes)}</strong></div>
      <div className="bar tall" role="img" aria-label={estimate.terms.map((term) => `${word("term", term.name)} ${bytes(term.bytes)}`).join(", ")}>
        {estimate.terms.map((term, i) => (
          <span key={term.name + term.where} style={{ width: `${(term.bytes / estimate.total_bytes) * 100}%`, background: `var(${seriesColor(i)})` }} title={`${word("term", term.name)} ${bytes(term.bytes)}`} />
        ))}
      </div>
      <ul className="terms">
        {estimate.terms.map((term, i) => (
          <li key={term.name + term.where}>
            <span className="swatch" style={{ background: `var(${seriesColor(i)})` }} />
            <span className="grow">{word("term", term.name)}<span className="formula">{told(term.formula)}</span></span>
            <span className="num nowrap">{bytes(term.bytes)}</span>
          </li>
        ))}
      </ul>
      {estimate.unknown.length > 0 && <Note look="warn">{t("evaluation.unknown", { what: estimate.unknown.join(", ") })}</Note>}
      {placement && placement.context_tokens > 0 && <p className="small muted">{t("evaluation.shape", { context: whole(placement.context_tokens, languageNow()), sequences: placement.sequences })}</p>}
    </div>
  );
}

/** Every worker and device: what it offers, what is needed of it, and why it is or is not the one. */
function Where({ of }: { of: Judged }) {
  if (of.workers.length === 0) return null;
  return (
    <div className="stack tight">
      <h3>{t("evaluation.where")}</h3>
      {of.workers.map((worker) => (
        <div key={worker.worker_id} className="verdict-worker">
          <div className="row spread"><strong className="break">{worker.worker_name}</strong>{worker.candidate && worker.total > 0 && <span className="small muted num">{t("evaluation.score", { n: Math.round(worker.total) })}</span>}</div>
          {worker.reason && !worker.devices.some((device) => device.reason) && <p className="small muted break">{told(worker.reason)}</p>}
          {worker.devices.map((device) => {
            const share = device.allocatable_bytes > 0 ? Math.min(1, device.needed_bytes / device.allocatable_bytes) : 0;
            return (
              <div key={device.device} className="stack verdict-device">
                <div className="row spread small">
                  <span className="clip">{device.chosen && <CircleCheck size={13} className="chosen" aria-label={t("evaluation.chosen")} />} {device.name} <span className="muted">{device.device}</span></span>
                  <span className="num nowrap muted">{t("evaluation.of", { need: bytes(device.needed_bytes), room: bytes(device.allocatable_bytes) })}</span>
                </div>
                <div className="bar" aria-hidden><span style={{ width: `${share * 100}%`, background: `var(${device.reason ? "--bad" : device.chosen ? "--good" : "--text-3"})` }} /></div>
                {device.reason && <span className="small wrong-text">{told(device.reason)}</span>}
              </div>
            );
          })}
        </div>
      ))}
    </div>
  );
}

export function ModelFacts({ meta }: { meta: ModelMeta }) {
  const language = languageNow();
  const facts: [string, string][] = [
    [t("meta.name"), meta.name],
    [t("meta.architecture"), meta.architecture],
    [t("meta.parameters"), meta.parameter_count > 0 ? parameters(meta.parameter_count) : ""],
    [t("meta.quantization"), meta.quantization || meta.dtype],
    [t("meta.file"), meta.file_bytes > 0 ? bytes(meta.file_bytes) : ""],
    [t("meta.context"), meta.context_length > 0 ? t("tokens", { n: whole(meta.context_length, language) }) : ""],
    [t("meta.layers"), meta.layers > 0 ? String(meta.layers) : ""],
    [t("meta.use"), meta.pooling === "rank" ? t("meta.rerank") : meta.pooling ? t("meta.embed") : t("meta.write")],
  ];
  return (
    <div className="stack tight">
      <h3>{t("model")}</h3>
      <dl className="facts small">
        {facts.filter(([, value]) => value).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
      </dl>
    </div>
  );
}
