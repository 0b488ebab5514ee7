// A deployment as it should be from now on. What instances run may change: then new ones take the place of the old, by its rollout.
import { Save } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Link, useLocation } from "wouter";
import type { ApiError } from "../../api/client.ts";
import type { Deployment } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { asApiError } from "../../lib/fetched.ts";
import { Button, Card, Note, Problem } from "../../ui/basics.tsx";
import { say } from "../../ui/overlays.tsx";
import { PageBody } from "../../ui/page.tsx";
import { edit } from "./actions.tsx";
import { EvaluationView } from "./evaluation.tsx";
import { BackendField, ForeignFields, Operation, Options, Placement, ReplicasField } from "./fields.tsx";
import { type Form, formOf, patchOf } from "./form.ts";
import { suggested, useEvaluation, wrongOf } from "./judged.ts";
import { Choices, SourceInput } from "./source_input.tsx";

// What of it only says how many run, and when: no instance is replaced for it.
const KEEPS_INSTANCES = ["replicas", "idle_timeout_seconds", "rollout"];

export function Edit({ of }: { of: Deployment }) {
  // As it was when the page was opened: an edit by somebody else meanwhile is refused by its version.
  const [before] = useState(of);
  const [form, setForm] = useState<Form>(() => formOf(before));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const [, go] = useLocation();
  const evaluation = useEvaluation(form);
  const set = (part: Partial<Form>) => setForm((now) => ({ ...now, ...part }));
  const wrong = wrongOf(error, evaluation.error);
  const patch = patchOf(form, before);
  const changes = Object.keys(patch);
  const here = `/${encodeURIComponent(of.id)}`;

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await edit(before, patch);
      say(t("edit.done", { name: of.name }));
      go(here);
    } catch (problem) {
      setError(asApiError(problem));
      setBusy(false);
    }
  }

  return (
    <PageBody title={t("edit.title", { name: of.name })} about={t("edit.about")}>
      <form className="two" onSubmit={(event) => void submit(event)}>
        <div className="stack loose">
          <Card title={t("create.what")}>
            <SourceInput value={form.source} hint={t("create.source.hint")} error={wrong("source")} onChange={(source) => set({ source })} />
            <Choices source={form.source} message={evaluation.error?.message ?? ""} pick={(source) => set({ source })} />
            <div className="fields">
              <BackendField form={form} set={set} wrong={wrong} />
              <ReplicasField form={form} set={set} wrong={wrong} />
            </div>
            {form.backend !== "engine" && <ForeignFields form={form} set={set} wrong={wrong} />}
          </Card>
          <Options form={form} set={set} wrong={wrong} />
          <Placement form={form} set={set} wrong={wrong} />
          <Operation form={form} set={set} wrong={wrong} />
          {error && !error.param && <Problem error={error} />}
          {changes.some((name) => !KEEPS_INSTANCES.includes(name)) && <Note>{form.rollout === "rolling" ? t("edit.replaces.rolling") : t("edit.replaces.recreate")}</Note>}
          <div className="row wrap">
            <Button type="submit" look="primary" busy={busy} disabled={changes.length === 0 || !form.source.trim()} icon={<Save size={16} aria-hidden />}>{t("save")}</Button>
            <Link className="button" href={here}>{t("cancel")}</Link>
          </div>
        </div>
        <EvaluationView value={evaluation.value} error={evaluation.error} busy={evaluation.busy} apply={(change, value) => set(suggested(change, value))} />
      </form>
    </PageBody>
  );
}
