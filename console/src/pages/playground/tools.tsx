// Tools that a model may call: what they are, what it called, and what is given back to it.
import { Wrench } from "lucide-react";
import { type FormEvent, useState } from "react";
import { t } from "../../i18n/index.ts";
import type { ToolCall } from "../../lib/answer.ts";
import { Button, SelectField, TextArea } from "../../ui/basics.tsx";
import { EXAMPLE_TOOL, toolFields, type Tools } from "./conversation.ts";

export function ToolFields({ value, onChange }: { value: Tools; onChange: (value: Tools) => void }) {
  const { wrong } = toolFields(value);
  return (
    <details className="tool-fields">
      <summary><Wrench size={14} aria-hidden /> {t("tools")}</summary>
      <div className="stack tight">
        <TextArea
          label={t("tools.definition")}
          className="mono"
          rows={value.text ? 9 : 3}
          spellCheck={false}
          value={value.text}
          placeholder='[{"type": "function", "function": {…}}]'
          error={wrong === "json" ? t("tools.no_json") : wrong === "shape" ? t("tools.no_tools") : undefined}
          onChange={(event) => onChange({ ...value, text: event.target.value })}
        />
        <div className="row wrap">
          {value.text.trim() === "" && <Button small onClick={() => onChange({ ...value, text: EXAMPLE_TOOL })}>{t("tools.example")}</Button>}
        </div>
        {value.text.trim() !== "" && (
          <SelectField label={t("tools.choice")} value={value.choice} onChange={(event) => onChange({ ...value, choice: event.target.value as Tools["choice"] })}>
            <option value="auto">{t("tools.auto")}</option>
            <option value="required">{t("tools.required")}</option>
            <option value="none">{t("tools.none")}</option>
          </SelectField>
        )}
      </div>
    </details>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // not whole yet, or not JSON
  }
}

/** The calls of an answer; `give` for those that wait for what the tools give. */
export function Calls({ calls, give }: { calls: ToolCall[]; give: ((results: { id: string; text: string }[]) => void) | undefined }) {
  const [texts, setTexts] = useState<string[]>([]);
  function submit(event: FormEvent) {
    event.preventDefault();
    give?.(calls.map((call, i) => ({ id: call.id, text: texts[i] ?? "" })));
  }
  return (
    <form className="stack tight" onSubmit={submit}>
      {calls.map((call, i) => (
        <section key={i} className="call" aria-label={t("tools.call_of", { name: call.name })}>
          <div className="row small"><Wrench size={14} aria-hidden /><strong className="mono">{call.name}</strong></div>
          <pre>{pretty(call.arguments)}</pre>
          {give && (
            <TextArea label={t("tools.result_of", { name: call.name })} rows={2} className="mono" value={texts[i] ?? ""} onChange={(event) => setTexts(calls.map((_, k) => (k === i ? event.target.value : (texts[k] ?? ""))))} />
          )}
        </section>
      ))}
      {give && <div><Button type="submit" small look="primary">{t("tools.give")}</Button></div>}
    </form>
  );
}
