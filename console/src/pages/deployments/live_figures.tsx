// What the engines of a deployment do now: their own figures, every two seconds while the page is open.
import { useEffect, useState } from "react";
import type { Deployment, Instance } from "../../api/types.ts";
import { languageNow, t } from "../../i18n/index.ts";
import { cachedShareOf, type Courses, type Said, rateOf, ratesOf, type Sample, taken, ttftOf } from "../../lib/figures.ts";
import { digits, duration, percent, rate, whole } from "../../lib/format.ts";
import { follow } from "../../lib/streamed.ts";
import { Card } from "../../ui/basics.tsx";

const [WIDTH, HEIGHT] = [300, 40];

function useCourses(id: string): Courses {
  const [courses, setCourses] = useState<Courses>(new Map());
  useEffect(() => {
    setCourses(new Map());
    return follow<Said>(`/api/v1/deployments/${encodeURIComponent(id)}/metrics?follow=true`, "metrics", (said) => setCourses((before) => taken(before, said)), () => setCourses(new Map()));
  }, [id]);
  return courses;
}

export function LiveFigures({ of, instances }: { of: Deployment; instances: Instance[] }) {
  const courses = useCourses(of.id);
  const told = instances.filter((one) => courses.has(one.id));
  if (told.length === 0) return null;
  return (
    <Card title={t("figures")}>
      {told.map((one) => <Figures key={one.id} name={told.length > 1 ? one.id : ""} course={courses.get(one.id) ?? []} />)}
    </Card>
  );
}

function shown(value: number, show: (value: number) => string): string {
  return Number.isFinite(value) ? show(value) : "–";
}

function Figures({ name, course }: { name: string; course: readonly Sample[] }) {
  const last = course.at(-1)?.figures;
  if (!last) return null;
  const count = (value: number | null) => (value === null ? "–" : whole(value, languageNow()));
  const facts: [string, string][] = [
    [t("figures.written"), shown(rateOf(course, "generated_tokens_total"), rate)],
    [t("figures.read"), shown(rateOf(course, "prompt_tokens_total"), rate)],
    [t("figures.running"), count(last.sequences_running)],
    [t("figures.waiting"), count(last.sequences_waiting)],
    [t("figures.kv"), last.kv_usage_ratio === null ? "–" : `${digits(last.kv_usage_ratio * 100, 2)} %`],
    [t("figures.ttft"), shown(ttftOf(course), duration)],
    [t("figures.cached"), shown(cachedShareOf(last), percent)],
  ];
  return (
    <div className="stack tight" {...(name ? { role: "group", "aria-label": name } : {})}>
      {name && <h3 className="mono small muted">{name}</h3>}
      <dl className="facts figures">{facts.map(([label, value]) => <div key={label}><dt>{label}</dt><dd className="num">{value}</dd></div>)}</dl>
      <Course of={course} />
    </div>
  );
}

function Course({ of }: { of: readonly Sample[] }) {
  const rates = ratesOf(of).map((value) => (Number.isFinite(value) ? value : 0));
  if (rates.length < 3) return null;
  const most = Math.max(...rates);
  const at = (value: number, i: number) => `${((i / (rates.length - 1)) * WIDTH).toFixed(1)} ${(HEIGHT - 2 - (most > 0 ? value / most : 0) * (HEIGHT - 4)).toFixed(1)}`;
  const label = t("figures.course", { most: rate(most) });
  return (
    <div className="course stack tight">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
        <path d={rates.map((value, i) => `${i === 0 ? "M" : "L"}${at(value, i)}`).join("")} style={{ stroke: "var(--series-1)" }} />
      </svg>
      <span className="small muted">{label}</span>
    </div>
  );
}
