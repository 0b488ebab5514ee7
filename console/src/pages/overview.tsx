// What runs, what is wrong and what to do next; who holds the devices' memory; what the last day used.
import { ArrowRight, Boxes, CircleAlert, CircleCheck, Plus, TriangleAlert } from "lucide-react";
import { lazy, Suspense, useMemo } from "react";
import { Link } from "wouter";
import { list } from "../api/client.ts";
import type { Deployment, Device, Instance, UsageSummary } from "../api/types.ts";
import { languageNow, t, told, word } from "../i18n/index.ts";
import { useFetched } from "../lib/fetched.ts";
import { bytes, duration, percent, rate, short, whole } from "../lib/format.ts";
import { memoryOf } from "../lib/memory.ts";
import { type Concern, concernsOf } from "../lib/outlook.ts";
import { byText } from "../lib/order.ts";
import { isAdmin, useMe } from "../lib/session.ts";
import { useUrl } from "../lib/url.ts";
import { grouped, steps, sumOf } from "../lib/usage.ts";
import { useAll, useKnown } from "../live/store.ts";
import { Card, Empty, Loading, Problem, Segments, State } from "../ui/basics.tsx";
import { MemoryBar, MemoryLegend, OTHERS, seriesColor } from "../ui/memory.tsx";
import { PageBody } from "../ui/page.tsx";
import "./overview.css";

const Chart = lazy(() => import("../ui/chart.tsx"));
const HOUR = 3_600_000;
const HOURS = 24;

export function Overview() {
  const me = useMe();
  const known = useKnown();
  const deployments = useAll("deployments");
  const instances = useAll("instances");
  const workers = useAll("workers");
  const devices = useMemo(() => workers.flatMap((worker) => worker.devices), [workers]);
  const concerns = useMemo(() => concernsOf(deployments, workers, devices), [deployments, workers, devices]);
  const usage = useFetched((signal) => list<UsageSummary>(`/api/v1/usage/summary?bucket=hour&group_by=model,user,key&from=${new Date(Date.now() - HOURS * HOUR).toISOString()}`, signal), []);
  const [over, setOver] = useUrl("over", "tokens");
  const shown = OVER_TIME.find((one) => one === over) ?? "tokens";
  if (!known) return <Loading />;
  return (
    <PageBody
      title={t("overview")}
      actions={isAdmin(me) && <Link className="button primary" href="~/deployments/new"><Plus size={16} aria-hidden />{t("deploy")}</Link>}
    >
      {deployments.length === 0 ? <First admin={isAdmin(me)} /> : <Concerns concerns={concerns} />}
      <Figures deployments={deployments} instances={instances} devices={devices} usage={usage.value} />
      <div className="overview-columns">
        <div className="stack loose">
          {deployments.length > 0 && <Running deployments={deployments} />}
          <Card title={t("overview.day")} actions={<Segments label={t("overview.day")} value={shown} onChange={setOver} options={OVER_TIME.map((value) => ({ value, text: word("overview.over", value) }))} />}>
            {usage.error ? <Problem error={usage.error} again={usage.again} /> : usage.value ? <Day rows={usage.value} over={shown} /> : <div className="skeleton" />}
          </Card>
        </div>
        <div className="stack loose">
          <Card title={t("overview.memory")} actions={isAdmin(me) && <Link href="~/workers" className="small">{t("overview.all")}</Link>}>
            {devices.length === 0 && <p className="muted">{t("overview.no_devices")}</p>}
            {devices.map((device) => <DeviceMemory key={device.id} device={device} instances={instances} />)}
          </Card>
          {usage.value && usage.value.length > 0 && <Top rows={usage.value} admin={isAdmin(me)} />}
        </div>
      </div>
    </PageBody>
  );
}

function First({ admin }: { admin: boolean }) {
  return (
    <section className="card">
      <Empty
        icon={<Boxes size={30} aria-hidden />}
        title={t("overview.first.title")}
        actions={admin && <Link className="button primary" href="~/deployments/new"><Plus size={16} aria-hidden />{t("deploy")}</Link>}
      >
        {admin ? t("overview.first.text") : t("overview.first.user")}
      </Empty>
    </section>
  );
}

