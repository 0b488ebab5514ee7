// One deployment: its state and why, its instances with their logs, what it was made of, what happened to it.
import { Boxes, Pencil } from "lucide-react";
import { useMemo } from "react";
import { Link } from "wouter";
import { api, list } from "../../api/client.ts";
import type { AuditEvent, Deployment, Revision } from "../../api/types.ts";
import { languageNow, t, told, word } from "../../i18n/index.ts";
import { useFetched } from "../../lib/fetched.ts";
import { whole } from "../../lib/format.ts";
import { isAdmin, useMe } from "../../lib/session.ts";
import { transferOfInstance } from "../../lib/transfer.ts";
import { useAll, useKnown, useMap } from "../../live/store.ts";
import { Button, Card, Empty, Loading, Note, Problem, State, Time } from "../../ui/basics.tsx";
import { attempt } from "../../ui/overlays.tsx";
import { PageBody } from "../../ui/page.tsx";
import { DeploymentMenu, StopStart } from "./actions.tsx";
import { Edit } from "./edit.tsx";
import { Instances } from "./instances.tsx";
import { LiveFigures } from "./live_figures.tsx";

export default function Detail({ id, edit }: { id: string; edit?: boolean }) {
  const admin = isAdmin(useMe());
  const known = useKnown();
  const map = useMap("deployments");
  const deployment = useMemo(() => map.get(id) ?? [...map.values()].find((one) => one.name === id), [map, id]);
  const all = useAll("instances");
  const instances = useMemo(() => all.filter((one) => one.deployment_id === deployment?.id).sort((a, b) => a.index - b.index || a.created_at.localeCompare(b.created_at)), [all, deployment?.id]);
  if (!known) return <Loading />;
  if (!deployment) {
    return (
      <div className="page">
        <Empty icon={<Boxes size={30} aria-hidden />} title={t("deployment.gone")} actions={<Link className="button" href="/">{t("deployments")}</Link>}>{t("deployment.gone.text")}</Empty>
      </div>
    );
  }
  if (edit && admin) return <Edit key={deployment.id} of={deployment} />;
  const { status } = deployment;
  return (
    <PageBody
      title={deployment.name}
      about={<span className="row wrap"><State of={status.state} /><span>{t("replicas.of", { ready: status.ready_replicas, wanted: deployment.replicas })}</span>{status.rollout.state !== "complete" && status.rollout.state !== "stopped" && <span>· {t("rollout")}: {word("state", status.rollout.state)}</span>}</span>}
      actions={
        <>
          {status.ready_replicas > 0 && <Link className="button" href={`~/playground?model=${encodeURIComponent(deployment.name)}`}>{t("deployment.try")}</Link>}
          {admin && <Link className="button" href={`/${encodeURIComponent(deployment.id)}/edit`}><Pencil size={16} aria-hidden />{t("edit")}</Link>}
          {admin && <StopStart of={deployment} />}
          {admin && <DeploymentMenu of={deployment} leave brief />}
        </>
      }
    >
      {status.reason && !transferOfInstance({ state: "downloading", reason: status.reason }) && <Note {...(status.state === "error" || status.state === "degraded" ? { look: "bad" as const } : {})}>{told(status.reason)}</Note>}
      <Instances instances={instances} admin={admin} />
      {deployment.backend !== "custom" && !deployment.stopped && <LiveFigures of={deployment} instances={instances} />}
      <Card title={t("deployment.wanted")}><Wanted of={deployment} /></Card>
      {admin && <Revisions of={deployment} />}
      {admin && <Events of={deployment} />}
    </PageBody>
  );
}

function Wanted({ of: { source, backend, options, placement, rollout, generation, created_at, updated_at } }: { of: Deployment }) {
  const chosen = t("create.chosen");
  const facts: [string, React.ReactNode][] = [
    [t("source"), <span key="s" className="mono">{source}</span>],
    [t("backend"), backend],
    [t("create.context"), options.context_tokens > 0 ? t("tokens", { n: whole(options.context_tokens, languageNow()) }) : t("create.models_own")],
    [t("create.sequences"), options.max_sequences > 0 ? options.max_sequences : chosen],
    [t("create.threads"), options.threads > 0 ? options.threads : chosen],
    [t("create.strategy"), placement.strategy],
    [t("overview.memory"), placement.devices.length > 0 ? placement.devices.join(", ") : placement.device_count > 0 ? placement.device_count : chosen],
    [t("rollout"), rollout.strategy],
    [t("revision"), generation],
    [t("created"), <Time key="c" at={created_at} />],
    [t("updated"), <Time key="u" at={updated_at} />],
    ...(options.extra_args.length > 0 ? [[t("create.arguments"), <span key="a" className="mono">{options.extra_args.join(" ")}</span>] as [string, React.ReactNode]] : []),
  ];
  return <dl className="facts">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

function Revisions({ of }: { of: Deployment }) {
  const path = `/api/v1/deployments/${encodeURIComponent(of.id)}`;
  const revisions = useFetched((signal) => list<Revision>(`${path}/revisions`, signal), [of.id, of.generation, of.version]);
  if (!revisions.value || revisions.value.length < 2) return null;
  return (
    <Card flush title={t("revisions")}>
      <ul className="lines">
        {revisions.value.map((one) => (
          <li key={one.revision}>
            <strong className="num">{one.revision}</strong>
            <span className="grow small break"><span className="mono">{one.source}</span> · {one.backend} · <Time at={one.created_at} /></span>
            {one.wanted ? <span className="tag">{t("revisions.now")}</span> : <Button small onClick={() => attempt(api("POST", `${path}/rollback`, { revision: one.revision }), t("revisions.going_back", { n: one.revision }))}>{t("revisions.back")}</Button>}
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Events({ of }: { of: Deployment }) {
  const events = useFetched((signal) => api<{ items: AuditEvent[] }>("GET", `/api/v1/audit?kind=deployment&object=${encodeURIComponent(of.id)}&order=desc&limit=20`, undefined, signal), [of.id, of.version]);
  return (
    <Card flush title={t("events")}>
      {events.error && <div className="pad"><Problem error={events.error} again={events.again} /></div>}
      {events.value?.items.length === 0 && <p className="muted pad">{t("events.none")}</p>}
      <ul className="lines">
        {events.value?.items.map((event) => (
          <li key={event.id} className="event">
            <span className="small muted event-time"><Time at={event.at} /></span>
            <span className="grow break">
              <strong>{event.actor_name}</strong> {word("did", event.action)}{" "}
              {event.action === "update" && <span className="small muted">{event.changes.map((change) => `${change.field}: ${change.from ?? "–"} → ${change.to ?? "–"}`).join(", ")}</span>}
            </span>
            <span className="small muted">{event.via}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
