// One request to one model and its answer whole: what the embeddings and the rerank page share.
import { Code2, Play } from "lucide-react";
import { type ReactNode, useState } from "react";
import { api } from "../../api/client.ts";
import { t } from "../../i18n/index.ts";
import { useUrl } from "../../lib/url.ts";
import { Button, Card, SelectField } from "../../ui/basics.tsx";
import type { Path } from "./code.ts";
import { CodeDialog } from "./code_dialog.tsx";

/** The chosen one, kept in the address; the first where that one is not there. */
export function useModel(models: string[]): [string, (model: string) => void] {
  const [chosen, choose] = useUrl("model", "");
  return [models.includes(chosen) ? chosen : (models[0] ?? ""), choose];
}

export interface Asked<Found> {
  found: Found | undefined;
  busy: boolean;
  error: unknown;
  run: () => Promise<void>;
}

/** Keeps what `ask` gave last; it is told how many milliseconds have passed by a function. */
export function useAsked<Found>(ask: (passed: () => number) => Promise<Found>): Asked<Found> {
  const [found, setFound] = useState<Found>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  async function run() {
    setBusy(true);
    setError(undefined);
    const begun = performance.now();
    try {
      setFound(await ask(() => performance.now() - begun));
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  }
  return { found, busy, error, run };
}

/** `take` makes of an answer, and the milliseconds that it took, what is shown. */
export function useAnswer<Answer, Found>(path: Path, body: Record<string, unknown>, take: (answer: Answer, ms: number) => Found): Asked<Found> {
  return useAsked(async (passed) => take(await api<Answer>("POST", path, body), passed()));
}

export function ModelOptions({ models }: { models: string[] }) {
  return models.map((name) => <option key={name}>{name}</option>);
}

interface AskCardProps {
  models: string[];
  model: string;
  choose: (model: string) => void;
  path: Path;
  body: Record<string, unknown>;
  go: string;
  asked: { busy: boolean; run: () => Promise<void> };
  disabled: boolean;
  /** What came of it. */
  children: ReactNode;
}

export function AskCard({ models, model, choose, path, body, go, asked, disabled, children }: AskCardProps) {
  const [code, setCode] = useState(false);
  return (
    <Card title={t("model")} actions={<Button look="quiet" small label={t("chat.code")} icon={<Code2 size={16} aria-hidden />} onClick={() => setCode(true)} />}>
      <SelectField label={<span className="sr">{t("model")}</span>} value={model} onChange={(event) => choose(event.target.value)}>
        <ModelOptions models={models} />
      </SelectField>
      <Button look="primary" busy={asked.busy} disabled={disabled} icon={<Play size={15} aria-hidden />} onClick={() => void asked.run()}>{go}</Button>
      {children}
      {code && <CodeDialog path={path} body={body} onClose={() => setCode(false)} />}
    </Card>
  );
}
