// What is asked for besides the prompt.
import type { ReactNode } from "react";
import { t } from "../../i18n/index.ts";
import { TextArea, TextField } from "../../ui/basics.tsx";
import type { Own, Parameters } from "./setup.ts";

export const CHAT_DEFAULTS: Parameters = { system: "", maxTokens: "", temperature: "0.7", topP: "", seed: "" };

export type Content = string | ({ type: "text"; text: string } | { type: "image_url"; image_url: { url: string } })[];
export interface Message {
  role: "system" | "user" | "assistant" | "tool";
  content: Content | null;
  tool_calls?: { id: string; type: "function"; function: { name: string; arguments: string } }[];
  tool_call_id?: string;
}

function numberOr(text: string): number | undefined {
  const value = Number(text);
  return text.trim() === "" || !Number.isFinite(value) ? undefined : value;
}

/** `base` with the parameters that are filled in, but for the system prompt. */
export function requestBody(base: Record<string, unknown>, parameters: Parameters, more: Record<string, unknown> = {}): Record<string, unknown> {
  const wanted = { max_tokens: numberOr(parameters.maxTokens), temperature: numberOr(parameters.temperature), top_p: numberOr(parameters.topP), seed: numberOr(parameters.seed) };
  return { ...base, ...Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined)), ...more };
}

/** The body of a request to /v1/chat/completions. */
export function chatBody(model: string, messages: Message[], parameters: Parameters, more: Record<string, unknown> = {}): Record<string, unknown> {
  const said: Message[] = parameters.system.trim() ? [{ role: "system", content: parameters.system }, ...messages] : messages;
  return requestBody({ model, messages: said }, parameters, more);
}

/** What a panel has of its own: an empty field is the shared one, which it shows. */
export function OwnFields({ value, shared, onChange }: { value: Own; shared: Parameters; onChange: (value: Own) => void }) {
  const set = (part: Own) => onChange({ ...value, ...part });
  return (
    <div className="own-fields">
      <TextArea label={t("parameters.system")} rows={1} value={value.system ?? ""} placeholder={shared.system || t("parameters.system.none")} onChange={(event) => set({ system: event.target.value })} />
      <div className="fields">
        <TextField label={t("parameters.max_tokens")} type="number" min={1} inputMode="numeric" value={value.maxTokens ?? ""} placeholder={shared.maxTokens || t("parameters.to_the_end")} onChange={(event) => set({ maxTokens: event.target.value })} />
        <TextField label={t("parameters.temperature")} type="number" min={0} max={2} step={0.1} inputMode="decimal" value={value.temperature ?? ""} placeholder={shared.temperature || t("parameters.models")} onChange={(event) => set({ temperature: event.target.value })} />
        <TextField label={t("parameters.top_p")} type="number" min={0} max={1} step={0.05} inputMode="decimal" value={value.topP ?? ""} placeholder={shared.topP || "1"} onChange={(event) => set({ topP: event.target.value })} />
      </div>
    </div>
  );
}

interface Props {
  value: Parameters;
  onChange: (value: Parameters) => void;
  seed?: boolean;
  system?: boolean;
  /** Fields of the caller's own, before the others. */
  children?: ReactNode;
}

export function ParameterFields({ value, onChange, seed = true, system = true, children }: Props) {
  const set = (part: Partial<Parameters>) => onChange({ ...value, ...part });
  return (
    <>
      {system && <TextArea label={t("parameters.system")} rows={2} value={value.system} placeholder={t("parameters.system.example")} onChange={(event) => set({ system: event.target.value })} />}
      <div className="fields">
        {children}
        <TextField label={t("parameters.max_tokens")} type="number" min={1} inputMode="numeric" value={value.maxTokens} placeholder={t("parameters.to_the_end")} onChange={(event) => set({ maxTokens: event.target.value })} />
        <TextField label={t("parameters.temperature")} type="number" min={0} max={2} step={0.1} inputMode="decimal" value={value.temperature} placeholder={t("parameters.models")} onChange={(event) => set({ temperature: event.target.value })} />
        <TextField label={t("parameters.top_p")} type="number" min={0} max={1} step={0.05} inputMode="decimal" value={value.topP} placeholder="1" onChange={(event) => set({ topP: event.target.value })} />
        {seed && <TextField label={t("parameters.seed")} type="number" inputMode="numeric" value={value.seed} placeholder={t("parameters.random")} onChange={(event) => set({ seed: event.target.value })} />}
      </div>
    </>
  );
}
