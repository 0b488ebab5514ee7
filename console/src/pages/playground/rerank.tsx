// Which of some texts fits a question best, by a model that ranks.
import { useState } from "react";
import { t } from "../../i18n/index.ts";
import { digits, duration } from "../../lib/format.ts";
import { Card, Problem, TextField } from "../../ui/basics.tsx";
import { AskCard, useAnswer, useModel } from "./ask.tsx";
import { Texts } from "./texts.tsx";

const MOST = 64;

interface Ranked {
  documents: string[];
  results: { index: number; relevance_score: number }[];
  tokens: number;
  ms: number;
}

export function Rerank({ models }: { models: string[] }) {
  const [model, choose] = useModel(models);
  const [query, setQuery] = useState(() => t("rerank.example.query"));
  const [texts, setTexts] = useState(() => [t("rerank.example.1"), t("rerank.example.2"), t("rerank.example.3")]);
  const documents = texts.map((text) => text.trim()).filter(Boolean);
  const body = { model, query, documents };

  const asked = useAnswer("/v1/rerank", body, (answer: { results: Ranked["results"]; usage?: { total_tokens: number } }, ms): Ranked => {
    const results = [...answer.results].sort((a, b) => b.relevance_score - a.relevance_score);
    return { documents, results, tokens: answer.usage?.total_tokens ?? 0, ms };
  });
  const found = asked.found;

  const scores = found?.results.map((one) => one.relevance_score) ?? [];
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  return (
    <>
      <div className="two">
        <Card title={t("rerank.documents")}>
          <TextField label={t("rerank.query")} value={query} onChange={(event) => setQuery(event.target.value)} />
          <Texts label={(n) => t("rerank.document_n", { n })} add={t("rerank.add")} values={texts} onChange={setTexts} least={1} most={MOST} />
          {asked.error !== undefined && <Problem error={asked.error} />}
        </Card>
        <AskCard models={models} model={model} choose={choose} path="/v1/rerank" body={body} go={t("rerank.go")} asked={asked} disabled={!query.trim() || documents.length === 0}>
          {found && (
            <dl className="facts small">
              <div><dt>{t("compare.tokens")}</dt><dd className="num">{found.tokens}</dd></div>
              <div><dt>{t("embeddings.time")}</dt><dd className="num">{duration(found.ms)}</dd></div>
            </dl>
          )}
        </AskCard>
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
    </>
  );
}
