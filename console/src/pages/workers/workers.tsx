// The machines and what they bring; and the line that makes another machine one of them.
import { ChartLine, Cpu, Ellipsis, HardDrive, Plus, Thermometer } from "lucide-react";
import { lazy, Suspense, useMemo, useState } from "react";
import { api } from "../../api/client.ts";
import type { Device, Instance, Worker } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { bytes, percent } from "../../lib/format.ts";
import { memoryOf } from "../../lib/memory.ts";
import { byText } from "../../lib/order.ts";
import { useUrl, useUrlWithout } from "../../lib/url.ts";
import { useAll, useKnown } from "../../live/store.ts";
import { Button, Card, Empty, Loading, Note, State, TextField, Time } from "../../ui/basics.tsx";
import { MemoryBar, MemoryLegend, OTHERS, seriesColor } from "../../ui/memory.tsx";
import { attempt, Confirm, FormDialog, Menu, say } from "../../ui/overlays.tsx";
import { PageBody } from "../../ui/page.tsx";
import { AddWorker } from "./add_worker.tsx";
import { Course } from "./course.tsx";
import "./workers.css";

const History = lazy(() => import("./history.tsx"));

export default function Workers() {
  const known = useKnown();
  const workers = useAll("workers");
  const instances = useAll("instances");
  const [filter, setFilter] = useUrl("q", "");
  const [adding, setAdding] = useState(false);
  const wanted = filter.trim().toLowerCase();
  const shown = useMemo(
    () => workers.filter((worker) => textOf(worker).includes(wanted)).sort((a, b) => byText(a.name, b.name)),
    [workers, wanted],
  );
  const add = <Button look="primary" icon={<Plus size={16} aria-hidden />} onClick={() => setAdding(true)}>{t("workers.add")}</Button>;
  return (
    <PageBody title={t("workers")} about={t("workers.about")} actions={add}>
      {!known && <Loading />}
      {known && workers.length === 0 && <section className="card"><Empty icon={<HardDrive size={30} aria-hidden />} title={t("workers.none")} actions={add}>{t("workers.none.text")}</Empty></section>}
      {workers.length > 3 && <div className="search"><input className="input" type="search" aria-label={t("filter")} placeholder={t("filter")} value={filter} onChange={(event) => setFilter(event.target.value)} /></div>}
      {known && workers.length > 0 && shown.length === 0 && (
        <div className="row"><span className="muted">{t("filter.none", { filter })}</span><Button small onClick={() => setFilter("")}>{t("filter.clear")}</Button></div>
      )}
      {shown.map((worker) => <WorkerCard key={worker.id} worker={worker} instances={instances} />)}
      {adding && <AddWorker onClose={() => setAdding(false)} />}
    </PageBody>
  );
}

function textOf(worker: Worker): string {
  const labels = Object.entries(worker.labels).map(([name, value]) => `${name}=${value}`);
  return [worker.name, worker.address, worker.state, ...labels, ...worker.devices.map((device) => `${device.vendor} ${device.name}`)].join(" ").toLowerCase();
}

