// A conversation with one model: parameters beside it, tokens and times under each answer.
import { Code2, SendHorizontal, Square, Trash2 } from "lucide-react";
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from "react";
import { send } from "../../api/client.ts";
import { readEvents } from "../../api/sse.ts";
import { t } from "../../i18n/index.ts";
import { Answer, type Chunk } from "../../lib/answer.ts";
import { useUrl } from "../../lib/url.ts";
import { Button, Card, problemText, SelectField } from "../../ui/basics.tsx";
import { CodeDialog } from "./code_dialog.tsx";
import { messagesOf, NO_TOOLS, toolFields, type Turn as Asked, withoutPictures } from "./conversation.ts";
import { useFrames } from "./frames.ts";
import { CHAT_DEFAULTS, chatBody, ParameterFields } from "./parameters.tsx";
import { PictureButton, Pictures, picturesOf, useSees } from "./pictures.tsx";
import { ToolFields } from "./tools.tsx";
import { TurnView } from "./turn.tsx";

type Turn = Asked & { answer: Answer };
type Question = Omit<Asked, "answer">;

export function Chat({ models }: { models: string[] }) {
  const [chosen, setModel] = useUrl("model", "");
  const model = models.includes(chosen) ? chosen : (models[0] ?? "");
  const sees = useSees(model);
  const [parameters, setParameters] = useState(CHAT_DEFAULTS);
  const [tools, setTools] = useState(NO_TOOLS);
  const [turns, setTurns] = useState<Turn[]>([]);
  const [draft, setDraft] = useState("");
  const [images, setImages] = useState<string[]>([]);
  const [code, setCode] = useState(false);
  const running = useRef<AbortController | null>(null);
  const draw = useFrames();
  const end = useRef<HTMLDivElement>(null);
  const message = useRef<HTMLTextAreaElement>(null);
  const busy = running.current !== null;
  const given = toolFields(tools);
  useEffect(() => () => running.current?.abort(), []);
  const last = turns.at(-1)?.answer;
  const written = last ? last.text.length + last.reasoning.length + last.calls.length : 0;
  useEffect(() => {
    if (busy) end.current?.scrollIntoView({ block: "nearest" });
  }, [turns.length, written, busy]);

  async function ask(question: Question, before: Turn[]) {
    const answer = new Answer(performance.now());
    const stop = new AbortController();
    running.current = stop;
    setTurns([...before, { ...question, answer }]);
    const body = chatBody(model, messagesOf(before, question), parameters, { ...given.fields, stream: true, stream_options: { include_usage: true } });
    try {
      const stream = await send("POST", "/v1/chat/completions", body, stop.signal);
      await readEvents(stream, (events) => {
        const now = performance.now();
        for (const event of events) if (event.data !== "[DONE]") answer.take(JSON.parse(event.data) as Chunk, now);
        draw();
      });
    } catch (problem) {
      if (stop.signal.aborted) answer.finish = "stopped";
      else answer.fail(problemText(problem));
    }
    answer.ended = true;
    running.current = null;
    draw();
  }

  const sendable = draft.trim() !== "" || images.length > 0;

  function submit(event?: FormEvent) {
    event?.preventDefault();
    if (!sendable || busy || given.wrong) return;
    setDraft("");
    setImages([]);
    void ask({ question: draft.trim(), images, results: [] }, turns);
  }

  const add = (files: Iterable<File>) => void picturesOf(files, images).then(setImages);

  return (
    <div className="two">
      <section className="card chat" aria-label={t("playground.chat")}>
        <div className="chat-turns">
          {turns.length === 0 && <Starters pick={(question) => void ask({ question, images: [], results: [] }, [])} />}
          {turns.map((turn, i) => (
            <TurnView
              key={i}
              turn={turn}
              busy={busy}
              again={() => void ask(turn, turns.slice(0, i))}
              edit={() => {
                setDraft(turn.question);
                setImages(turn.images);
                setTurns(turns.slice(0, i));
                message.current?.focus();
              }}
              give={i === turns.length - 1 && !busy ? (results) => void ask({ question: "", images: [], results }, turns) : undefined}
            />
          ))}
          <div ref={end} />
        </div>
        <form className="composer" onSubmit={submit}>
          {sees && <PictureButton add={add} />}
          <div className="grow">
            <Pictures urls={images} remove={(at) => setImages(images.filter((_, i) => i !== at))} />
            <textarea
              ref={message}
              className="input"
              rows={2}
              aria-label={t("chat.message")}
              placeholder={t("chat.message")}
              value={draft}
              onChange={(event) => setDraft(event.target.value)}
              onPaste={(event) => {
                if (sees && event.clipboardData.files.length > 0) add(event.clipboardData.files);
              }}
              onKeyDown={(event: KeyboardEvent) => {
                // Enter that ends a choice of characters (Chinese, Japanese) sends nothing.
                if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
                  event.preventDefault();
                  submit();
                }
              }}
            />
          </div>
          {busy ? (
            <Button icon={<Square size={15} aria-hidden />} onClick={() => running.current?.abort()}>{t("stop")}</Button>
          ) : (
            <Button type="submit" look="primary" disabled={!sendable || given.wrong !== undefined} icon={<SendHorizontal size={16} aria-hidden />}>{t("chat.send")}</Button>
          )}
        </form>
      </section>
      <Card
        title={t("parameters")}
        actions={
          <div className="row">
            <Button look="quiet" small label={t("chat.code")} icon={<Code2 size={16} aria-hidden />} onClick={() => setCode(true)} />
            <Button look="quiet" small label={t("chat.clear")} disabled={busy || turns.length === 0} icon={<Trash2 size={16} aria-hidden />} onClick={() => setTurns([])} />
          </div>
        }
      >
        <SelectField label={t("model")} value={model} onChange={(event) => setModel(event.target.value)}>
          {models.map((name) => <option key={name}>{name}</option>)}
        </SelectField>
        <ParameterFields value={parameters} onChange={setParameters} />
        <ToolFields value={tools} onChange={setTools} />
      </Card>
      {code && <CodeDialog path="/v1/chat/completions" body={chatBody(model, withoutPictures(turns.length > 0 ? messagesOf(turns) : [{ role: "user", content: draft || t("chat.starter.1") }]), parameters, given.fields)} onClose={() => setCode(false)} />}
    </div>
  );
}

function Starters({ pick }: { pick: (question: string) => void }) {
  return (
    <div className="starters">
      <p className="muted">{t("chat.starters")}</p>
      {[t("chat.starter.1"), t("chat.starter.2"), t("chat.starter.3")].map((question) => (
        <button key={question} type="button" className="button" onClick={() => pick(question)}>{question}</button>
      ))}
    </div>
  );
}
