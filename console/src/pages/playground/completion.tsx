// A text and how a model goes on with it: no roles, no template.
import { Code2, Play, Square } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { send } from "../../api/client.ts";
import { readEvents } from "../../api/sse.ts";
import { t } from "../../i18n/index.ts";
import { Answer, type Chunk } from "../../lib/answer.ts";
import { Button, Card, CopyButton, problemText, SelectField, TextArea } from "../../ui/basics.tsx";
import { ModelOptions, useModel } from "./ask.tsx";
import { CodeDialog } from "./code_dialog.tsx";
import { useFrames } from "./frames.ts";
import { ParameterFields, requestBody } from "./parameters.tsx";
import type { Parameters } from "./setup.ts";
import { Times } from "./times.tsx";

const DEFAULTS: Parameters = { system: "", maxTokens: "64", temperature: "0.7", topP: "", seed: "" };

export function Completion({ models }: { models: string[] }) {
  const [model, choose] = useModel(models);
  const [parameters, setParameters] = useState(DEFAULTS);
  const [prompt, setPrompt] = useState(() => t("completion.example"));
  const [answer, setAnswer] = useState<{ prompt: string; got: Answer }>();
  const [code, setCode] = useState(false);
  const running = useRef<AbortController | null>(null);
  const draw = useFrames();
  const busy = running.current !== null;
  useEffect(() => () => running.current?.abort(), []);
  const body = (more: Record<string, unknown> = {}) => requestBody({ model, prompt }, parameters, more);

  async function run() {
    const got = new Answer(performance.now());
    const stop = new AbortController();
    running.current = stop;
    setAnswer({ prompt, got });
    try {
      const stream = await send("POST", "/v1/completions", body({ stream: true, stream_options: { include_usage: true } }), stop.signal);
      await readEvents(stream, (events) => {
        const now = performance.now();
        for (const event of events) if (event.data !== "[DONE]") got.take(JSON.parse(event.data) as Chunk, now);
        draw();
      });
    } catch (problem) {
      if (stop.signal.aborted) got.finish = "stopped";
      else got.fail(problemText(problem));
    }
    got.ended = true;
    running.current = null;
    draw();
  }

  return (
    <div className="two">
      <div className="stack loose">
        <Card title={t("completion.text")}>
          <TextArea label={<span className="sr">{t("completion.text")}</span>} rows={6} value={prompt} onChange={(event) => setPrompt(event.target.value)} />
          <div className="row">
            <span className="end" />
            {busy ? (
              <Button icon={<Square size={15} aria-hidden />} onClick={() => running.current?.abort()}>{t("stop")}</Button>
            ) : (
              <Button look="primary" disabled={!prompt} icon={<Play size={15} aria-hidden />} onClick={() => void run()}>{t("completion.go")}</Button>
            )}
          </div>
        </Card>
        {answer && (
          <Card title={t("completion.result")} actions={<CopyButton text={answer.prompt + answer.got.text} />}>
            <p className="completed" aria-busy={!answer.got.ended}>
              <span className="muted">{answer.prompt}</span>
              <mark>{answer.got.text}</mark>
            </p>
            {answer.got.error && <p className="wrong-text">{answer.got.error}</p>}
            {answer.got.ended && <Times sample={answer.got.sample()} finish={answer.got.finish} />}
          </Card>
        )}
      </div>
      <Card title={t("parameters")} actions={<Button look="quiet" small label={t("chat.code")} icon={<Code2 size={16} aria-hidden />} onClick={() => setCode(true)} />}>
        <SelectField label={t("model")} value={model} onChange={(event) => choose(event.target.value)}>
          <ModelOptions models={models} />
        </SelectField>
        <ParameterFields value={parameters} onChange={setParameters} system={false} />
      </Card>
      {code && <CodeDialog path="/v1/completions" body={body()} onClose={() => setCode(false)} />}
    </div>
  );
}
