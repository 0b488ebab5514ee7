// What should run: the list, and the way to one of them or to a new one.
import { Boxes, Plus } from "lucide-react";
import { lazy, useMemo } from "react";
import { Link, Route, Switch } from "wouter";
import type { Deployment } from "../../api/types.ts";
import { languageNow, t, told } from "../../i18n/index.ts";
import { percent } from "../../lib/format.ts";
import { isAdmin, useMe } from "../../lib/session.ts";
import { transferOfInstance } from "../../lib/transfer.ts";
import { useAll, useKnown } from "../../live/store.ts";
import { Empty, Loading, State, Time } from "../../ui/basics.tsx";
import { PageBody } from "../../ui/page.tsx";
import { type Column, Table } from "../../ui/table.tsx";
import { TransferLine } from "../../ui/transfer.tsx";
import { DeploymentMenu } from "./actions.tsx";
import "./deployments.css";

const Create = lazy(() => import("./create.tsx"));
const Detail = lazy(() => import("./detail.tsx"));

export default function Deployments() {
  return (
    <Switch>
      <Route path="/" component={List} />
      <Route path="/new" component={Create} />
      <Route path="/:id/edit">{({ id }) => <Detail edit id={decodeURIComponent(id ?? "")} />}</Route>
      <Route path="/:id">{({ id }) => <Detail id={decodeURIComponent(id ?? "")} />}</Route>
    </Switch>
  );
}

export function StateLine({ of }: { of: Deployment }) {
  const { state, progress, reason } = of.status;
  const transfer = transferOfInstance({ state: "downloading", reason });
  if (transfer) {
    return (
      <div className="stack state-line">
        <div><State of="downloading" /></div>
        <TransferLine of={transfer} label={of.name} />
      </div>
    );
  }
  return (
    <div className="stack state-line">
      <div className="row"><State of={state} />{state === "starting" && <span className="small muted num">{percent(progress)}</span>}</div>
      {state === "starting" && <div className="progress" role="progressbar" aria-label={of.name} aria-valuenow={Math.round(progress * 100)}><span style={{ width: percent(progress).replace(" ", "") }} /></div>}
      {reason && <span className="small muted break">{told(reason)}</span>}
    </div>
  );
}

const textOf = (one: Deployment) => `${one.name} ${one.source} ${one.backend} ${one.status.state} ${one.status.reason}`;
const menuOf = (one: Deployment) => <DeploymentMenu of={one} />;

function List() {
  const admin = isAdmin(useMe());
  const known = useKnown();
  const deployments = useAll("deployments");
  const deploy = admin && <Link className="button primary" href="/new"><Plus size={16} aria-hidden />{t("deploy")}</Link>;
  const language = languageNow();
  const columns = useMemo((): Column<Deployment>[] => [
    { key: "name", title: t("name"), lead: true, by: (one) => one.name, cell: (one) => <Link className="break strong" href={`/${encodeURIComponent(one.id)}`}>{one.name}</Link> },
    { key: "state", title: t("state"), by: (one) => one.status.state, cell: (one) => <StateLine of={one} /> },
    { key: "replicas", title: t("replicas"), right: true, by: (one) => one.status.ready_replicas, cell: (one) => t("replicas.of", { ready: one.status.ready_replicas, wanted: one.replicas }) },
    { key: "backend", title: t("backend"), by: (one) => one.backend, cell: (one) => one.backend },
    { key: "source", title: t("source"), by: (one) => one.source, cell: (one) => <span className="source" title={one.source}>{shortSource(one.source)}</span> },
    { key: "updated", title: t("updated"), by: (one) => one.updated_at, cell: (one) => <Time at={one.updated_at} /> },
  ], [language]);
  return (
    <PageBody title={t("deployments")} about={t("deployments.about")} actions={deploy}>
      {!known ? (
        <Loading />
      ) : (
        <Table
          label={t("deployments")}
          rows={deployments}
          id={(one) => one.id}
          columns={columns}
          sort="name"
          text={textOf}
          {...(admin ? { actions: menuOf } : {})}
          empty={<Empty icon={<Boxes size={30} aria-hidden />} title={t("deployments.none")} actions={deploy}>{admin ? t("overview.first.text") : t("overview.first.user")}</Empty>}
        />
      )}
    </PageBody>
  );
}

/** "file:/a/b/model.gguf" -> "model.gguf": the whole stands on hover. */
export function shortSource(source: string): string {
  const path = source.replace(/\/+$/, "");
  return source.startsWith("file:") ? path.slice(path.lastIndexOf("/") + 1) : path;
}
