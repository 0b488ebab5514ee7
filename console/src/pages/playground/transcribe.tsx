// What is said in a recording, written down: of a file, or of what the microphone hears.
import { Download, FileAudio } from "lucide-react";
import { useRef, useState } from "react";
import { send } from "../../api/client.ts";
import { t } from "../../i18n/index.ts";
import { bytes, duration } from "../../lib/format.ts";
import { moment } from "../../lib/media.ts";
import { save } from "../../lib/save.ts";
import { Button, Card, CopyButton, Problem, SelectField, TextField } from "../../ui/basics.tsx";
import { AskCard, useAsked, useModel } from "./ask.tsx";
import { Recorder } from "./recorder.tsx";

const PATH = "/v1/audio/transcriptions";
const FORMATS = ["text", "verbose_json", "srt", "vtt"] as const;
const LARGEST = 25 * 1024 * 1024;

interface Written {
  text: string;
  language?: string;
  seconds?: number;
  segments: { start: number; end: number; text: string }[];
  format: (typeof FORMATS)[number];
  ms: number;
}

export function Transcribe({ models }: { models: string[] }) {
  const [model, choose] = useModel(models);
  const [file, setFile] = useState<File>();
  const [language, setLanguage] = useState("");
  const [format, setFormat] = useState<Written["format"]>("text");
  const input = useRef<HTMLInputElement>(null);
  const words = { model, ...(language.trim() ? { language: language.trim() } : {}), response_format: format };
  const asked = useAsked(async (passed): Promise<Written> => {
    const form = new FormData();
    for (const [name, value] of Object.entries(words)) form.append(name, value);
    if (file) form.append("file", file, file.name);
    const answer = await send("POST", PATH, form);
    if (format !== "verbose_json") return { text: (await answer.text()).trim(), segments: [], format, ms: passed() };
    const told = (await answer.json()) as { text: string; language?: string; duration?: number; segments?: Written["segments"] };
    return { text: told.text.trim(), segments: told.segments ?? [], format, ms: passed(), ...(told.language ? { language: told.language } : {}), ...(told.duration ? { seconds: told.duration } : {}) };
  });
  const large = file !== undefined && file.size > LARGEST;
  return (
    <>
      <div className="two">
        <Card title={t("speech.transcribe")}>
          <input ref={input} type="file" accept="audio/*,video/mp4,video/webm" hidden aria-label={t("speech.file")} onChange={(event) => {
            setFile(event.target.files?.[0]);
            event.target.value = "";
          }} />
          <div className="row wrap">
            <Button icon={<FileAudio size={16} aria-hidden />} onClick={() => input.current?.click()}>{t("speech.choose")}</Button>
            <Recorder take={setFile} />
            <span className="small muted break">{file ? `${file.name} · ${bytes(file.size)}` : t("speech.no_file")}</span>
          </div>
          {large && <p className="small wrong-text">{t("speech.large")}</p>}
          <div className="fields">
            <TextField label={t("speech.language")} value={language} maxLength={12} placeholder={t("speech.language.auto")} hint={t("speech.language.hint")} onChange={(event) => setLanguage(event.target.value)} />
            <SelectField label={t("speech.result")} value={format} onChange={(event) => setFormat(event.target.value as Written["format"])}>
              <option value="text">{t("speech.result.text")}</option>
              <option value="verbose_json">{t("speech.result.times")}</option>
              <option value="srt">SRT</option>
              <option value="vtt">WebVTT</option>
            </SelectField>
          </div>
          {asked.error !== undefined && <Problem error={asked.error} />}
        </Card>
        <AskCard models={models} model={model} choose={choose} path={PATH} body={{ ...words, file: file?.name ?? "speech.mp3" }} go={t("speech.write")} asked={asked} disabled={!file || large}>
          {asked.found && (
            <dl className="facts small">
              <div><dt>{t("embeddings.time")}</dt><dd className="num">{duration(asked.found.ms)}</dd></div>
              {asked.found.language && <div><dt>{t("speech.language")}</dt><dd>{asked.found.language}</dd></div>}
              {asked.found.seconds !== undefined && <div><dt>{t("speech.length")}</dt><dd className="num">{moment(asked.found.seconds)}</dd></div>}
            </dl>
          )}
        </AskCard>
      </div>
      {asked.found && <Said of={asked.found} />}
    </>
  );
}

function Said({ of }: { of: Written }) {
  const name = `gantry-transcript.${of.format === "srt" || of.format === "vtt" ? of.format : "txt"}`;
  return (
    <Card
      title={t("speech.said")}
      actions={<><CopyButton text={of.text} /><Button small icon={<Download size={15} aria-hidden />} onClick={() => save(name, new Blob([of.text], { type: "text/plain" }))}>{t("logs.download")}</Button></>}
    >
      {of.segments.length > 0 ? (
        <ol className="segments-said">
          {of.segments.map((segment, i) => <li key={i}><span className="small muted num">{moment(segment.start)} – {moment(segment.end)}</span><span className="break">{segment.text}</span></li>)}
        </ol>
      ) : (
        <p className="completed">{of.text || t("speech.silence")}</p>
      )}
    </Card>
  );
}
