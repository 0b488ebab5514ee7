// A new deployment. While it is filled in the server is asked what it would take and where it would go.
import { Library, Rocket, Search } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Link, useLocation } from "wouter";
import { api, ApiError } from "../../api/client.ts";
import type { Deployment } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { asApiError } from "../../lib/fetched.ts";
import { useUrl } from "../../lib/url.ts";
import { useAll } from "../../live/store.ts";
import { Button, Card, Problem, problemText, TextField } from "../../ui/basics.tsx";
import { say } from "../../ui/overlays.tsx";
import { PageBody } from "../../ui/page.tsx";
import { EvaluationView } from "./evaluation.tsx";
import { BackendField, ForeignFields, Operation, Options, Placement, ReplicasField } from "./fields.tsx";
import { BACKENDS, deploymentOf, EMPTY, fieldsOf, type Form, nameFor, replaced, sourceOf } from "./form.ts";
import { CatalogueSearch, type Picked, PickedVariant, useCatalogued } from "./from_catalogue.tsx";
import { HubSearch } from "./hub_search.tsx";
import { suggested, useEvaluation, wrongOf } from "./judged.ts";
import { Choices, SourceInput } from "./source_input.tsx";

export default function Create() {
  const [given] = useUrl("source", "");
  const [backend] = useUrl("backend", "");
  const [form, setForm] = useState<Form>(() => ({ ...EMPTY, source: given, name: nameFor(sourceOf(given)), backend: BACKENDS.find((one) => one === backend) ?? EMPTY.backend }));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const [, go] = useLocation();
  const evaluation = useEvaluation(form);
  const deployments = useAll("deployments");
  const taken = deployments.some((one) => one.name === form.name.trim());
  const set = (part: Partial<Form>) => setForm((before) => ({ ...before, ...part }));
  const pick = (source: string) => set({ source, ...(form.named ? {} : { name: nameFor(sourceOf(source)) }) });
  const [picked, setPicked] = useState<Picked>();
  const [searching, setSearching] = useState(false);
  const take = (next: Picked) => {
    const before = picked ? fieldsOf(picked.variant, picked.source) : {};
    setPicked(next);
    setForm((now) => ({ ...now, ...replaced(now, before, fieldsOf(next.variant, next.source)), ...(now.named ? {} : { name: nameFor(next.entry.id) }) }));
  };
  const unknown = useCatalogued(form.source, take);
  const wrong = wrongOf(error, evaluation.error);
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
            <SourceInput value={form.source} hint={t("create.source.hint")} error={unknown ? problemText(unknown) : wrong("source")} onChange={pick} />
            {picked && picked.source === form.source && <PickedVariant of={picked} take={take} />}
            <Choices source={form.source} message={evaluation.error?.message ?? ""} pick={pick} />
            <details className="hub" onToggle={(event) => setSearching(event.currentTarget.open)}>
              <summary><Library size={15} aria-hidden /> {t("catalogue.pick")}</summary>
              {searching && <CatalogueSearch pick={take} />}
            </details>
            <details className="hub">
              <summary><Search size={15} aria-hidden /> {t("hub.search")}</summary>
              <HubSearch pick={pick} />
            </details>
            <div className="fields">
              <TextField label={t("name")} required value={form.name} hint={t("create.name.hint")} error={taken ? t("create.name.taken") : wrong("name")} onChange={(event) => set({ name: event.target.value, named: true })} />
              <ReplicasField form={form} set={set} wrong={wrong} />
            </div>
            <BackendField form={form} set={set} wrong={wrong} />
            {form.backend !== "engine" && <ForeignFields form={form} set={set} wrong={wrong} />}
          </Card>
          <Options form={form} set={set} wrong={wrong} />
          <Placement form={form} set={set} wrong={wrong} />
          <Operation form={form} set={set} wrong={wrong} />
          {error && !error.param && <Problem error={error} />}
          <div className="row wrap">
            <Button type="submit" look="primary" busy={busy} disabled={!form.name.trim() || !form.source.trim() || taken || verdict === "incompatible"} icon={<Rocket size={16} aria-hidden />}>{verdict === "does_not_fit" ? t("create.anyway") : t("deploy")}</Button>
            <Link className="button" href="/">{t("cancel")}</Link>
            {verdict === "does_not_fit" && <span className="small muted grow">{t("create.waits")}</span>}
          </div>
        </div>
        <EvaluationView value={evaluation.value} error={evaluation.error} busy={evaluation.busy} apply={(change, value) => (change === "source" ? pick(value) : set(suggested(change, value)))} />
      </form>
    </PageBody>
  );
}
