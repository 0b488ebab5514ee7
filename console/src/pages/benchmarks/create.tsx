// A new benchmark: whom to measure, with how many requests at once, and what they are like.
import { ChevronDown, Gauge, Plus, Trash2 } from "lucide-react";
import { type FormEvent, useEffect, useState } from "react";
import { Link, useLocation } from "wouter";
import { api, ApiError } from "../../api/client.ts";
import type { Benchmark, Deployment } from "../../api/types.ts";
import { languageNow, t, word } from "../../i18n/index.ts";
import { bodyOf, EMPTY, type Form, formOf, type Outside, planOf } from "../../lib/benchmarks.ts";
import { asApiError } from "../../lib/fetched.ts";
import { whole } from "../../lib/format.ts";
import { isAdmin, useMe } from "../../lib/session.ts";
import { useUrl } from "../../lib/url.ts";
import { useAll } from "../../live/store.ts";
import { Button, Card, Checkbox, Note, problemText, Problem, Segments, State, TextField } from "../../ui/basics.tsx";
import { say } from "../../ui/overlays.tsx";
import { PageBody } from "../../ui/page.tsx";
import { pathOf } from "./actions.tsx";

const NEW_OUTSIDE: Outside = { name: "", url: "", model: "", key: "" };

export default function Create() {
  const admin = isAdmin(useMe());
  const [again] = useUrl("again", "");
  const [given] = useUrl("deployment", "");
  const [form, setForm] = useState<Form>(() => ({ ...EMPTY, deployments: given ? [given] : [] }));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const [, go] = useLocation();
  const set = (part: Partial<Form>) => setForm((before) => ({ ...before, ...part }));
  useEffect(() => {
    if (!again) return;
    const stop = new AbortController();
    api<Benchmark>("GET", pathOf(again), undefined, stop.signal)
      .then((benchmark) => setForm(formOf(benchmark)))
      .catch((problem: unknown) => {
        if (!stop.signal.aborted) setError(asApiError(problem));
      });
    return () => stop.abort();
  }, [again]);
  const wrong = (field: string) => (error?.param === field || error?.param.startsWith(`${field}[`) ? problemText(error) : undefined);
  const shown = ["concurrencies", "prompt_tokens", "shared_prefix_tokens", "requests", "duration_seconds", "rounds", "output_tokens", "temperature", "seed", "name"];

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const made = await api<Benchmark>("POST", "/api/v1/benchmarks", bodyOf(form));
      say(t("benchmarks.made", { name: made.name }));
      go(`/${encodeURIComponent(made.id)}`);
    } catch (problem) {
      setError(asApiError(problem));
      setBusy(false);
    }
  }

  return (
    <PageBody title={t("benchmarks.make")} about={t("benchmarks.make.about")}>
      <form className="stack loose benchmark-form" onSubmit={(event) => void submit(event)}>
        <Targets form={form} set={set} admin={admin} />
        <Load form={form} set={set} wrong={wrong} />
        <More form={form} set={set} wrong={wrong} />
        <Note>{t("benchmarks.shares")}</Note>
        {error && !shown.some((field) => wrong(field)) && <Problem error={error} />}
        <div className="row wrap">
          <Button type="submit" look="primary" busy={busy} disabled={form.deployments.length + form.outside.length === 0} icon={<Gauge size={16} aria-hidden />}>{t("benchmarks.start")}</Button>
          <Link className="button" href="/">{t("cancel")}</Link>
          <Plan form={form} />
        </div>
      </form>
    </PageBody>
  );
}

type Part = { form: Form; set: (part: Partial<Form>) => void };
type Judged = Part & { wrong: (field: string) => string | undefined };

function Plan({ form }: { form: Form }) {
  const plan = planOf(form);
  const language = languageNow();
  if (plan.runs === 0 || !Number.isFinite(plan.requests + plan.seconds)) return null;
  return (
    <span className="small muted grow" role="status">
      {plan.seconds > 0 ? t("benchmarks.plan.time", { runs: plan.runs, seconds: whole(plan.seconds, language) }) : t("benchmarks.plan", { runs: plan.runs, requests: whole(plan.requests, language) })}
    </span>
  );
}

