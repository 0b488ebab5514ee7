// A conversation with one model: parameters beside it, tokens and times under each answer.
import { Code2, Pencil, RotateCcw, SendHorizontal, Square, Trash2 } from "lucide-react";
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from "react";
import { send } from "../../api/client.ts";
import { readEvents } from "../../api/sse.ts";
import { t } from "../../i18n/index.ts";
import { Answer, type Chunk } from "../../lib/answer.ts";
import { digits, duration, rate } from "../../lib/format.ts";
import { type Sample, tpotOf, ttftOf } from "../../lib/statistics.ts";
import { useUrl } from "../../lib/url.ts";
import { Button, Card, Code, CopyButton, problemText, Segments, SelectField } from "../../ui/basics.tsx";
import { Dialog } from "../../ui/overlays.tsx";
import { curl, node, python } from "./code.ts";
import { useFrames } from "./frames.ts";
import { Markdown } from "./markdown.tsx";
import { CHAT_DEFAULTS, chatBody, type Message, ParameterFields } from "./parameters.tsx";

interface Turn {
  question: string;
  answer: Answer;
}

function messagesOf(turns: Turn[]): Message[] {
  return turns.flatMap(({ question, answer }) => [
    { role: "user" as const, content: question },
    ...(answer.text ? [{ role: "assistant" as const, content: answer.text }] : []),
  ]);
}

export function Chat({ models }: { models: string[] }) {
  const [chosen, setModel] = useUrl("model", "");
  const model = models.includes(chosen) ? chosen : (models[0] ?? "");
  const [parameters, setParameters] = useState(CHAT_DEFAULTS);
  const [turns, setTurns] = useState<Turn[]>([]);
  const [draft, setDraft] = useState("");
  const [code, setCode] = useState(false);
  const running = useRef<AbortController | null>(null);
  const draw = useFrames();
  const end = useRef<HTMLDivElement>(null);
  const busy = running.current !== null;
  useEffect(() => () => running.current?.abort(), []);
  const written = turns.at(-1)?.answer.text.length ?? 0;
  useEffect(() => {
    if (busy) end.current?.scrollIntoView({ block: "nearest" });
  }, [turns.length, written, busy]);

  async function ask(question: string, before: Turn[]) {
    const answer = new Answer(performance.now());
    const stop = new AbortController();
    running.current = stop;
    setTurns([...before, { question, answer }]);
    const body = chatBody(model, [...messagesOf(before), { role: "user", content: question }], parameters, { stream: true, stream_options: { include_usage: true } });
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

  function submit(event?: FormEvent) {
    event?.preventDefault();
    const question = draft.trim();
    if (!question || busy) return;
    setDraft("");
    void ask(question, turns);
  }

  return (
    <div className="two">
      <section className="card chat" aria-label={t("playground.chat")}>
        <div className="chat-turns">
          {turns.length === 0 && <Starters pick={(question) => void ask(question, [])} />}
          {turns.map((turn, i) => (
            <TurnView
              key={i}
              turn={turn}
              busy={busy}
              again={() => void ask(turn.question, turns.slice(0, i))}
              edit={() => {
                setDraft(turn.question);
                setTurns(turns.slice(0, i));
              }}
            />
          ))}
          <div ref={end} />
        </div>
        <form className="composer" onSubmit={submit}>
          <textarea
            className="input"
            rows={2}
            aria-label={t("chat.message")}
            placeholder={t("chat.message")}
            value={draft}
            onChange={(event) => setDraft(event.target.value)}
            onKeyDown={(event: KeyboardEvent) => {
              // Enter that ends a choice of characters (Chinese, Japanese) sends nothing.
              if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
                event.preventDefault();
                submit();
              }
            }}
          />
          {busy ? (
            <Button icon={<Square size={15} aria-hidden />} onClick={() => running.current?.abort()}>{t("stop")}</Button>
          ) : (
            <Button type="submit" look="primary" disabled={!draft.trim()} icon={<SendHorizontal size={16} aria-hidden />}>{t("chat.send")}</Button>
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
      </Card>
      {code && <CodeDialog body={chatBody(model, turns.length > 0 ? messagesOf(turns) : [{ role: "user", content: draft || t("chat.starter.1") }], parameters)} onClose={() => setCode(false)} />}
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

function TurnView({ turn: { question, answer }, busy, again, edit }: { turn: Turn; busy: boolean; again: () => void; edit: () => void }) {
  return (
    <>
      <div className="said user">
        <div className="bubble">{question}</div>
        <Button look="quiet" small label={t("chat.edit")} disabled={busy} icon={<Pencil size={14} aria-hidden />} onClick={edit} />
      </div>
      <div className="said model" aria-busy={!answer.ended}>
        {answer.reasoning && (
          <details className="reasoning" open={!answer.text}>
            <summary>{t("chat.reasoning")}</summary>
            <div className="break">{answer.reasoning}</div>
          </details>
        )}
        <Markdown text={answer.text} />
        {!answer.ended && !answer.text && !answer.reasoning && <span className="waiting" role="status"><span className="sr">{t("loading")}</span></span>}
        {answer.error && <p className="wrong-text">{answer.error}</p>}
        {answer.ended && (
          <div className="row wrap said-foot">
            <Times sample={answer.sample()} finish={answer.finish} />
            <span className="end row">
              <CopyButton text={answer.text} />
              <Button look="quiet" small label={t("chat.again")} disabled={busy} icon={<RotateCcw size={14} aria-hidden />} onClick={again} />
            </span>
          </div>
        )}
      </div>
    </>
  );
}

function Times({ sample, finish }: { sample: Sample; finish: string }) {
  const tpot = tpotOf(sample);
  const facts = [
    t("times.tokens", { prompt: sample.promptTokens, answer: sample.outputTokens }),
    `TTFT ${duration(ttftOf(sample))}`,
    Number.isFinite(tpot) ? `TPOT ${duration(tpot)}` : "",
    Number.isFinite(tpot) ? rate(1000 / tpot) : "",
    sample.server ? t("times.server", { queue: digits(sample.server.queueMs, 3), prefill: digits(sample.server.prefillMs, 3), decode: digits(sample.server.decodeMs, 3) }) : "",
    finish === "length" ? t("chat.length") : finish === "stopped" ? t("chat.stopped") : "",
  ];
  return <span className="small muted num">{facts.filter(Boolean).join(" · ")}</span>;
}

function CodeDialog({ body, onClose }: { body: Record<string, unknown>; onClose: () => void }) {
  const [kind, setKind] = useState<"curl" | "python" | "node">("curl");
  const text = { curl, python, node }[kind](location.origin, body);
  return (
    <Dialog open wide onClose={onClose} title={t("chat.code")} about={t("chat.code.about")}>
      <div><Segments label={t("chat.code")} value={kind} onChange={setKind} options={[{ value: "curl", text: "curl" }, { value: "python", text: "Python" }, { value: "node", text: "Node.js" }]} /></div>
      <Code text={text} label={kind} />
      <div className="row"><Button className="end" onClick={onClose}>{t("close")}</Button></div>
    </Dialog>
  );
}
