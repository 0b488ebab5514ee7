// A text read out by a model, to listen to and to keep.
import { Download } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { send } from "../../api/client.ts";
import { t } from "../../i18n/index.ts";
import { bytes, duration } from "../../lib/format.ts";
import { save } from "../../lib/save.ts";
import { Button, Card, Field, Problem, SelectField, TextArea, TextField } from "../../ui/basics.tsx";
import { AskCard, useAsked, useModel } from "./ask.tsx";

const PATH = "/v1/audio/speech";
const VOICES = ["alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer"];
const FORMATS = ["mp3", "wav", "flac", "opus", "aac", "pcm"] as const;
const TEXT_MOST = 4096;

interface Spoken {
  sound: Blob;
  format: string;
  ms: number;
}

export function Speak({ models }: { models: string[] }) {
  const [model, choose] = useModel(models);
  const [text, setText] = useState(() => t("speech.example"));
  const [voice, setVoice] = useState("alloy");
  const [format, setFormat] = useState<(typeof FORMATS)[number]>("mp3");
  const [speed, setSpeed] = useState("1");
  const body = { model, input: text.trim(), voice: voice.trim(), response_format: format, ...(Number(speed) > 0 && Number(speed) !== 1 ? { speed: Number(speed) } : {}) };
  const asked = useAsked(async (passed): Promise<Spoken> => {
    const answer = await send("POST", PATH, body);
    return { sound: await answer.blob(), format, ms: passed() };
  });
  return (
    <div className="two">
      <Card title={t("speech.speak")}>
        <TextArea label={t("speech.text")} rows={5} maxLength={TEXT_MOST} value={text} onChange={(event) => setText(event.target.value)} />
        <div className="fields">
          <Field label={t("speech.voice")} hint={t("speech.voice.hint")}>
            {(wiring) => (
              <>
                <input className="input" list={`${wiring.id}-voices`} value={voice} onChange={(event) => setVoice(event.target.value)} {...wiring} />
                <datalist id={`${wiring.id}-voices`}>{VOICES.map((one) => <option key={one} value={one} />)}</datalist>
              </>
            )}
          </Field>
          <SelectField label={t("speech.format")} value={format} onChange={(event) => setFormat(event.target.value as typeof format)}>
            {FORMATS.map((one) => <option key={one}>{one}</option>)}
          </SelectField>
          <TextField label={t("speech.speed")} type="number" min={0.25} max={4} step={0.05} value={speed} onChange={(event) => setSpeed(event.target.value)} />
        </div>
        {asked.error !== undefined && <Problem error={asked.error} />}
        {asked.found && <Sound of={asked.found} />}
      </Card>
      <AskCard models={models} model={model} choose={choose} path={PATH} body={body} go={t("speech.go")} asked={asked} disabled={!text.trim() || !voice.trim()}>
        {asked.found && (
          <dl className="facts small">
            <div><dt>{t("embeddings.time")}</dt><dd className="num">{duration(asked.found.ms)}</dd></div>
            <div><dt>{t("files.size")}</dt><dd className="num">{bytes(asked.found.sound.size)}</dd></div>
          </dl>
        )}
      </AskCard>
    </div>
  );
}

function Sound({ of: { sound, format } }: { of: Spoken }) {
  const url = useMemo(() => URL.createObjectURL(sound), [sound]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return (
    <div className="row wrap sound">
      {format === "pcm" ? <span className="small muted grow">{t("speech.pcm")}</span> : <audio controls src={url} aria-label={t("speech.sound")} />}
      <Button icon={<Download size={15} aria-hidden />} onClick={() => save(`gantry-speech.${format}`, sound)}>{t("logs.download")}</Button>
    </div>
  );
}
