// The door: name and password, or the provider of logins where one is set up; and the password that must be changed first.
import { LogIn, ServerOff } from "lucide-react";
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { api, ApiError } from "../api/client.ts";
import type { LoginConfig } from "../api/types.ts";
import iconUrl from "../icon.svg";
import { languageNow, setLanguage, t } from "../i18n/index.ts";
import { changePassword, login, logout, useMe } from "../lib/session.ts";
import { setTheme, type Theme, themeNow } from "../lib/theme.ts";
import { Button, Card, Note, Problem, TextField } from "../ui/basics.tsx";
import { attempt } from "../ui/toasts.tsx";
import { NO_PASSWORDS, PasswordFields, passwordsReady } from "./password_fields.tsx";

function Door({ children, label }: { children: ReactNode; label: string }) {
  return (
    <main className="door">
      <div className="door-box">
        <div className="brand"><img src={iconUrl} alt="" />Gantry</div>
        <Card label={label}>{children}</Card>
        <DoorPreferences />
      </div>
    </main>
  );
}

// Of the browser's own kind: what is shown first waits for no library.
function DoorPreferences() {
  const [theme, set] = useState(themeNow);
  return (
    <div className="door-foot">
      <select className="input" aria-label={t("language")} value={languageNow()} onChange={(event) => attempt(setLanguage(event.target.value === "zh" ? "zh" : "en"))}>
        <option value="en">English</option>
        <option value="zh">中文</option>
      </select>
      <select
        className="input"
        aria-label={t("theme")}
        value={theme}
        onChange={(event) => {
          const next = event.target.value as Theme;
          setTheme(next);
          set(next);
        }}
      >
        <option value="system">{t("theme.system")}</option>
        <option value="light">{t("theme.light")}</option>
        <option value="dark">{t("theme.dark")}</option>
      </select>
    </div>
  );
}

export function Login() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [config, setConfig] = useState<LoginConfig>();
  useEffect(() => {
    document.title = `${t("login")} · Gantry`;
    api<LoginConfig>("GET", "/api/v1/auth/config").then(setConfig, () => setConfig(undefined));
  }, []);
  async function go(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await login(name, password);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  const next = location.pathname === "/login" ? "/" : location.pathname + location.search;
  return (
    <Door label={t("login")}>
      <h1>{t("login")}</h1>
      <form className="stack" onSubmit={(event) => void go(event)}>
        <TextField label={t("login.name")} name="name" value={name} autoComplete="username" autoFocus required onChange={(event) => setName(event.target.value)} />
        <TextField label={t("login.password")} name="password" type="password" value={password} autoComplete="current-password" required onChange={(event) => setPassword(event.target.value)} />
        {error !== undefined && <Problem error={error} />}
        <Button type="submit" look="primary" block busy={busy} icon={<LogIn size={16} aria-hidden />}>{t("login")}</Button>
      </form>
      {config?.oidc && (
        <>
          <a className="button block" href={`${oidcUrl(config)}?next=${encodeURIComponent(next)}`}>{t("login.oidc")}</a>
          <p className="small muted break">{t("login.oidc.where", { issuer: oidcIssuer(config) })}</p>
        </>
      )}
      <p className="small muted">{t("login.first")} <code className="break">initial_admin_password</code></p>
    </Door>
  );
}

function oidcUrl(config: LoginConfig): string {
  return String((config.oidc as { login_url?: string } | null)?.login_url ?? "");
}
function oidcIssuer(config: LoginConfig): string {
  return String((config.oidc as { issuer?: string } | null)?.issuer ?? "");
}

export function ChangePassword({ forced }: { forced: boolean }) {
  const me = useMe();
  const [value, setValue] = useState(NO_PASSWORDS);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  async function go(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    try {
      await changePassword(value.current, value.next);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  return (
    <Door label={t("password.change")}>
      <div className="stack tight">
        <h1>{t("password.choose")}</h1>
        {forced && <p className="muted">{t("password.forced", { name: me.name })}</p>}
      </div>
      <form className="stack" onSubmit={(event) => void go(event)}>
        <input type="text" name="username" autoComplete="username" value={me.name} readOnly hidden />
        <PasswordFields value={value} onChange={setValue} />
        {error !== undefined && <Problem error={error} />}
        <Button type="submit" look="primary" block busy={busy} disabled={!passwordsReady(value)}>{t("password.save")}</Button>
        <Button look="quiet" block onClick={() => attempt(logout())}>{t("logout")}</Button>
      </form>
    </Door>
  );
}

export function Unreachable({ error, again }: { error: Error; again: () => void }) {
  return (
    <Door label={t("problem.title")}>
      <div className="row"><ServerOff size={20} aria-hidden /><h1>{t("problem.title")}</h1></div>
      {error instanceof ApiError ? <Problem error={error} /> : <Note look="bad">{error.message}</Note>}
      <Button onClick={again}>{t("again")}</Button>
    </Door>
  );
}