function Targets({ form, set, admin }: Part & { admin: boolean }) {
  const deployments = [...useAll("deployments")].sort((a, b) => a.name.localeCompare(b.name));
  const gone = form.deployments.filter((name) => !deployments.some((one) => one.name === name));
  const choose = (one: Deployment, on: boolean) => set({ deployments: on ? [...form.deployments, one.name] : form.deployments.filter((name) => name !== one.name) });
  const change = (i: number, part: Partial<Outside>) => set({ outside: form.outside.map((one, k) => (k === i ? { ...one, ...part } : one)) });
  return (
    <Card title={t("benchmarks.targets")} actions={admin && <Button small icon={<Plus size={15} aria-hidden />} onClick={() => set({ outside: [...form.outside, NEW_OUTSIDE] })}>{t("benchmarks.outside.add")}</Button>}>
      {deployments.length === 0 && form.outside.length === 0 && <p className="muted">{t("benchmarks.no_deployments")}</p>}
      <ul className="target-list">
        {deployments.map((one) => (
          <li key={one.id} className="row wrap">
            <Checkbox label={<span className="break strong">{one.name}</span>} hint={one.backend} checked={form.deployments.includes(one.name)} onChange={(on) => choose(one, on)} />
            <span className="end"><State of={one.status.state} /></span>
          </li>
        ))}
      </ul>
      {gone.map((name) => <Note key={name} look="warn">{t("benchmarks.gone", { name })} <Button small onClick={() => set({ deployments: form.deployments.filter((one) => one !== name) })}>{t("benchmarks.leave_out")}</Button></Note>)}
      {form.outside.map((one, i) => (
        <fieldset key={i} className="outside stack tight">
          <legend className="legend">{t("benchmarks.outside", { n: i + 1 })}</legend>
          <div className="fields">
            <TextField label={t("providers.url")} className="mono" required placeholder="http://10.0.0.6:8000/v1" value={one.url} onChange={(event) => change(i, { url: event.target.value })} />
            <TextField label={t("model")} required value={one.model} onChange={(event) => change(i, { model: event.target.value })} />
            <TextField label={t("key")} type="password" hint={t("benchmarks.key.hint")} value={one.key} onChange={(event) => change(i, { key: event.target.value })} />
            <TextField label={t("name")} hint={t("benchmarks.name.model")} value={one.name} onChange={(event) => change(i, { name: event.target.value })} />
          </div>
          <div><Button small look="quiet" icon={<Trash2 size={15} aria-hidden />} onClick={() => set({ outside: form.outside.filter((_, k) => k !== i) })}>{t("benchmarks.leave_out")}</Button></div>
        </fieldset>
      ))}
    </Card>
  );
}

function Load({ form, set, wrong }: Judged) {
  const load = form.kind === "load";
  return (
    <Card title={t("benchmarks.load")}>
      <div className="field">
        <span className="label">{t("benchmarks.kind")}</span>
        <div><Segments label={t("benchmarks.kind")} value={form.kind} onChange={(kind) => set({ kind })} options={[{ value: "load", text: word("benchmarks.kind", "load") }, { value: "compare", text: word("benchmarks.kind", "compare") }]} /></div>
        <span className="hint">{word("benchmarks.kind.hint", form.kind)}</span>
      </div>
      <div className="fields">
        <TextField label={t("benchmarks.at_once")} required inputMode="numeric" value={form.concurrencies} hint={t("benchmarks.at_once.hint")} error={wrong("concurrencies")} onChange={(event) => set({ concurrencies: event.target.value })} />
        {load && <TextField label={t("benchmarks.prompt")} type="number" min={24} max={32768} value={form.promptTokens} hint={t("benchmarks.prompt.hint")} error={wrong("prompt_tokens")} onChange={(event) => set({ promptTokens: event.target.value })} />}
        <TextField label={t("benchmarks.output")} type="number" min={1} max={4096} value={form.outputTokens} hint={t("benchmarks.output.hint")} error={wrong("output_tokens")} onChange={(event) => set({ outputTokens: event.target.value })} />
        {!load && <TextField label={t("compare.rounds")} type="number" min={1} max={20} value={form.rounds} hint={t("compare.rounds.hint")} error={wrong("rounds")} onChange={(event) => set({ rounds: event.target.value })} />}
      </div>
      {load && (
        <div className="row wrap length">
          <Segments label={t("benchmarks.length")} value={form.by} onChange={(by) => set({ by })} options={[{ value: "number", text: t("benchmarks.by_number") }, { value: "time", text: t("benchmarks.by_time") }]} />
          {form.by === "number" ? (
            <TextField label={t("benchmarks.requests")} type="number" min={1} max={2000} value={form.requests} placeholder={t("benchmarks.requests.usual")} error={wrong("requests")} onChange={(event) => set({ requests: event.target.value })} />
          ) : (
            <TextField label={t("benchmarks.seconds")} type="number" min={1} max={600} required value={form.seconds} error={wrong("duration_seconds")} onChange={(event) => set({ seconds: event.target.value })} />
          )}
        </div>
      )}
    </Card>
  );
}

function More({ form, set, wrong }: Judged) {
  return (
    <details className="card more" open={["name", "shared_prefix_tokens", "temperature", "seed"].some((field) => wrong(field) !== undefined) || undefined}>
      <summary className="card-head"><h2 className="grow">{t("benchmarks.more")}</h2><ChevronDown size={18} aria-hidden /></summary>
      <div className="card-body">
        <div className="fields">
          <TextField label={t("name")} maxLength={64} value={form.name} hint={t("benchmarks.name.hint")} error={wrong("name")} onChange={(event) => set({ name: event.target.value })} />
          {form.kind === "load" && <TextField label={t("benchmarks.shared")} type="number" min={0} max={32768} value={form.sharedPrefix} placeholder="0" hint={t("benchmarks.shared.hint")} error={wrong("shared_prefix_tokens")} onChange={(event) => set({ sharedPrefix: event.target.value })} />}
          <TextField label={t("benchmarks.temperature")} type="number" min={0} max={2} step={0.1} value={form.temperature} error={wrong("temperature")} onChange={(event) => set({ temperature: event.target.value })} />
          <TextField label={t("benchmarks.seed")} type="number" min={1} value={form.seed} hint={t("benchmarks.seed.hint")} error={wrong("seed")} onChange={(event) => set({ seed: event.target.value })} />
        </div>
        <Checkbox label={t("benchmarks.ignore_eos")} hint={t("benchmarks.ignore_eos.hint")} checked={form.ignoreEos} onChange={(ignoreEos) => set({ ignoreEos })} />
      </div>
    </details>
  );
}
