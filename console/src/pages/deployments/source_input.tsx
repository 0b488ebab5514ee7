// Where a model comes from, as text, with the sources that are known here to choose from.
import { useId } from "react";
import { t } from "../../i18n/index.ts";
import { useAll } from "../../live/store.ts";
import { Button, Field } from "../../ui/basics.tsx";
import { quantizationsIn, withQuantization } from "./form.ts";

interface Props {
  value: string;
  onChange: (value: string) => void;
  error?: string | undefined;
  hint?: string;
  placeholder?: string;
}

export function SourceInput({ value, onChange, error, hint, placeholder = "hf:ORG/NAME:Q4_K_M" }: Props) {
  const models = useAll("models");
  const known = useId();
  return (
    <Field label={t("source")} hint={hint} error={error}>
      {(wiring) => (
        <>
          <input
            className="input mono"
            required
            autoFocus
            spellCheck={false}
            autoComplete="off"
            list={known}
            placeholder={placeholder}
            value={value}
            onChange={(event) => onChange(event.target.value)}
            {...wiring}
          />
          <datalist id={known}>{models.map((model) => <option key={model.id} value={model.source}>{model.name}</option>)}</datalist>
        </>
      )}
    </Field>
  );
}

/** What a refusal of the source says that it could be instead. */
export function Choices({ source, message, pick }: { source: string; message: string; pick: (source: string) => void }) {
  const found = quantizationsIn(message);
  if (found.length === 0) return null;
  return (
    <div className="row wrap">
      <span className="small muted">{t("create.choose")}</span>
      {found.map((one) => <Button key={one} small onClick={() => pick(withQuantization(source, one))}>{one}</Button>)}
    </div>
  );
}
