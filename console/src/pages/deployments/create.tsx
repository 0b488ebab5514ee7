// A new deployment. While it is filled in the server is asked what it would take and where it would go.
import { ChevronDown, Rocket } from "lucide-react";
import { type FormEvent, useEffect, useId, useState } from "react";
import { Link, useLocation } from "wouter";
import { api, ApiError } from "../../api/client.ts";
import type { Deployment, Evaluation } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { asApiError } from "../../lib/fetched.ts";
import { useUrl } from "../../lib/url.ts";
import { useAll } from "../../live/store.ts";
import { Button, Card, Checkbox, Field, problemText, Problem, SelectField, TextField } from "../../ui/basics.tsx";
import { say } from "../../ui/overlays.tsx";
import { PageBody } from "../../ui/page.tsx";
import { EvaluationView } from "./evaluation.tsx";
import { BACKENDS, KV_TYPES, deploymentOf, EMPTY, evaluationOf, type Form, nameFor, sourceOf } from "./form.ts";

const TYPING_MS = 300;

interface Evaluated {
  value?: Evaluation;
  error?: ApiError;
  busy: boolean;
}

/** Asks again when what is asked has changed, and typing has paused. */
function useEvaluation(form: Form): Evaluated {
  const [state, setState] = useState<Evaluated>({ busy: false });
  const asked = form.source.trim() ? JSON.stringify(evaluationOf(form)) : "";
  useEffect(() => {
    if (!asked) {
      setState({ busy: false });
      return;
    }
    const stop = new AbortController();
    setState((before) => ({ ...before, busy: true }));
    const timer = setTimeout(() => {
      api<Evaluation>("POST", "/api/v1/evaluations", JSON.parse(asked), stop.signal)
        .then((value) => setState({ value, busy: false }))
        .catch((problem: unknown) => {
          if (!stop.signal.aborted) setState({ error: asApiError(problem), busy: false });
        });
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [asked]);
  return state;
}

export default function Create() {
  const [given] = useUrl("source", "");
  const [form, setForm] = useState<Form>(() => ({ ...EMPTY, source: given, name: nameFor(sourceOf(given)) }));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const [, go] = useLocation();
  const evaluation = useEvaluation(form);
  const deployments = useAll("deployments");
  const taken = deployments.some((one) => one.name === form.name.trim());
  const set = (part: Partial<Form>) => setForm((before) => ({ ...before, ...part }));
  const wrong = (field: string) => (error?.param === field ? problemText(error) : evaluation.error?.param === field ? problemText(evaluation.error) : undefined);
  const verdict = evaluation.value?.verdict;

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const made = await api<Deployment>("POST", "/api/v1/deployments", deploymentOf(form));
      say(t("create.done", { name: made.name }));
      go(`/${encodeURIComponent(made.id)}`);
    } catch (problem) {
      setError(asApiError(problem));
      setBusy(false);
    }
  }

  return (
    <PageBody title={t("deploy")} about={t("create.about")}>
      <form className="two" onSubmit={(event) => void submit(event)}>
        <div className="stack loose">
          <Card title={t("create.what")}>
            <SourceField form={form} set={set} error={wrong("source")} />
            <div className="fields">
              <TextField label={t("name")} required value={form.name} hint={t("create.name.hint")} error={taken ? t("create.name.taken") : wrong("name")} onChange={(event) => set({ name: event.target.value, named: true })} />
              <TextField label={t("replicas")} type="number" min={0} max={1000} value={form.replicas} hint={t("create.replicas.hint")} error={wrong("replicas")} onChange={(event) => set({ replicas: event.target.value })} />
            </div>
            <SelectField label={t("backend")} value={form.backend} hint={t("create.backend.hint")} error={wrong("backend")} onChange={(event) => set({ backend: event.target.value as Form["backend"] })}>
              {BACKENDS.map((backend) => <option key={backend} value={backend}>{backend}</option>)}
            </SelectField>
            {form.backend !== "engine" && <ForeignFields form={form} set={set} wrong={wrong} />}
          </Card>
          <Options form={form} set={set} wrong={wrong} />
          <Placement form={form} set={set} wrong={wrong} />
          {error && !error.param && <Problem error={error} />}
          <div className="row wrap">
            <Button type="submit" look="primary" busy={busy} disabled={!form.name.trim() || !form.source.trim() || taken || verdict === "incompatible"} icon={<Rocket size={16} aria-hidden />}>{verdict === "does_not_fit" ? t("create.anyway") : t("deploy")}</Button>
            <Link className="button" href="/">{t("cancel")}</Link>
            {verdict === "does_not_fit" && <span className="small muted grow">{t("create.waits")}</span>}
          </div>
        </div>
        <EvaluationView value={evaluation.value} error={evaluation.error} busy={evaluation.busy} apply={(change, value) => set(suggested(change, value))} />
      </form>
    </PageBody>
  );
}

/** What of the form a suggestion changes; those that change something else are only read. */
function suggested(change: string, value: string): Partial<Form> {
  switch (change) {
    case "context_tokens": return { context: value };
    case "max_sequences": return { sequences: value };
    case "kv_type": return { kvType: value };
    case "device_count": return { deviceCount: value };
    case "cpu_offload": return { cpuOffload: value === "true" };
    case "backend": return { backend: value as Form["backend"] };
    default: return {};
  }
}

interface Part {
  form: Form;
  set: (part: Partial<Form>) => void;
  wrong: (field: string) => string | undefined;
}

function SourceField({ form, set, error }: { form: Form; set: Part["set"]; error: string | undefined }) {
  const models = useAll("models");
  const known = useId();
  return (
    <Field label={t("source")} hint={t("create.source.hint")} error={error}>
      {(wiring) => (
        <>
          <input
            className="input mono"
            required
            autoFocus
            spellCheck={false}
            autoComplete="off"
            list={known}
            placeholder="file:/models/model.gguf"
            value={form.source}
            onChange={(event) => set({ source: event.target.value, ...(form.named ? {} : { name: nameFor(sourceOf(event.target.value)) }) })}
            {...wiring}
          />
          <datalist id={known}>{models.map((model) => <option key={model.id} value={model.source}>{model.name}</option>)}</datalist>
        </>
      )}
    </Field>
  );
}

function ForeignFields({ form, set, wrong }: Part) {
  return (
    <>
      {form.backend === "custom" ? (
        <TextField label={t("create.command")} className="mono" value={form.command} hint={t("create.command.hint")} error={wrong("options.command")} placeholder="/usr/bin/server --model {model} --port {port}" onChange={(event) => set({ command: event.target.value })} />
      ) : (
        <TextField label={t("create.binary")} className="mono" value={form.binary} hint={t("create.binary.hint")} error={wrong("options.binary")} placeholder={`/opt/bin/${form.backend}`} onChange={(event) => set({ binary: event.target.value })} />
      )}
    </>
  );
}

function Options({ form, set, wrong }: Part) {
  return (
    <details className="card more">
      <summary className="card-head"><h2 className="grow">{t("create.options")}</h2><ChevronDown size={17} aria-hidden /></summary>
      <div className="card-body">
        <div className="fields">
          <TextField label={t("create.context")} type="number" min={1} value={form.context} placeholder={t("create.models_own")} hint={t("create.context.hint")} error={wrong("options.context_tokens")} onChange={(event) => set({ context: event.target.value })} />
          <TextField label={t("create.sequences")} type="number" min={1} value={form.sequences} placeholder={t("create.chosen")} hint={t("create.sequences.hint")} error={wrong("options.max_sequences")} onChange={(event) => set({ sequences: event.target.value })} />
          <TextField label={t("create.threads")} type="number" min={1} value={form.threads} placeholder={t("create.chosen")} error={wrong("options.threads")} onChange={(event) => set({ threads: event.target.value })} />
          <SelectField label={t("create.kv")} value={form.kvType} hint={t("create.kv.hint")} error={wrong("options.kv_type")} onChange={(event) => set({ kvType: event.target.value })}>
            <option value="">{t("create.chosen")}</option>
            {KV_TYPES[form.backend].map((type) => <option key={type}>{type}</option>)}
          </SelectField>
        </div>
        <TextField label={t("create.arguments")} className="mono" value={form.arguments} hint={t("create.arguments.hint")} error={wrong("options.extra_args")} onChange={(event) => set({ arguments: event.target.value })} />
      </div>
    </details>
  );
}

function Placement({ form, set, wrong }: Part) {
  const workers = useAll("workers");
  const devices = workers.flatMap((worker) => worker.devices);
  return (
    <details className="card more">
      <summary className="card-head"><h2 className="grow">{t("create.placement")}</h2><ChevronDown size={17} aria-hidden /></summary>
      <div className="card-body">
        <p className="muted small">{t("create.placement.about")}</p>
        <div className="fields">
          <SelectField label={t("create.strategy")} value={form.strategy} hint={form.strategy === "spread" ? t("create.spread") : t("create.binpack")} onChange={(event) => set({ strategy: event.target.value as Form["strategy"] })}>
            <option value="spread">spread</option>
            <option value="binpack">binpack</option>
          </SelectField>
          <TextField label={t("create.device_count")} type="number" min={1} value={form.deviceCount} placeholder={t("create.chosen")} hint={t("create.device_count.hint")} error={wrong("placement.device_count")} onChange={(event) => set({ deviceCount: event.target.value })} />
        </div>
        <fieldset className="stack tight">
          <legend className="legend">{t("create.devices")}</legend>
          {devices.map((device) => {
            const id = `${device.worker_name}/${device.vendor}/${device.index}`;
            return <Checkbox key={device.id} label={<span className="break">{device.name || id}</span>} hint={id} checked={form.devices.includes(id)} onChange={(on) => set({ devices: on ? [...form.devices, id] : form.devices.filter((one) => one !== id) })} />;
          })}
          {wrong("placement.devices") && <span className="small wrong-text">{wrong("placement.devices")}</span>}
        </fieldset>
        <Checkbox label={t("create.offload")} checked={form.cpuOffload} onChange={(cpuOffload) => set({ cpuOffload })} />
      </div>
    </details>
  );
}
