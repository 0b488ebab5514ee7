// Which of some texts fits a question best, by a model that ranks.
import { Code2, Play } from "lucide-react";
import { useState } from "react";
import { api } from "../../api/client.ts";
import { t } from "../../i18n/index.ts";
import { digits, duration } from "../../lib/format.ts";
import { useUrl } from "../../lib/url.ts";
import { Button, Card, Problem, SelectField, TextField } from "../../ui/basics.tsx";
import { CodeDialog } from "./code_dialog.tsx";
import { Texts } from "./texts.tsx";

const MOST = 64;

interface Ranked {
  documents: string[];
  results: { index: number; relevance_score: number }[];
  tokens: number;
  ms: number;
}

export function Rerank({ models }: { models: string[] }) {
  const [chosen, setModel] = useUrl("model", "");
  const model = models.includes(chosen) ? chosen : (models[0] ?? "");
  const [query, setQuery] = useState(() => t("rerank.example.query"));
  const [texts, setTexts] = useState(() => [t("rerank.example.1"), t("rerank.example.2"), t("rerank.example.3")]);
  const [found, setFound] = useState<Ranked>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [code, setCode] = useState(false);
  const documents = texts.map((text) => text.trim()).filter(Boolean);
  const body = { model, query, documents };

  async function run() {
    setBusy(true);
    setError(undefined);
    const begun = performance.now();
    try {
      const answer = await api<{ results: Ranked["results"]; usage?: { total_tokens: number } }>("POST", "/v1/rerank", body);
      setFound({ documents, results: [...answer.results].sort((a, b) => b.relevance_score - a.relevance_score), tokens: answer.usage?.total_tokens ?? 0, ms: performance.now() - begun });
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  }

  const scores = found?.results.map((one) => one.relevance_score) ?? [];
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  return (
    <>
      <div className="two">
        <Card title={t("rerank.documents")}>
          <TextField label={t("rerank.query")} value={query} onChange={(event) => setQuery(event.target.value)} />
          <Texts label={(n) => t("rerank.document_n", { n })} add={t("rerank.add")} values={texts} onChange={setTexts} least={1} most={MOST} />
          {error !== undefined && <Problem error={error} />}
        </Card>
        <Card title={t("model")} actions={<Button look="quiet" small label={t("chat.code")} icon={<Code2 size={16} aria-hidden />} onClick={() => setCode(true)} />}>
          <SelectField label={<span className="sr">{t("model")}</span>} value={model} onChange={(event) => setModel(event.target.value)}>
            {models.map((name) => <option key={name}>{name}</option>)}
          </SelectField>
          <Button look="primary" busy={busy} disabled={!query.trim() || documents.length === 0} icon={<Play size={15} aria-hidden />} onClick={() => void run()}>{t("rerank.go")}</Button>
          {found && (
            <dl className="facts small">
              <div><dt>{t("compare.tokens")}</dt><dd className="num">{found.tokens}</dd></div>
              <div><dt>{t("embeddings.time")}</dt><dd className="num">{duration(found.ms)}</dd></div>
            </dl>
          )}
        </Card>
      </div>
      {found && (
        <Card flush title={t("rerank.order")}>
          <ol className="ranking">
            {found.results.map(({ index, relevance_score }, place) => (
              <li key={index}>
                <strong className="num">{place + 1}</strong>
                <div className="grow">
                  <div className="row spread"><span className="break">{found.documents[index]}</span><span className="num nowrap muted" title={String(relevance_score)}>{digits(relevance_score, 3)}</span></div>
                  <div className="bar" aria-hidden><span style={{ width: `${high > low ? 4 + ((relevance_score - low) / (high - low)) * 96 : 100}%`, background: "var(--series-1)" }} /></div>
                </div>
              </li>
            ))}
          </ol>
          <p className="table-foot">{t("rerank.scores")}</p>
        </Card>
      )}
      {code && <CodeDialog path="/v1/rerank" body={body} onClose={() => setCode(false)} />}
    </>
  );
}
