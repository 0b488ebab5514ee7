// Quotas, and the models that may be asked for: of users and of keys.
import { languageNow, t, word } from "../i18n/index.ts";
import type { Limits } from "../api/types.ts";
import { whole } from "../lib/format.ts";
import { LIMIT_NAMES, type LimitTexts } from "../lib/limits.ts";
import { useAll } from "../live/store.ts";
import { TextField } from "./basics.tsx";

export function LimitFields({ value, onChange }: { value: LimitTexts; onChange: (value: LimitTexts) => void }) {
  return (
    <fieldset className="stack tight">
      <legend className="legend">{t("limits")}</legend>
      <div className="fields wide">
        {LIMIT_NAMES.map((name) => (
          <TextField key={name} label={word("quota", name)} type="number" min={1} inputMode="numeric" value={value[name]} placeholder={t("limits.none")} onChange={(event) => onChange({ ...value, [name]: event.target.value })} />
        ))}
      </div>
    </fieldset>
  );
}

export function ModelsField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const names = [...useAll("deployments").map((one) => one.name), ...useAll("routes").map((one) => one.name)];
  return <TextField label={t("users.models")} value={value} placeholder={t("users.all_models")} hint={names.length > 0 ? t("limits.models.hint", { names: names.slice(0, 4).join(", ") }) : t("limits.models.hint.empty")} onChange={(event) => onChange(event.target.value)} />;
}

/** "60 requests/min, 2 at once" */
export function LimitsText({ of }: { of: Limits }) {
  const set = LIMIT_NAMES.filter((name) => of[name] !== null);
  if (set.length === 0) return <span className="muted">{t("limits.none")}</span>;
  return <span>{set.map((name) => `${whole(of[name] ?? 0, languageNow())} ${word("limit", name)}`).join(", ")}</span>;
}
