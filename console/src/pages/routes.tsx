// Public names that stand for several models.
import { Plus, Split, Trash2 } from "lucide-react";
import { useState } from "react";
import { api } from "../api/client.ts";
import type { Route } from "../api/types.ts";
import { t } from "../i18n/index.ts";
import { percent } from "../lib/format.ts";
import { useAll, useKnown } from "../live/store.ts";
import { Button, Empty, Loading, SelectField, State, TextField } from "../ui/basics.tsx";
import { attempt, Confirm, FormDialog, say } from "../ui/overlays.tsx";
import { PageBody } from "../ui/page.tsx";
import { type Column, Table } from "../ui/table.tsx";

const pathOf = (route: Route) => `/api/v1/routes/${encodeURIComponent(route.id)}`;

export default function Routes() {
  const known = useKnown();
  const routes = useAll("routes");
  const [making, setMaking] = useState<Route | "new">();
  const [deleting, setDeleting] = useState<Route>();
  const make = <Button look="primary" icon={<Plus size={16} aria-hidden />} onClick={() => setMaking("new")}>{t("routes.make")}</Button>;
  const columns: Column<Route>[] = [
    { key: "name", title: t("name"), lead: true, by: (route) => route.name, cell: (route) => <strong className="break">{route.name}</strong> },
    { key: "targets", title: t("routes.targets"), cell: (route) => <Targets of={route} /> },
    { key: "fallback", title: t("routes.fallback"), by: (route) => route.fallback ?? "", cell: (route) => <span className="break">{route.fallback ?? "–"}</span> },
    { key: "state", title: t("state"), by: (route) => String(route.disabled), cell: (route) => <State of={route.disabled ? "disabled" : "active"} /> },
  ];
  return (
    <PageBody title={t("routes")} about={t("routes.about")} actions={make}>
      {!known ? <Loading /> : (
        <Table
          label={t("routes")}
          rows={routes}
          id={(route) => route.id}
          columns={columns}
          sort="name"
          text={(route) => `${route.name} ${route.targets.map((target) => target.model).join(" ")}`}
          actions={(route) => (
            <span className="row end">
              <Button small look="quiet" onClick={() => setMaking(route)}>{t("edit")}</Button>
              <Button small look="quiet" onClick={() => attempt(api("PATCH", pathOf(route), { disabled: !route.disabled, version: route.version }))}>{route.disabled ? t("enable") : t("disable")}</Button>
              <Button small look="quiet" label={t("delete.of", { name: route.name })} icon={<Trash2 size={15} aria-hidden />} onClick={() => setDeleting(route)} />
            </span>
          )}
          empty={<Empty icon={<Split size={30} aria-hidden />} title={t("routes.none")} actions={make}>{t("routes.none.text")}</Empty>}
        />
      )}
      {making && <Edit route={making === "new" ? undefined : making} onClose={() => setMaking(undefined)} />}
      {deleting && (
        <Confirm title={t("routes.delete")} about={t("routes.delete.about")} name={deleting.name} action={t("delete")} onClose={() => setDeleting(undefined)} submit={async () => {
          await api("DELETE", pathOf(deleting));
          say(t("deleted", { name: deleting.name }));
        }} />
      )}
    </PageBody>
  );
}

function Targets({ of }: { of: Route }) {
  const all = of.targets.reduce((sum, target) => sum + target.weight, 0);
  return <span className="row wrap">{of.targets.map((target) => <span key={target.model} className="tag">{target.model} · {percent(all > 0 ? target.weight / all : 0)}</span>)}</span>;
}

interface Target {
  model: string;
  weight: string;
}

function Edit({ route, onClose }: { route: Route | undefined; onClose: () => void }) {
  const names = useAll("deployments").map((one) => one.name).sort();
  const [name, setName] = useState(route?.name ?? "");
  const [targets, setTargets] = useState<Target[]>(route?.targets.map((one) => ({ model: one.model, weight: String(one.weight) })) ?? [{ model: names[0] ?? "", weight: "1" }]);
  const [fallback, setFallback] = useState(route?.fallback ?? "");
  const set = (i: number, part: Partial<Target>) => setTargets(targets.map((one, k) => (k === i ? { ...one, ...part } : one)));
  async function submit() {
    const fields = { targets: targets.map((one) => ({ model: one.model, weight: Number(one.weight) })), fallback: fallback || null };
    if (route) await api("PATCH", pathOf(route), { ...fields, version: route.version });
    else await api("POST", "/api/v1/routes", { name, ...fields });
  }
  return (
    <FormDialog title={route ? route.name : t("routes.make")} about={t("routes.edit.about")} action={t("save")} ready={name.trim() !== "" && targets.every((one) => one.model !== "")} submit={submit} onClose={onClose}>
      {!route && <TextField label={t("name")} autoFocus required value={name} placeholder="chat" onChange={(event) => setName(event.target.value)} />}
      {targets.map((target, i) => (
        <div key={i} className="fields">
          <TextField label={t("model")} list="route-models" value={target.model} onChange={(event) => set(i, { model: event.target.value })} />
          <TextField label={t("routes.weight")} type="number" min={0} value={target.weight} onChange={(event) => set(i, { weight: event.target.value })} />
        </div>
      ))}
      <datalist id="route-models">{names.map((one) => <option key={one}>{one}</option>)}</datalist>
      <div className="row">
        <Button small icon={<Plus size={14} aria-hidden />} onClick={() => setTargets([...targets, { model: "", weight: "1" }])}>{t("routes.add_target")}</Button>
        {targets.length > 1 && <Button small look="quiet" onClick={() => setTargets(targets.slice(0, -1))}>{t("routes.drop_target")}</Button>}
      </div>
      <SelectField label={t("routes.fallback")} hint={t("routes.fallback.hint")} value={fallback} onChange={(event) => setFallback(event.target.value)}>
        <option value="">–</option>
        {[...new Set([...names, ...(fallback ? [fallback] : [])])].map((one) => <option key={one}>{one}</option>)}
      </SelectField>
    </FormDialog>
  );
}
