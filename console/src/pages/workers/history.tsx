// What a worker's devices did before: memory, load and temperature over a range of time, going on as the worker reports.
import { ChartLine } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { api } from "../../api/client.ts";
import type { DeviceHistory, Worker } from "../../api/types.ts";
import { languageNow, t } from "../../i18n/index.ts";
import { continued, type Course, type Courses, coursesOf, type Figures, lastAndMost, measured } from "../../lib/device_history.ts";
import { useFetched } from "../../lib/fetched.ts";
import { bytes, exactTime, percent } from "../../lib/format.ts";
import { useUrl } from "../../lib/url.ts";
import { Empty, Loading, Problem, Segments } from "../../ui/basics.tsx";
import Lines from "../../ui/lines.tsx";
import { SERIES, seriesColor } from "../../ui/memory.tsx";

const HOUR = 3_600_000;
const RANGES: Record<string, number> = { "1h": HOUR, "24h": 24 * HOUR, "7d": 7 * 24 * HOUR, "30d": 30 * 24 * HOUR };

const degrees = (value: number) => `${Math.round(value)} °C`;

export default function History({ worker }: { worker: Worker }) {
  const [wanted, setRange] = useUrl("range", "1h");
  const range = wanted in RANGES ? wanted : "1h";
  const path = `/api/v1/workers/${encodeURIComponent(worker.id)}/devices/history`;
  const fetched = useFetched((signal) => api<DeviceHistory>("GET", `${path}?from=${new Date(Date.now() - (RANGES[range] ?? HOUR)).toISOString()}`, undefined, signal), [path, range]);
  const [courses, setCourses] = useState<Courses>();
  useEffect(() => setCourses(fetched.value && coursesOf(fetched.value)), [fetched.value]);
  useEffect(() => setCourses((before) => before && continued(before, worker)), [worker, fetched.value]);
  const since = fetched.value?.measured_since;
  const begun = since && courses && Date.parse(since) > (courses.at[0] ?? 0) + courses.step;
  return (
    <section className="stack" aria-label={t("history.of", { name: worker.name })}>
      <div className="row wrap spread history-head">
        <h3>{t("history")}</h3>
        <Segments label={t("usage.range")} value={range} onChange={setRange} options={[{ value: "1h", text: t("history.hour") }, { value: "24h", text: t("hours", { n: 24 }) }, { value: "7d", text: t("days", { n: 7 }) }, { value: "30d", text: t("days", { n: 30 }) }]} />
      </div>
      {fetched.error && <Problem error={fetched.error} again={fetched.again} />}
      {!courses && !fetched.error && <Loading />}
      {courses && courses.devices.length === 0 && (
        <Empty icon={<ChartLine size={30} aria-hidden />} title={t("history.none")}>{since ? t("history.since", { time: exactTime(since, languageNow()) }) : t("history.none.text")}</Empty>
      )}
      {courses && courses.devices.length > 0 && (
        <>
          <Charts of={courses} group={worker.id} />
          {begun && <p className="small muted">{t("history.since", { time: exactTime(since, languageNow()) })}</p>}
        </>
      )}
    </section>
  );
}

function Charts({ of, group }: { of: Courses; group: string }) {
  const language = languageNow();
  const charts = useMemo(() => {
    const lines = (what: (course: Course) => Figures, tell: (value: number, course: Course, i: number) => string) =>
      of.devices.map((course) => {
        const values = what(course);
        return { name: placeOf(course), values, tell: (i: number) => tell(values[i] ?? 0, course, i) };
      });
    return {
      memory: lines((course) => course.memory, bytes),
      load: lines((course) => course.load, (value, course, i) => t("history.load.tell", { mean: percent(value), most: percent(course.loadMax[i] ?? value) })),
      temperature: lines((course) => course.temperature, degrees),
    };
  }, [of, language]);
  const label = (title: string, what: (course: Course) => Figures, show: (value: number) => string) => {
    const told = of.devices.flatMap((course) => {
      const ends = lastAndMost(what(course));
      return ends ? [t("history.label", { name: course.name, last: show(ends[0]), most: show(ends[1]) })] : [];
    });
    return `${title}: ${told.join("; ")}`;
  };
  const hot = of.devices.some((course) => measured(course.temperature));
  return (
    <>
      <ul className="legend-list">
        {of.devices.map((course, i) => <li key={course.id}><span className="swatch" style={{ background: swatchOf(i) }} /><span className="break">{course.name}</span></li>)}
      </ul>
      <div className="history">
        <Lines title={t("history.memory")} label={label(t("history.memory"), (course) => course.memory, bytes)} at={of.at} series={charts.memory} show={bytes} binary group={group} />
        <Lines title={t("history.load")} label={label(t("history.load"), (course) => course.load, percent)} at={of.at} series={charts.load} show={percent} most={1} group={group} />
        {hot && <Lines title={t("history.temperature")} label={label(t("history.temperature"), (course) => course.temperature, degrees)} at={of.at} series={charts.temperature} show={degrees} group={group} />}
      </div>
      {!hot && <p className="small muted">{t("history.cold")}</p>}
    </>
  );
}

/** Of the lines that are dashed, since there are more of them than colours, a dashed one. */
function swatchOf(i: number): string {
  const color = `var(${seriesColor(i)})`;
  return i < SERIES.length ? color : `repeating-linear-gradient(90deg, ${color} 0 3px, transparent 3px 6px)`;
}

/** "nvidia/0": what is short enough to be said beside a value. */
function placeOf({ id }: Course): string {
  return id.split("/").slice(1).join("/");
}
