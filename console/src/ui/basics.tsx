// The small parts that all pages are made of.
import { Check, CircleAlert, Copy as CopyIcon, Info, LoaderCircle, TriangleAlert } from "lucide-react";
import { type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, type TextareaHTMLAttributes, useId, useState } from "react";
import { ApiError } from "../api/client.ts";
import { languageNow, t, toldError, word } from "../i18n/index.ts";
import { useNow } from "../lib/clock.ts";
import { exactTime, relative } from "../lib/format.ts";

export function classes(...names: (string | false | undefined)[]): string {
  return names.filter(Boolean).join(" ");
}

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: "primary" | "danger" | "quiet";
  small?: boolean;
  block?: boolean;
  icon?: ReactNode;
  busy?: boolean;
  /** Of a button that shows only an icon. */
  label?: string;
}

export function Button({ look, small, block, icon, busy, label, children, className, disabled, type = "button", ...rest }: ButtonProps) {
  return (
    <button
      type={type}
      className={classes("button", look, small && "small", block && "block", !children && "icon", className)}
      disabled={disabled || busy}
      aria-label={label}
      title={label}
      {...rest}
    >
      {busy ? <LoaderCircle size={16} className="spin" aria-hidden /> : icon}
      {children}
    </button>
  );
}

interface FieldProps {
  label: ReactNode;
  hint?: ReactNode;
  error?: string | undefined;
  children: (wiring: { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }) => ReactNode;
}

/** A label, what it labels, and what is wrong with it, tied together for who can't see. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const described = `${id}-about`;
  const about = error !== undefined || hint !== undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, ...(about ? { "aria-describedby": described } : {}), ...(error !== undefined ? { "aria-invalid": true } : {}) })}
      {about && (
        <span id={described} className={error !== undefined ? "wrong" : "hint"}>
          {error ?? hint}
        </span>
      )}
    </div>
  );
}

type Wired<T> = Omit<T, "id"> & { label: ReactNode; hint?: ReactNode; error?: string | undefined };

export function TextField({ label, hint, error, className, ...rest }: Wired<InputHTMLAttributes<HTMLInputElement>>) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(wiring) => <input className={classes("input", className)} autoComplete="off" spellCheck={false} {...rest} {...wiring} />}
    </Field>
  );
}

export function TextArea({ label, hint, error, className, ...rest }: Wired<TextareaHTMLAttributes<HTMLTextAreaElement>>) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(wiring) => <textarea className={classes("input", className)} {...rest} {...wiring} />}
    </Field>
  );
}

export function SelectField({ label, hint, error, children, ...rest }: Wired<SelectHTMLAttributes<HTMLSelectElement>>) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(wiring) => (
        <select className="input" {...rest} {...wiring}>
          {children}
        </select>
      )}
    </Field>
  );
}

export function Checkbox({ label, hint, checked, onChange, disabled }: { label: ReactNode; hint?: ReactNode; checked: boolean; onChange: (on: boolean) => void; disabled?: boolean }) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} disabled={disabled} onChange={(event) => onChange(event.target.checked)} />
      <span>
        {label}
        {hint && <span className="muted small"> {hint}</span>}
      </span>
    </label>
  );
}

export function Segments<T extends string | number>({ label, value, options, onChange }: { label: string; value: T; options: readonly { value: T; text: ReactNode }[]; onChange: (value: T) => void }) {
  return (
    <div className="segments" role="group" aria-label={label}>
      {options.map((option) => (
        <button key={option.value} type="button" aria-pressed={option.value === value} onClick={() => onChange(option.value)}>
          {option.text}
        </button>
      ))}
    </div>
  );
}

export function Card({ title, actions, flush, children, label }: { title?: ReactNode; actions?: ReactNode; flush?: boolean; children: ReactNode; label?: string }) {
  return (
    <section className="card" aria-label={label ?? (typeof title === "string" ? title : undefined)}>
      {(title !== undefined || actions) && (
        <div className="card-head">
          <h2 className="grow">{title}</h2>
          {actions}
        </div>
      )}
      <div className={classes("card-body", flush && "flush")}>{children}</div>
    </section>
  );
}

const STATE_LOOK: Record<string, string> = {
  running: "good", ready: "good", usable: "good", active: "good", complete: "good",
  streaming: "good", starting: "busy", downloading: "busy", scheduled: "busy", progressing: "busy",
  pending: "warn", paused: "warn", degraded: "warn", draining: "warn", stopping: "warn", waiting: "warn", queued: "warn", cordoned: "warn",
  error: "bad", unreachable: "bad", reverted: "bad", failed: "bad",
};

/** "good", "busy", "warn" or "bad": also the name of its colour. */
export function stateLook(state: string): string | undefined {
  return STATE_LOOK[state];
}

