// What a model takes for near: texts as vectors, how like each is to each, and where they lie on a plane.
import { Download } from "lucide-react";
import { useState } from "react";
import { t } from "../../i18n/index.ts";
import { duration, percent } from "../../lib/format.ts";
import { save } from "../../lib/save.ts";
import { project, similarities } from "../../lib/vectors.ts";
import { Button, Card, Problem } from "../../ui/basics.tsx";
import { seriesColor } from "../../ui/memory.tsx";
import { AskCard, useAnswer, useModel } from "./ask.tsx";
import { Texts } from "./texts.tsx";

const MOST = 32;

interface Vectors {
  model: string;
  texts: string[];
  vectors: number[][];
  tokens: number;
  ms: number;
}

export function Embeddings({ models }: { models: string[] }) {
  const [model, choose] = useModel(models);
  const [texts, setTexts] = useState(() => [t("embeddings.example.1"), t("embeddings.example.2"), t("embeddings.example.3"), t("embeddings.example.4")]);
  const filled = texts.map((text) => text.trim()).filter(Boolean);
  const body = { model, input: filled };

  const asked = useAnswer("/v1/embeddings", body, (answer: { data: { index: number; embedding: number[] }[]; usage: { prompt_tokens: number } }, ms): Vectors => {
    const vectors = [...answer.data].sort((a, b) => a.index - b.index).map((one) => one.embedding);
    return { model, texts: filled, vectors, tokens: answer.usage.prompt_tokens, ms };
  });
  const found = asked.found;

  return (
    <>
      <div className="two">
        <Card title={t("embeddings.texts")}>
          <Texts label={(n) => t("embeddings.text_n", { n })} add={t("embeddings.add")} values={texts} onChange={setTexts} least={2} most={MOST} />
          {asked.error !== undefined && <Problem error={asked.error} />}
        </Card>
        <AskCard models={models} model={model} choose={choose} path="/v1/embeddings" body={body} go={t("embeddings.go")} asked={asked} disabled={filled.length < 2}>
          {found && (
            <dl className="facts small">
              <div><dt>{t("embeddings.dimensions")}</dt><dd className="num">{found.vectors[0]?.length ?? 0}</dd></div>
              <div><dt>{t("usage.prompt")}</dt><dd className="num">{found.tokens}</dd></div>
              <div><dt>{t("embeddings.time")}</dt><dd className="num">{duration(found.ms)}</dd></div>
            </dl>
          )}
        </AskCard>
      </div>
      {found && (
        <div className="two even">
          <Card
            flush
            title={t("embeddings.matrix")}
            actions={<Button small icon={<Download size={15} aria-hidden />} onClick={() => save("gantry-embeddings.json", new Blob([JSON.stringify({ model: found.model, texts: found.texts, embeddings: found.vectors })], { type: "application/json" }))}>JSON</Button>}
          >
            <Matrix of={found} />
          </Card>
          <Card title={t("embeddings.plane")}><Plane of={found} /></Card>
        </div>
      )}
    </>
  );
}

function Matrix({ of: { texts, vectors } }: { of: Vectors }) {
  const likeness = similarities(vectors);
  return (
    <div className="table-wrap" tabIndex={0} role="region" aria-label={t("embeddings.matrix")}>
      <table className="matrix num">
        <thead>
          <tr>
            <th><span className="sr">{t("embeddings.texts")}</span></th>
            {texts.map((text, i) => <th key={i} scope="col" title={text}>{i + 1}</th>)}
          </tr>
        </thead>
        <tbody>
          {likeness.map((row, i) => (
            <tr key={i}>
              <th scope="row" title={texts[i]}><span className="row"><span>{i + 1}</span><span className="clip">{texts[i]}</span></span></th>
              {row.map((value, k) => (
                <td key={k} style={{ background: `color-mix(in srgb, var(--series-1) ${Math.round(Math.max(0, value) * 55)}%, transparent)` }} title={`${i + 1} · ${k + 1}`}>{value.toFixed(2)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const [WIDTH, HEIGHT, EDGE] = [420, 300, 28];

function Plane({ of: { texts, vectors } }: { of: Vectors }) {
  const { points, kept } = project(vectors);
  const range = (at: 0 | 1) => {
    const values = points.map((point) => point[at]);
    return { low: Math.min(...values), size: Math.max(...values) - Math.min(...values) };
  };
  // One scale for both, so that near is near in every direction.
  const [x, y] = [range(0), range(1)];
  const scale = Math.min((WIDTH - 2 * EDGE) / (x.size || 1), (HEIGHT - 2 * EDGE) / (y.size || 1));
  const at = (value: number, { low, size }: { low: number; size: number }, whole: number) => whole / 2 + (value - low - size / 2) * scale;
  return (
    <>
      <svg className="plane" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={t("embeddings.plane.label")}>
        {points.map(([px, py], i) => (
          <g key={i} transform={`translate(${at(px, x, WIDTH)} ${at(py, y, HEIGHT)})`}>
            <title>{texts[i]}</title>
            <circle r="11" style={{ fill: `var(${seriesColor(i)})` }} />
            <text>{i + 1}</text>
          </g>
        ))}
      </svg>
      <ol className="plane-list small">
        {texts.map((text, i) => <li key={i} className="row"><span className="swatch" style={{ background: `var(${seriesColor(i)})` }} aria-hidden /><span className="num muted">{i + 1}</span><span className="clip" title={text}>{text}</span></li>)}
      </ol>
      <p className="small muted">{t("embeddings.kept", { share: percent(kept) })}</p>
    </>
  );
}