function WorkerCard({ worker, instances }: { worker: Worker; instances: Instance[] }) {
  const here = instances.filter((one) => one.worker_id === worker.id);
  const running = here.filter((one) => one.state === "running").length;
  const state = worker.state === "ready" && worker.cordoned ? "cordoned" : worker.state;
  const [looked, look] = useUrl("history", "");
  const close = useUrlWithout("history", "range");
  const open = looked === worker.name;
  return (
    <Card
      label={worker.name}
      title={<span className="row wrap"><span className="break">{worker.name}</span><State of={state} /></span>}
      actions={
        <>
          {worker.state !== "pending" && <Button small look="quiet" icon={<ChartLine size={16} aria-hidden />} aria-expanded={open} onClick={() => (open ? close() : look(worker.name))}>{t("history")}</Button>}
          <WorkerMenu worker={worker} running={here.length} />
        </>
      }
    >
      {worker.state === "unreachable" && <Note look="bad" title={t("workers.unreachable")}>{t("workers.unreachable.text")}</Note>}
      {worker.state === "pending" && <Note look="warn">{t("workers.pending.text")}</Note>}
      <dl className="facts">
        <div><dt>{t("workers.instances")}</dt><dd className="num">{t("workers.running", { n: running })}</dd></div>
        <div><dt>{t("workers.address")}</dt><dd>{worker.address || "–"}</dd></div>
        <div><dt>{t("workers.system")}</dt><dd>{[worker.os, worker.arch].filter(Boolean).join(", ") || "–"}</dd></div>
        <div><dt>{t("version")}</dt><dd>{worker.gantry_version || "–"}</dd></div>
        <div><dt>{t("workers.heard")}</dt><dd><Time at={worker.last_report_at} /></dd></div>
        {Object.keys(worker.labels).length > 0 && (
          <div><dt>{t("workers.labels")}</dt><dd className="row wrap">{Object.entries(worker.labels).map(([name, value]) => <span key={name} className="tag" title={`${name}=${value}`}>{name}={value}</span>)}</dd></div>
        )}
      </dl>
      {open && <Suspense fallback={<div className="skeleton" />}><History key={worker.id} worker={worker} /></Suspense>}
      <div className="devices">
        {worker.devices.map((device) => <DeviceBox key={device.id} device={device} instances={here} />)}
      </div>
      {worker.device_notes.length > 0 && (
        <details className="small muted">
          <summary>{t("workers.notes", { n: worker.device_notes.length })}</summary>
          <ul className="notes">{worker.device_notes.map((note) => <li key={note} className="break">{note}</li>)}</ul>
        </details>
      )}
    </Card>
  );
}

function DeviceBox({ device, instances }: { device: Device; instances: Instance[] }) {
  const memory = memoryOf(device, instances);
  const parts = memory.holders.map((holder, i) => ({ name: holder.instance.deployment_name, bytes: holder.bytes, color: seriesColor(i) }));
  const others = memory.used - memory.booked;
  if (others > memory.total * 0.005) parts.push({ name: t("memory.others"), bytes: others, color: OTHERS });
  const name = device.name || `${device.vendor}/${device.index}`;
  return (
    <section className="device" aria-label={name}>
      <div className="row spread">
        <strong className="row clip"><Cpu size={16} aria-hidden /><span className="clip">{name}</span></strong>
        <span className="tag">{device.vendor}/{device.index}</span>
      </div>
      {device.problem && <Note look="bad">{device.problem}</Note>}
      <MemoryBar label={name} total={memory.total} parts={parts} />
      <MemoryLegend parts={parts} total={memory.total} />
      <div className="row wrap small muted">
        <span className="num">{t("devices.memory", { used: bytes(memory.used), total: bytes(memory.total) })}</span>
        <span className="num">· {t("devices.load", { load: percent(device.utilization) })}</span>
        {device.cores > 0 && <span className="num">· {t("devices.cores", { n: device.cores })}</span>}
        {device.temperature_celsius !== null && <span className="row num">· <Thermometer size={13} aria-hidden />{device.temperature_celsius} °C</span>}
        {device.driver_version && <span>· {t("devices.driver", { version: device.driver_version })}</span>}
      </div>
      <Course of={device} />
      {device.details && <p className="small muted break">{device.details}</p>}
      <Topology of={device} />
      {device.processes.length > 0 && (
        <details className="small">
          <summary>{t("devices.processes", { n: device.processes.length })}</summary>
          <ul className="notes">
            {device.processes.map((process) => <li key={process.pid} className="row spread"><span className="break">{process.name} <span className="muted">pid {process.pid}</span></span><span className="num nowrap">{bytes(process.memory_bytes)}</span></li>)}
          </ul>
        </details>
      )}
    </section>
  );
}