export function State({ of }: { of: string }) {
  return <span className={classes("pill", STATE_LOOK[of])}>{word("state", of)}</span>;
}

export function Note({ look, title, children }: { look?: "bad" | "warn" | "good"; title?: ReactNode; children?: ReactNode }) {
  const Icon = look === "good" ? Check : look === undefined ? Info : look === "warn" ? TriangleAlert : CircleAlert;
  return (
    <div className={classes("note", look)} role={look === "bad" ? "alert" : undefined}>
      <Icon size={17} aria-hidden />
      <div>
        {title && <strong>{title}</strong>}
        {title && children ? " " : null}
        {children}
      </div>
    </div>
  );
}

/** What the server said, and what to do. */
export function problemText(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  if (error.code === "unreachable") return t("problem.unreachable");
  const said = toldError(error.message, error.code);
  const words = said.charAt(0).toUpperCase() + said.slice(1);
  if (languageNow() === "zh") return words;
  return /[.!?]$/.test(words) ? words : `${words}.`;
}

export function Problem({ error, again }: { error: unknown; again?: () => void }) {
  const id = error instanceof ApiError ? error.requestId : "";
  return (
    <Note look="bad">
      {problemText(error)} {id && error instanceof ApiError && error.status >= 500 && <span className="muted small">{t("problem.request", { id })}</span>}
      {again && (
        <div className="row">
          <Button small onClick={again}>{t("again")}</Button>
        </div>
      )}
    </Note>
  );
}

export function Empty({ icon, title, children, actions }: { icon: ReactNode; title: ReactNode; children?: ReactNode; actions?: ReactNode }) {
  return (
    <div className="empty">
      {icon}
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {actions && <div className="row">{actions}</div>}
    </div>
  );
}

/** A time as it is said, with the exact one on hover. Kept true by a clock of the page's own, not by requests. */
export function Time({ at }: { at: string | null | undefined }) {
  const now = useNow();
  if (!at) return <span className="muted">–</span>;
  const language = languageNow();
  // The clock ticks seldom: what has just happened is not to come.
  const then = Date.parse(at);
  const latest = then <= Date.now() ? Math.max(now, then) : now;
  return (
    <time dateTime={at} title={exactTime(at, language)} className="nowrap">
      {relative(at, latest, language)}
    </time>
  );
}

export function CopyButton({ text, label, small = true }: { text: string; label?: string; small?: boolean }) {
  const [done, setDone] = useState(false);
  return (
    <Button
      small={small}
      look="quiet"
      label={label ?? t("copy")}
      icon={done ? <Check size={15} aria-hidden /> : <CopyIcon size={15} aria-hidden />}
      onClick={() => {
        void copy(text).then((copied) => {
          setDone(copied);
          setTimeout(() => setDone(false), 1500);
        });
      }}
    />
  );
}

// navigator.clipboard is there over HTTPS and on localhost only; http://IP:9090 needs the old way.
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

export function Code({ text, label }: { text: string; label: string }) {
  return (
    <div className="code">
      <pre tabIndex={0} aria-label={label}>{text}</pre>
      <CopyButton text={text} />
    </div>
  );
}

export function Loading() {
  return (
    <div className="empty" role="status">
      <LoaderCircle size={22} className="spin" aria-hidden />
      <span className="sr">{t("loading")}</span>
    </div>
  );
}
