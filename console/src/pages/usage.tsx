// Who used what: by model, user or key, over time, and as a file.
import { ChartColumn, Download } from "lucide-react";
import { lazy, Suspense, useMemo } from "react";
import { list } from "../api/client.ts";
import type { UsageSummary } from "../api/types.ts";
import { languageNow, t } from "../i18n/index.ts";
import { useFetched } from "../lib/fetched.ts";
import { duration, percent, short, span, whole } from "../lib/format.ts";
import { isAdmin, useMe } from "../lib/session.ts";
import { useUrl } from "../lib/url.ts";
import { grouped, steps, sumOf, type Used } from "../lib/usage.ts";
import { Button, Card, Empty, Loading, Problem, Segments } from "../ui/basics.tsx";
import { PageBody } from "../ui/page.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { LimitsText } from "../ui/limit_fields.tsx";
import { RequestsNow } from "./requests_now.tsx";

const Chart = lazy(() => import("../ui/chart.tsx"));
const HOUR = 3_600_000;
const RANGES: Record<string, { ms: number; step: number; bucket: string }> = {
  "24h": { ms: 24 * HOUR, step: HOUR, bucket: "hour" },
  "7d": { ms: 7 * 24 * HOUR, step: 24 * HOUR, bucket: "day" },
  "30d": { ms: 30 * 24 * HOUR, step: 24 * HOUR, bucket: "day" },
};
const DAY_RANGE = RANGES["24h"] as { ms: number; step: number; bucket: string };

interface Line {
  name: string;
  used: Used;
}

export default function Usage() {
  const admin = isAdmin(useMe());
  const [rangeName, setRange] = useUrl("range", "24h");
  const [by, setBy] = useUrl("by", "model");
  const range = RANGES[rangeName] ?? DAY_RANGE;
  const query = useMemo(() => `bucket=${range.bucket}&group_by=model,user,key&from=${new Date(Date.now() - range.ms).toISOString()}`, [range]);
  const usage = useFetched((signal) => list<UsageSummary>(`/api/v1/usage/summary?${query}`, signal), [query]);
  const kinds = [{ value: "model", text: t("model") }, ...(admin ? [{ value: "user", text: t("user") }] : []), { value: "key", text: t("key") }];
  const nameOf = (row: UsageSummary) => (by === "user" ? (row.user_name ?? "") : by === "key" ? row.key_name || t("usage.no_key") : (row.model ?? ""));
  return (
    <PageBody
      title={t("usage")}
      about={admin ? t("usage.about") : t("usage.about.own")}
      actions={
        <>
          <Segments label={t("usage.range")} value={rangeName} onChange={setRange} options={[{ value: "24h", text: t("hours", { n: 24 }) }, { value: "7d", text: t("days", { n: 7 }) }, { value: "30d", text: t("days", { n: 30 }) }]} />
          <a className="button" href={`/api/v1/usage/summary?${query}&format=csv`} download="gantry-usage.csv"><Download size={16} aria-hidden />CSV</a>
        </>
      }
    >
      {usage.error && <Problem error={usage.error} again={usage.again} />}
      {!usage.value && !usage.error && <Loading />}
      {usage.value && (usage.value.length === 0 ? (
        <section className="card"><Empty icon={<ChartColumn size={30} aria-hidden />} title={t("usage.none")} actions={<Button onClick={usage.again}>{t("refresh")}</Button>}>{t("usage.none.text")}</Empty></section>
      ) : (
        <>
          <Figures used={sumOf(usage.value)} />
          <Card title={t("usage.over_time")} actions={<Button small look="quiet" busy={usage.loading} onClick={usage.again}>{t("refresh")}</Button>}>
            <OverTime rows={usage.value} range={range} />
          </Card>
          <Groups lines={grouped(usage.value, nameOf)} title={kinds.find((kind) => kind.value === by)?.text ?? ""} tools={<Segments label={t("usage.by")} value={by} onChange={setBy} options={kinds} />} />
        </>
      ))}
      <Budget />
      <RequestsNow admin={admin} />
    </PageBody>
  );
}

