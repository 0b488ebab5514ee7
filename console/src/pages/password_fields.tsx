// The fields of a change of password, at the door and in the dialog.
import { t } from "../i18n/index.ts";
import { TextField } from "../ui/basics.tsx";

const PASSWORD_LEAST = 8;

export interface Passwords {
  current: string;
  next: string;
  again: string;
}
export const NO_PASSWORDS: Passwords = { current: "", next: "", again: "" };

export function passwordsReady({ current, next, again }: Passwords): boolean {
  return current !== "" && next.length >= PASSWORD_LEAST && next === again;
}

export function PasswordFields({ value, onChange }: { value: Passwords; onChange: (value: Passwords) => void }) {
  const short = value.next !== "" && value.next.length < PASSWORD_LEAST;
  const differ = value.again !== "" && value.again !== value.next;
  const set = (part: Partial<Passwords>) => onChange({ ...value, ...part });
  return (
    <>
      <TextField label={t("password.current")} name="current" type="password" autoComplete="current-password" autoFocus value={value.current} onChange={(event) => set({ current: event.target.value })} />
      <TextField label={t("password.new")} name="new" type="password" autoComplete="new-password" value={value.next} hint={t("password.least", { n: PASSWORD_LEAST })} error={short ? t("password.least", { n: PASSWORD_LEAST }) : undefined} onChange={(event) => set({ next: event.target.value })} />
      <TextField label={t("password.again")} name="again" type="password" autoComplete="new-password" value={value.again} error={differ ? t("password.differ") : undefined} onChange={(event) => set({ again: event.target.value })} />
    </>
  );
}
