// Lines over time, by uPlot, with gaps where nothing was measured. Loaded when the first is shown.
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { localeOf } from "../lib/format.ts";
import { languageNow } from "../i18n/index.ts";
import { onThemeChange, resolved } from "./look.ts";
import { SERIES, seriesColor } from "./memory.tsx";

export interface LineSeries {
  name: string;
  values: readonly (number | null)[];
  /** Of one entry, said where it is pointed at. */
  tell: (i: number) => string;
}
interface LinesProps {
  title: string;
  /** For who can't see it. */
  label: string;
  /** Milliseconds since 1970, of each entry. */
  at: readonly number[];
  series: readonly LineSeries[];
  /** A tick of the axis. */
  show: (value: number) => string;
  /** The end of the axis; absent: a little above the highest. */
  most?: number;
  /** Steps of the axis double, as bytes do. */
  binary?: boolean;
  /** Charts of the same group point at the same time. */
  group: string;
}

const HEIGHT = 170;
const TWO_DAYS = 2 * 86_400;
const DOUBLES = Array.from({ length: 50 }, (_, i) => 2 ** i);
const DASHES = [[], [6, 4], [2, 3]];

/** Entries without a neighbour, which no line goes through. */
function lonely(values: ArrayLike<number | null | undefined>): number[] {
  const found: number[] = [];
  for (let i = 0; i < values.length; i += 1) if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
  return found;
}

function options(host: HTMLElement, { series, show, most, binary, group }: LinesProps): uPlot.Options {
  const [text, line] = [resolved(host, "--text-2"), resolved(host, "--line")];
  const locale = localeOf(languageNow());
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const when = (at: number, span: number) => new Date(at * 1000).toLocaleString(locale, span > TWO_DAYS ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" });
  return {
    width: host.clientWidth,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    cursor: { points: { size: 7 }, y: false, drag: { x: false, y: false }, sync: { key: group } },
    legend: { show: false },
    scales: { x: { time: true }, y: { range: (_plot, _min, max) => [0, most ?? (max > 0 ? max * 1.08 : 1)] } },
    axes: [
      { ...axis, size: 30, space: 70, grid: { show: false }, values: (plot, splits) => splits.map((at) => when(at, (plot.scales.x?.max ?? 0) - (plot.scales.x?.min ?? 0))) },
      { ...axis, size: 68, space: 28, values: (_plot, splits) => splits.map(show), ...(binary ? { incrs: DOUBLES } : {}) },
    ],
    series: [
      {},
      ...series.map((one, i) => {
        const color = resolved(host, seriesColor(i));
        return { label: one.name, stroke: color, width: 1.75, dash: DASHES[Math.floor(i / SERIES.length) % DASHES.length] ?? [], points: { show: false, filter: (plot: uPlot, at: number) => lonely(plot.data[at] ?? []), size: 5, fill: color, stroke: color } };
      }),
    ],
  };
}

export default function Lines(props: LinesProps) {
  const host = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const latest = useRef(props);
  latest.current = props;
  const language = languageNow();
  const shape = props.series.map((one) => one.name).join("\n");
  useEffect(() => {
    const box = host.current;
    if (!box) return;
    const draw = () => {
      plot.current?.destroy();
      const wanted = options(box, latest.current);
      wanted.hooks = { setCursor: [(shown) => tell(shown, tip.current, latest.current)] };
      plot.current = new uPlot(wanted, dataOf(latest.current), box);
    };
    draw();
    const resize = new ResizeObserver(() => plot.current?.setSize({ width: box.clientWidth, height: HEIGHT }));
    resize.observe(box);
    const deaf = onThemeChange(draw);
    return () => {
      resize.disconnect();
      deaf();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, props.most, props.group, language]);
  // What is new is drawn into what is there, so that who points at something keeps it.
  useEffect(() => {
    if (!plot.current) return;
    plot.current.setData(dataOf(props));
    tell(plot.current, tip.current, props);
  }, [props.at, props.series]);
  return (
    <div className="stack tight">
      <h3 className="small muted">{props.title}</h3>
      <div ref={host} className="chart" role="img" aria-label={props.label} />
      <div ref={tip} className="chart-tip small muted num" aria-hidden />
    </div>
  );
}

function dataOf({ at, series }: LinesProps): uPlot.AlignedData {
  return [at.map((time) => time / 1000), ...series.map((one) => [...one.values])];
}

function tell(plot: uPlot, tip: HTMLDivElement | null, { at, series }: LinesProps): void {
  if (!tip) return;
  const i = plot.cursor.idx;
  const time = i === null || i === undefined ? undefined : at[i];
  if (i === null || i === undefined || time === undefined) {
    tip.textContent = "";
    return;
  }
  const when = new Date(time).toLocaleString(localeOf(languageNow()), { dateStyle: "short", timeStyle: "short" });
  tip.textContent = [when, ...series.filter((one) => one.values[i] != null).map((one) => `${one.name} ${one.tell(i)}`)].join(" · ");
}