function Figures({ used }: { used: Used }) {
  const figures: [string, string, string][] = [
    [t("overview.requests"), short(used.requests), used.failed > 0 ? t("overview.failed", { n: whole(used.failed, languageNow()) }) : ""],
    [t("usage.prompt"), short(used.promptTokens), t("usage.cached", { share: percent(used.promptTokens > 0 ? used.cachedTokens / used.promptTokens : 0) })],
    [t("usage.completion"), short(used.completionTokens), ""],
    [t("overview.ttft"), Number.isFinite(used.ttftMs) ? duration(used.ttftMs) : "–", ""],
    ...(used.audioMs > 0 ? [[t("usage.audio"), span(used.audioMs / 1000), ""] as [string, string, string]] : []),
    ...(used.images > 0 ? [[t("usage.images"), short(used.images), ""] as [string, string, string]] : []),
  ];
  return (
    <div className="grid narrow">
      {figures.map(([name, value, note]) => <div key={name} className="stat"><span className="label">{name}</span><span className="value">{value}</span><span className="small muted">{note}</span></div>)}
    </div>
  );
}

/** One's own quotas, and how much of the month's is used. */
function Budget() {
  const { limits, id } = useMe();
  const most = limits.tokens_per_month;
  const month = useFetched(async (signal) => {
    const now = new Date();
    const from = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1)).toISOString();
    return most === null ? [] : list<UsageSummary>(`/api/v1/usage/summary?bucket=total&user=${encodeURIComponent(id)}&from=${from}`, signal);
  }, [most]);
  if (Object.values(limits).every((one) => one === null)) return null;
  const used = month.value ? sumOf(month.value) : undefined;
  const tokens = used ? used.promptTokens + used.completionTokens : 0;
  return (
    <Card title={t("usage.quotas")}>
      <p className="muted"><LimitsText of={limits} /></p>
      {most !== null && used && (
        <div className="stack tight">
          <div className="row spread small"><span>{t("usage.month")}</span><span className="num">{t("usage.month.of", { used: short(tokens), most: short(most) })}</span></div>
          <div className="bar" role="img" aria-label={t("usage.month.of", { used: short(tokens), most: short(most) })}><span style={{ width: `${Math.min(100, (tokens / most) * 100)}%`, background: `var(${tokens >= most ? "--bad" : "--series-1"})` }} /></div>
        </div>
      )}
    </Card>
  );
}

function OverTime({ rows, range }: { rows: UsageSummary[]; range: { ms: number; step: number } }) {
  const chart = useMemo(() => {
    const now = Date.now();
    const { at, used } = steps(rows, now - range.ms, now, range.step);
    return { at, series: [{ name: t("usage.completion"), values: used.map((one) => one.completionTokens), show: short }, { name: t("usage.prompt"), values: used.map((one) => one.promptTokens), show: short }] };
  }, [rows, range, languageNow()]);
  return <Suspense fallback={<div className="skeleton" />}><Chart label={t("usage.over_time")} step={range.step} height={220} {...chart} /></Suspense>;
}

function Groups({ lines, title, tools }: { lines: Line[]; title: React.ReactNode; tools: React.ReactNode }) {
  const language = languageNow();
  const columns: Column<Line>[] = [
    { key: "name", title: String(title), lead: true, by: (line) => line.name, cell: (line) => <span className="break">{line.name}</span> },
    { key: "requests", title: t("overview.requests"), right: true, by: (line) => line.used.requests, cell: (line) => whole(line.used.requests, language) },
    { key: "failed", title: t("usage.failed"), right: true, by: (line) => line.used.failed, cell: (line) => whole(line.used.failed, language) },
    { key: "prompt", title: t("usage.prompt"), right: true, by: (line) => line.used.promptTokens, cell: (line) => whole(line.used.promptTokens, language) },
    { key: "completion", title: t("usage.completion"), right: true, by: (line) => line.used.completionTokens, cell: (line) => whole(line.used.completionTokens, language) },
    ...(lines.some((line) => line.used.audioMs > 0) ? [{ key: "audio", title: t("usage.audio"), right: true, by: (line: Line) => line.used.audioMs, cell: (line: Line) => span(line.used.audioMs / 1000) }] : []),
    ...(lines.some((line) => line.used.images > 0) ? [{ key: "images", title: t("usage.images"), right: true, by: (line: Line) => line.used.images, cell: (line: Line) => whole(line.used.images, language) }] : []),
    { key: "ttft", title: t("overview.ttft"), right: true, by: (line) => line.used.ttftMs || 0, cell: (line) => duration(line.used.ttftMs) },
  ];
  return <Table label={t("usage")} rows={lines} id={(line) => line.name} columns={columns} sort="-completion" text={(line) => line.name} tools={tools} empty={null} />;
}
