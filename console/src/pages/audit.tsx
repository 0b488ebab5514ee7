// Who changed what.
import { Download, ScrollText } from "lucide-react";
import { useMemo, useState } from "react";
import { api } from "../api/client.ts";
import type { AuditEvent } from "../api/types.ts";
import { t, word } from "../i18n/index.ts";
import { useFetched } from "../lib/fetched.ts";
import { useUrl } from "../lib/url.ts";
import { Button, Empty, Loading, Problem, Time } from "../ui/basics.tsx";
import { PageBody } from "../ui/page.tsx";
import { type Column, Table } from "../ui/table.tsx";

const KINDS = ["", "deployment", "instance", "worker", "model", "route", "provider", "user", "key", "session", "join_token"];
const AT_ONCE = 200;

export default function Audit() {
  const [kind, setKind] = useUrl("kind", "");
  const [most, setMost] = useState(AT_ONCE);
  const events = useFetched((signal) => api<{ items: AuditEvent[]; next_cursor: string | null }>("GET", `/api/v1/audit?order=desc&limit=${Math.min(500, most)}${kind ? `&kind=${kind}` : ""}`, undefined, signal), [kind, most]);
  const columns = useMemo<Column<AuditEvent>[]>(() => [
    { key: "at", title: t("audit.when"), by: (event) => event.at, cell: (event) => <Time at={event.at} /> },
    { key: "actor", title: t("audit.who"), by: (event) => event.actor_name, cell: (event) => <span className="break">{event.actor_name || "–"}</span> },
    { key: "what", title: t("audit.what"), lead: true, by: (event) => event.action, cell: (event) => <span className="break">{word("did", event.status < 400 ? event.action : `${event.action}_failed`)} {event.object_name && event.action !== "login" && event.action !== "logout" && <strong>{event.object_name}</strong>} <span className="muted small">{event.object_kind}</span></span> },
    { key: "changes", title: t("audit.changes"), cell: (event) => <Changes of={event} /> },
    { key: "via", title: t("audit.via"), by: (event) => event.via, cell: (event) => <span className="small">{event.via}<br /><span className="muted">{event.peer}</span></span> },
    { key: "status", title: t("audit.status"), right: true, by: (event) => event.status, cell: (event) => event.status },
  ], [events.value]);
  return (
    <PageBody title={t("audit")} about={t("audit.about")} actions={<a className="button" href={`/api/v1/audit?format=csv${kind ? `&kind=${kind}` : ""}`} download="gantry-audit.csv"><Download size={16} aria-hidden />CSV</a>}>
      {events.error && <Problem error={events.error} again={events.again} />}
      {!events.value && !events.error && <Loading />}
      {events.value && (
        <Table
          label={t("audit")}
          rows={events.value.items}
          id={(event) => event.id}
          columns={columns}
          sort="-at"
          text={(event) => `${event.actor_name} ${event.object_name} ${event.object_kind} ${event.peer} ${event.changes.map((change) => change.field).join(" ")}`}
          tools={
            <>
              <select className="input" aria-label={t("audit.kind")} value={kind} onChange={(event) => setKind(event.target.value)}>
                {KINDS.map((one) => <option key={one} value={one}>{one || t("audit.all")}</option>)}
              </select>
              {events.value.next_cursor && most < 500 && <Button onClick={() => setMost(most + 300)}>{t("more")}</Button>}
              <Button look="quiet" busy={events.loading} onClick={events.again}>{t("refresh")}</Button>
            </>
          }
          empty={<Empty icon={<ScrollText size={30} aria-hidden />} title={t("audit.none")} actions={kind && <Button onClick={() => setKind("")}>{t("audit.all")}</Button>} />}
        />
      )}
    </PageBody>
  );
}

function Changes({ of }: { of: AuditEvent }) {
  if (of.changes.length === 0) return null;
  const line = (change: AuditEvent["changes"][number]) => `${change.field}: ${change.from === null ? "" : `${change.from} → `}${change.to ?? "–"}`;
  const first = of.changes.slice(0, 2).map(line).join(", ");
  if (of.changes.length <= 2) return <span className="small break">{first}</span>;
  return (
    <details className="small">
      <summary className="break">{t("audit.fields", { n: of.changes.length })}</summary>
      {of.changes.map((change) => <div key={change.field} className="break">{line(change)}</div>)}
    </details>
  );
}