/** Where it sits in its machine, and what it is linked to by what. */
function Topology({ of }: { of: Device }) {
  const kinds = [...new Set(of.links.map((link) => link.kind))];
  const facts = [
    of.partition ? t("devices.partition", { of: of.partition }) : "",
    of.numa_node === null ? "" : `NUMA ${of.numa_node}`,
    of.bus_address,
    ...kinds.map((kind) => t("devices.links", { kind, to: of.links.filter((link) => link.kind === kind).map((link) => `${of.vendor}/${link.to}`).join(", ") })),
  ].filter(Boolean);
  const nodes = of.numa_nodes.map((node) => [
    node.core_count === null ? "" : node.core_count > 0 ? t("devices.node.cores", { list: node.cores }) : t("devices.node.no_cores"),
    node.memory_total_bytes === null ? "" : bytes(node.memory_total_bytes),
    node.memory_free_bytes === null ? "" : t("devices.node.free", { bytes: bytes(node.memory_free_bytes) }),
    node.distances.length > 0 ? t("devices.node.distances", { list: node.distances.join(" ") }) : "",
  ].filter(Boolean).join(", "));
  return (
    <>
      {facts.length > 0 && <p className="small muted break num">{facts.join(" · ")}</p>}
      {nodes.map((text, i) => <p key={of.numa_nodes[i]!.node} className="small muted break num">NUMA {of.numa_nodes[i]!.node}: {text}</p>)}
    </>
  );
}

function WorkerMenu({ worker, running }: { worker: Worker; running: number }) {
  const [asked, setAsked] = useState<"drain" | "labels" | "delete">();
  const path = `/api/v1/workers/${encodeURIComponent(worker.id)}`;
  const change = (fields: Record<string, unknown>) => api("PATCH", path, { ...fields, version: worker.version });
  const close = () => setAsked(undefined);
  return (
    <>
      <Menu
        trigger={<Button look="quiet" label={t("actions.of", { name: worker.name })} icon={<Ellipsis size={18} aria-hidden />} />}
        entries={[
          worker.cordoned
            ? { text: t("workers.uncordon"), run: () => attempt(change({ cordoned: false }), t("workers.uncordoned", { name: worker.name })) }
            : { text: t("workers.cordon"), run: () => attempt(change({ cordoned: true }), t("workers.cordoned", { name: worker.name })) },
          { text: t("workers.drain"), run: () => setAsked("drain") },
          { text: t("workers.labels.edit"), run: () => setAsked("labels") },
          null,
          { text: t("delete"), danger: true, disabled: worker.state !== "unreachable" && worker.state !== "pending", run: () => setAsked("delete") },
        ]}
      />
      {asked === "drain" && <Confirm title={t("workers.drain.title", { name: worker.name })} about={t("workers.drain.about", { n: running })} action={t("workers.drain")} onClose={close} submit={async () => void (await change({ drain_seconds: 300 }))} />}
      {asked === "labels" && <Labels worker={worker} change={change} onClose={close} />}
      {asked === "delete" && (
        <Confirm title={t("workers.delete")} about={t("workers.delete.about")} name={worker.name} action={t("delete")} onClose={close} submit={async () => {
          await api("DELETE", path);
          say(t("deleted", { name: worker.name }));
        }} />
      )}
    </>
  );
}

function Labels({ worker, change, onClose }: { worker: Worker; change: (fields: Record<string, unknown>) => Promise<unknown>; onClose: () => void }) {
  const [text, setText] = useState(Object.entries(worker.labels).map(([name, value]) => `${name}=${value}`).join(", "));
  const labels = Object.fromEntries(text.split(",").map((one) => one.trim()).filter(Boolean).map((one) => {
    const at = one.indexOf("=");
    return at < 0 ? [one, ""] : [one.slice(0, at), one.slice(at + 1)];
  }));
  return (
    <FormDialog title={t("workers.labels.edit")} about={t("workers.labels.about")} action={t("save")} onClose={onClose} submit={async () => void (await change({ labels }))}>
      <TextField label={t("workers.labels")} autoFocus value={text} placeholder="rack=a, gpu=910b" onChange={(event) => setText(event.target.value)} />
    </FormDialog>
  );
}
