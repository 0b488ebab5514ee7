// Pictures by what they should show, from a model that draws.
import { Download } from "lucide-react";
import { useState } from "react";
import { api } from "../../api/client.ts";
import { t } from "../../i18n/index.ts";
import { duration } from "../../lib/format.ts";
import { bytesOf, pictureType, webUrl } from "../../lib/media.ts";
import { save } from "../../lib/save.ts";
import { Button, Card, Field, Problem, TextArea, TextField } from "../../ui/basics.tsx";
import { AskCard, useAsked, useModel } from "./ask.tsx";

const PATH = "/v1/images/generations";
const SIZES = ["256x256", "512x512", "768x768", "1024x1024", "1024x1536", "1536x1024"];
const ROUNDS_KEPT = 8;

interface Drawn {
  number: number;
  prompt: string;
  model: string;
  ms: number;
  pictures: { b64_json?: string; url?: string; revised_prompt?: string }[];
}

export function Image({ models }: { models: string[] }) {
  const [model, choose] = useModel(models);
  const [prompt, setPrompt] = useState(() => t("image.example"));
  const [size, setSize] = useState("512x512");
  const [count, setCount] = useState("1");
  const [seed, setSeed] = useState("");
  const [rounds, setRounds] = useState<Drawn[]>([]);
  const body = { model, prompt: prompt.trim(), n: Number(count) || 1, ...(size.trim() ? { size: size.trim() } : {}), ...(seed.trim() ? { seed: Number(seed) } : {}), response_format: "b64_json" };
  const asked = useAsked(async (passed) => {
    const { data } = await api<{ data: Drawn["pictures"] }>("POST", PATH, body);
    setRounds((before) => [{ number: (before[0]?.number ?? 0) + 1, prompt: body.prompt, model, ms: passed(), pictures: data }, ...before].slice(0, ROUNDS_KEPT));
  });
  return (
    <>
      <div className="two">
        <Card title={t("image.what")}>
          <TextArea label={t("compare.prompt")} rows={4} value={prompt} onChange={(event) => setPrompt(event.target.value)} />
          <div className="fields">
            <Field label={t("image.size")} hint={t("image.size.hint")}>
              {(wiring) => (
                <>
                  <input className="input" list={`${wiring.id}-sizes`} value={size} placeholder={t("parameters.models")} onChange={(event) => setSize(event.target.value)} {...wiring} />
                  <datalist id={`${wiring.id}-sizes`}>{SIZES.map((one) => <option key={one} value={one} />)}</datalist>
                </>
              )}
            </Field>
            <TextField label={t("image.count")} type="number" min={1} max={10} value={count} onChange={(event) => setCount(event.target.value)} />
            <TextField label={t("parameters.seed")} type="number" value={seed} placeholder={t("parameters.random")} onChange={(event) => setSeed(event.target.value)} />
          </div>
          {asked.error !== undefined && <Problem error={asked.error} />}
        </Card>
        <AskCard models={models} model={model} choose={choose} path={PATH} body={body} go={t("image.go")} asked={asked} disabled={!prompt.trim()}>
          {asked.busy && <p className="small muted" role="status">{t("image.waits")}</p>}
        </AskCard>
      </div>
      {rounds.map((round) => <Round key={round.number} of={round} />)}
    </>
  );
}

function Round({ of: { number, prompt, model, ms, pictures } }: { of: Drawn }) {
  return (
    <Card title={t("image.round", { n: number })} actions={<span className="small muted num">{model} · {duration(ms)}</span>}>
      <p className="muted break">{prompt}</p>
      <ul className="drawn">
        {pictures.map((picture, i) => <li key={i}><Picture of={picture} name={`gantry-${number}-${i + 1}`} prompt={prompt} /></li>)}
      </ul>
    </Card>
  );
}

function Picture({ of: { b64_json, url, revised_prompt }, name, prompt }: { of: Drawn["pictures"][number]; name: string; prompt: string }) {
  const type = pictureType(b64_json ?? "");
  const link = webUrl(url);
  if (!b64_json) return link ? <a className="break" href={link} target="_blank" rel="noreferrer noopener">{t("image.elsewhere")}</a> : <p className="wrong-text">{t("image.nothing")}</p>;
  const file = `${name}.${type.split("/")[1]}`;
  return (
    <figure className="stack tight">
      <img src={`data:${type};base64,${b64_json}`} alt={revised_prompt || prompt} />
      <figcaption className="row">
        {revised_prompt && <span className="small muted break">{revised_prompt}</span>}
        <Button small className="end" icon={<Download size={15} aria-hidden />} label={t("image.save", { name: file })} onClick={() => save(file, new Blob([bytesOf(b64_json)], { type }))} />
      </figcaption>
    </figure>
  );
}
