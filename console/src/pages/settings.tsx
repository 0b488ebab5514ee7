// What this server is, how people log in, where its interfaces are; and a copy of what it knows.
import { Archive, ExternalLink } from "lucide-react";
import { useState } from "react";
import { api } from "../api/client.ts";
import type { LoginConfig, ServerInfo } from "../api/types.ts";
import { languageNow, t } from "../i18n/index.ts";
import { useFetched } from "../lib/fetched.ts";
import { bytes, exactTime } from "../lib/format.ts";
import { Button, Card, Code, Loading, Note, Problem, Time } from "../ui/basics.tsx";
import { PageBody } from "../ui/page.tsx";

interface Backup {
  path: string;
  bytes: number;
  created_at: string;
}

export default function Settings() {
  const server = useFetched((signal) => api<ServerInfo>("GET", "/api/v1/server", undefined, signal), []);
  const login = useFetched((signal) => api<LoginConfig>("GET", "/api/v1/auth/config", undefined, signal), []);
  return (
    <PageBody title={t("settings")} about={t("settings.about")}>
      {server.error && <Problem error={server.error} again={server.again} />}
      {!server.value && !server.error && <Loading />}
      {server.value && (
        <>
          <Card title={t("settings.server")}>
            <dl className="facts">
              <div><dt>{t("name")}</dt><dd>{server.value.name}</dd></div>
              <div><dt>{t("version")}</dt><dd>{server.value.version} <span className="muted mono">{server.value.commit.slice(0, 12)}</span></dd></div>
              <div><dt>{t("settings.started")}</dt><dd><Time at={server.value.started_at} /></dd></div>
              {server.value.data_dir && <div><dt>{t("settings.data")}</dt><dd className="mono">{server.value.data_dir}</dd></div>}
            </dl>
          </Card>
          <div className="two even">
            <Card title={t("settings.login")}>{login.value && <LoginFacts of={login.value} />}</Card>
            <Card title={t("settings.backup")}><BackUp /></Card>
          </div>
          <Card title={t("settings.interfaces")}>
            <dl className="facts wide">
              <Interface name={t("settings.openai")} path="/v1" about={t("settings.openai.about")} />
              <Interface name={t("settings.management")} path="/api/v1/openapi.json" about={t("settings.management.about")} link />
              <Interface name={t("settings.metrics")} path="/metrics" about={t("settings.metrics.about")} link />
            </dl>
          </Card>
        </>
      )}
    </PageBody>
  );
}

function LoginFacts({ of }: { of: LoginConfig }) {
  return (
    <>
      <dl className="facts">
        <div><dt>{t("login.password")}</dt><dd>{of.password ? t("settings.on") : t("settings.off")}</dd></div>
        <div><dt>{t("settings.oidc")}</dt><dd>{of.oidc ? of.oidc.issuer : t("settings.off")}</dd></div>
      </dl>
      <p className="small muted">{t("settings.login.about")}</p>
    </>
  );
}

function BackUp() {
  const [busy, setBusy] = useState(false);
  const [made, setMade] = useState<Backup>();
  const [error, setError] = useState<unknown>();
  async function make() {
    setBusy(true);
    setError(undefined);
    try {
      setMade(await api<Backup>("POST", "/api/v1/backups"));
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  }
  return (
    <>
      <p className="small muted">{t("settings.backup.about")}</p>
      <div><Button busy={busy} icon={<Archive size={16} aria-hidden />} onClick={() => void make()}>{t("settings.backup.make")}</Button></div>
      {error !== undefined && <Problem error={error} />}
      {made && (
        <Note look="good" title={t("settings.backup.done")}>
          <span title={exactTime(made.created_at, languageNow())}>{bytes(made.bytes)}</span>
          <Code label={t("settings.backup")} text={made.path} />
        </Note>
      )}
    </>
  );
}

function Interface({ name, path, about, link }: { name: string; path: string; about: string; link?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {link ? <a className="mono" href={path} target="_blank" rel="noreferrer">{location.origin}{path} <ExternalLink size={12} aria-hidden /></a> : <span className="mono">{location.origin}{path}</span>}
        <div className="small muted">{about}</div>
      </dd>
    </div>
  );
}
