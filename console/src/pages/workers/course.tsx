// A device's load and memory while this page was open.
import type { Device } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { percent, span } from "../../lib/format.ts";
import { type Point, useCourse } from "../../live/history.ts";

const [WIDTH, HEIGHT] = [300, 44];

function line(points: readonly Point[], of: (point: Point) => number): string {
  const [first, last] = [points[0]?.at ?? 0, points.at(-1)?.at ?? 0];
  const across = Math.max(1, last - first);
  return points.map((point, i) => `${i === 0 ? "M" : "L"}${(((point.at - first) / across) * WIDTH).toFixed(1)} ${(HEIGHT - 2 - Math.min(1, of(point)) * (HEIGHT - 4)).toFixed(1)}`).join("");
}

export function Course({ of }: { of: Device }) {
  const points = useCourse(of.id);
  const [first, last] = [points[0], points.at(-1)];
  if (points.length < 3 || !first || !last) return null;
  const most = (what: (point: Point) => number) => percent(Math.max(...points.map(what)));
  const [load, memory] = [most((point) => point.load), most((point) => point.memory)];
  return (
    <div className="course stack tight">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={t("devices.course.label", { load, memory })}>
        <path d={line(points, (point) => point.memory)} style={{ stroke: "var(--series-2)" }} />
        <path d={line(points, (point) => point.load)} style={{ stroke: "var(--series-1)" }} />
      </svg>
      <ul className="legend-list">
        <li><span className="swatch" style={{ background: "var(--series-1)" }} />{t("devices.course.load", { most: load })}</li>
        <li><span className="swatch" style={{ background: "var(--series-2)" }} />{t("devices.course.memory", { most: memory })}</li>
        <li className="end">{t("devices.course.since", { time: span((last.at - first.at) / 1000) })}</li>
      </ul>
    </div>
  );
}
