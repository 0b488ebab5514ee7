// A question and its answer.
import { Pencil, RotateCcw } from "lucide-react";
import { t } from "../../i18n/index.ts";
import type { Answer } from "../../lib/answer.ts";
import { Button, CopyButton } from "../../ui/basics.tsx";
import type { Turn } from "./conversation.ts";
import { Markdown } from "./markdown.tsx";
import { Times } from "./times.tsx";
import { Calls } from "./tools.tsx";

interface Props {
  turn: Turn & { answer: Answer };
  busy: boolean;
  again: () => void;
  edit: () => void;
  /** Of the last answer, when it called tools. */
  give: ((results: Turn["results"]) => void) | undefined;
}

export function TurnView({ turn: { question, images, results, answer }, busy, again, edit, give }: Props) {
  return (
    <>
      {results.length > 0 ? (
        <div className="said user">
          <div className="bubble tool">{results.map((result) => <pre key={result.id}>{result.text}</pre>)}</div>
        </div>
      ) : (
        <div className="said user">
          <div className="bubble">
            {images.map((url, i) => <img key={i} src={url} alt={t("pictures.n", { n: i + 1 })} />)}
            {question}
          </div>
          <Button look="quiet" small label={t("chat.edit")} disabled={busy} icon={<Pencil size={14} aria-hidden />} onClick={edit} />
        </div>
      )}
      <div className="said model" aria-busy={!answer.ended}>
        {answer.reasoning && (
          <details className="reasoning" open={!answer.text}>
            <summary>{t("chat.reasoning")}</summary>
            <div className="break">{answer.reasoning}</div>
          </details>
        )}
        <Markdown text={answer.text} />
        {answer.calls.length > 0 && <Calls calls={answer.calls} give={answer.ended && !answer.error ? give : undefined} />}
        {!answer.ended && !answer.text && !answer.reasoning && answer.calls.length === 0 && <span className="waiting" role="status"><span className="sr">{t("loading")}</span></span>}
        {answer.error && <p className="wrong-text">{answer.error}</p>}
        {answer.ended && (
          <div className="row wrap said-foot">
            <Times sample={answer.sample()} finish={answer.finish} />
            <span className="end row">
              <CopyButton text={answer.text || answer.calls.map((call) => `${call.name} ${call.arguments}`).join("\n")} />
              <Button look="quiet" small label={t("chat.again")} disabled={busy} icon={<RotateCcw size={14} aria-hidden />} onClick={again} />
            </span>
          </div>
        )}
      </div>
    </>
  );
}