function Concerns({ concerns }: { concerns: Concern[] }) {
  if (concerns.length === 0) {
    return (
      <div className="note good" role="status">
        <CircleCheck size={17} aria-hidden />
        <div><strong>{t("overview.well")}</strong></div>
      </div>
    );
  }
  return (
    <section className="card" aria-label={t("overview.concerns")}>
      <div className="card-head"><h2>{t("overview.concerns")}</h2></div>
      <ul className="concerns">
        {concerns.map((concern) => (
          <li key={`${concern.what}/${concern.name}`} className={concern.grave ? "grave" : ""}>
            {concern.grave ? <CircleAlert size={17} aria-hidden /> : <TriangleAlert size={17} aria-hidden />}
            <div className="grow break">
              <strong>{concern.name}</strong> {word("concern", concern.what)}
              {concern.reason && <div className="muted">{told(concern.reason)}</div>}
              <div className="small muted">{word("concern.next", concern.what)}</div>
            </div>
            <Link className="button small" href={`~${concern.href}`}>{t("look")}<ArrowRight size={14} aria-hidden /></Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Figures({ deployments, instances, devices, usage }: { deployments: Deployment[]; instances: Instance[]; devices: Device[]; usage: UsageSummary[] | undefined }) {
  const running = deployments.filter((one) => one.status.state === "running").length;
  const wanted = deployments.filter((one) => !one.stopped).length;
  const booked = devices.reduce((sum, device) => sum + memoryOf(device, instances).booked, 0);
  const total = devices.reduce((sum, device) => sum + device.memory_total_bytes, 0);
  const used = usage ? sumOf(usage) : undefined;
  return (
    <div className="grid narrow">
      <Link className="stat" href="~/deployments">
        <span className="label">{t("overview.running")}</span>
        <span className="value">{running} <small>/ {wanted}</small></span>
        <span className="note-line small muted">{t("overview.instances", { n: instances.filter((one) => one.state === "running").length })}</span>
      </Link>
      <div className="stat">
        <span className="label">{t("overview.booked")}</span>
        <span className="value">{total > 0 ? percent(booked / total) : "–"}</span>
        <span className="small muted">{t("overview.booked_of", { booked: bytes(booked), total: bytes(total) })}</span>
      </div>
      <Link className="stat" href="~/usage">
        <span className="label">{t("overview.requests")}</span>
        <span className="value">{used ? short(used.requests) : "–"}</span>
        <span className="small muted">{used && used.failed > 0 ? t("overview.failed", { n: whole(used.failed, languageNow()) }) : t("overview.last_day")}</span>
      </Link>
      <Link className="stat" href="~/usage">
        <span className="label">{t("overview.tokens")}</span>
        <span className="value">{used ? short(used.completionTokens) : "–"}</span>
        <span className="small muted">{used ? t("overview.prompt", { n: short(used.promptTokens) }) : t("overview.last_day")}</span>
      </Link>
      <div className="stat">
        <span className="label">{t("overview.ttft")}</span>
        <span className="value">{used && Number.isFinite(used.ttftMs) ? duration(used.ttftMs) : "–"}</span>
        <span className="small muted">{t("overview.last_day")}</span>
      </div>
    </div>
  );
}

function Running({ deployments }: { deployments: Deployment[] }) {
  const shown = [...deployments].sort((a, b) => Number(a.stopped) - Number(b.stopped) || byText(a.name, b.name)).slice(0, 8);
  return (
    <Card flush title={t("deployments")} actions={<Link href="~/deployments" className="small">{t("overview.all")}</Link>}>
      <ul className="lines">
        {shown.map((one) => (
          <li key={one.id}>
            <Link href={`~/deployments/${encodeURIComponent(one.id)}`} className="clip grow">{one.name}</Link>
            <span className="small muted num">{one.status.ready_replicas} / {one.replicas}</span>
            <State of={one.status.state} />
          </li>
        ))}
      </ul>
    </Card>
  );
}

const OVER_TIME = ["tokens", "requests", "ttft", "throughput"] as const;
type Over = (typeof OVER_TIME)[number];

function Day({ rows, over }: { rows: UsageSummary[]; over: Over }) {
  const language = languageNow();
  const chart = useMemo(() => {
    const now = Date.now();
    const { at, used } = steps(rows, now - HOURS * HOUR, now, HOUR);
    const count = (value: number) => short(value);
    const series = {
      tokens: [
        { name: t("usage.completion"), values: used.map((one) => one.completionTokens), show: count },
        { name: t("usage.prompt"), values: used.map((one) => one.promptTokens), show: count },
      ],
      requests: [
        { name: t("overview.answered"), values: used.map((one) => one.requests - one.failed), show: count },
        { name: t("usage.failed"), values: used.map((one) => one.failed), show: count },
      ],
      ttft: [{ name: t("overview.ttft"), values: used.map((one) => (Number.isFinite(one.ttftMs) ? one.ttftMs : 0)), show: duration }],
      throughput: [{ name: t("overview.throughput"), values: used.map((one) => (Number.isFinite(one.tokensPerSecond) ? one.tokensPerSecond : 0)), show: rate }],
    };
    return { at, series: series[over] };
  }, [rows, over, language]);
  if (rows.length === 0) return <p className="muted">{t("overview.nothing_used")} <Link href="~/playground">{t("overview.try")}</Link></p>;
  return (
    <Suspense fallback={<div className="skeleton" />}>
      <Chart label={t("overview.day.label", { what: word("overview.over", over) })} step={HOUR} {...chart} />
    </Suspense>
  );
}

function DeviceMemory({ device, instances }: { device: Device; instances: Instance[] }) {
  const memory = memoryOf(device, instances);
  const parts = memory.holders.slice(0, 6).map((holder, i) => ({ name: holder.instance.deployment_name, bytes: holder.bytes, color: seriesColor(i) }));
  const others = memory.used - parts.reduce((sum, part) => sum + part.bytes, 0);
  if (others > memory.total * 0.005) parts.push({ name: t("memory.others"), bytes: others, color: OTHERS });
  const name = device.name || `${device.vendor}/${device.index}`;
  return (
    <div className="stack tight">
      <div className="row spread">
        <span className="clip"><strong>{name}</strong> <span className="muted small">{device.worker_name} · {device.vendor}/{device.index}</span></span>
        <span className="small num nowrap muted">{bytes(memory.total)} · {t("devices.load", { load: percent(device.utilization) })}</span>
      </div>
      <MemoryBar label={name} total={memory.total} parts={parts} />
      <MemoryLegend parts={parts} total={memory.total} />
    </div>
  );
}

function Top({ rows, admin }: { rows: UsageSummary[]; admin: boolean }) {
  const groups: [string, { name: string; tokens: number }[]][] = [
    [t("overview.top.models"), top(rows, (row) => row.model ?? "")],
    ...(admin ? [[t("overview.top.users"), top(rows, (row) => row.user_name ?? "")] as [string, { name: string; tokens: number }[]]] : []),
    [t("overview.top.keys"), top(rows, (row) => row.key_name || t("usage.no_key"))],
  ];
  return (
    <Card title={t("overview.top")}>
      {groups.map(([title, lines]) => (
        <div key={title} className="stack tight">
          <h3 className="muted small">{title}</h3>
          <ul className="top-list">
            {lines.map((line) => (
              <li key={line.name}>
                <span className="clip">{line.name}</span>
                <span className="num small muted">{t("tokens", { n: short(line.tokens) })}</span>
                <span className="bar" aria-hidden><span style={{ width: `${(line.tokens / (lines[0]?.tokens || 1)) * 100}%`, background: "var(--series-1)" }} /></span>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </Card>
  );
}

function top(rows: UsageSummary[], nameOf: (row: UsageSummary) => string): { name: string; tokens: number }[] {
  return grouped(rows, nameOf).slice(0, 3).map(({ name, used }) => ({ name, tokens: used.promptTokens + used.completionTokens }));
}
