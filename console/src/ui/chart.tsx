// Bars over time, by uPlot. Loaded when the first chart is shown.
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { localeOf } from "../lib/format.ts";
import { languageNow } from "../i18n/index.ts";
import { onThemeChange, resolved } from "./look.ts";
import { seriesColor } from "./memory.tsx";

export interface BarSeries {
  name: string;
  values: number[];
  show: (value: number) => string;
}
interface ChartProps {
  label: string;
  /** Milliseconds since 1970, the start of each bar. */
  at: number[];
  /** Stacked: the first at the bottom. */
  series: BarSeries[];
  step: number;
  height?: number;
}

function stacked(series: BarSeries[]): number[][] {
  const sums: number[][] = [];
  series.forEach((one, i) => sums.push(one.values.map((value, k) => value + (sums[i - 1]?.[k] ?? 0))));
  return sums;
}

function options(host: HTMLElement, width: number, { series, step, height = 190 }: ChartProps): uPlot.Options {
  const text = resolved(host, "--text-2");
  const line = resolved(host, "--line");
  const locale = localeOf(languageNow());
  const day = step >= 86_400_000;
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const bars = uPlot.paths.bars?.({ size: [0.7, 28], radius: 0.15 });
  // Drawn from the top of the stack down, so that each is seen in full.
  const drawn = series.map((one, i) => ({ one, i })).reverse();
  return {
    width,
    height,
    padding: [8, 8, 0, 0],
    cursor: { points: { show: false }, y: false },
    legend: { show: false },
    scales: { x: { time: true, range: (_plot, min, max) => [min - step / 2000, max + step / 2000] }, y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] } },
    axes: [
      { ...axis, size: 30, grid: { show: false }, values: (_plot, splits) => splits.map((at) => new Date(at * 1000).toLocaleString(locale, day ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" })) },
      { ...axis, size: 58, values: (_plot, splits) => splits.map((value) => series[0]?.show(value) ?? String(value)) },
    ],
    series: [
      {},
      ...drawn.map(({ one, i }) => ({ label: one.name, fill: resolved(host, seriesColor(i)), stroke: "transparent", width: 0, points: { show: false }, ...(bars ? { paths: bars } : {}) })),
    ],
  };
}

export default function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const language = languageNow();
  useEffect(() => {
    const box = host.current;
    if (!box) return;
    let plot: uPlot | null = null;
    const draw = () => {
      plot?.destroy();
      const sums = stacked(props.series).reverse();
      const wanted = options(box, box.clientWidth, props);
      wanted.hooks = { setCursor: [(shown) => tell(shown, tip.current, props)] };
      plot = new uPlot(wanted, [props.at.map((at) => at / 1000), ...sums], box);
    };
    draw();
    const resize = new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height: props.height ?? 190 }));
    resize.observe(box);
    const deaf = onThemeChange(draw);
    return () => {
      resize.disconnect();
      deaf();
      plot?.destroy();
    };
  }, [props.at, props.series, props.step, props.height, language]);
  return (
    <div className="stack tight">
      <div ref={host} className="chart" role="img" aria-label={props.label} />
      <div className="row wrap spread small muted">
        <ul className="legend-list">
          {props.series.map((one, i) => (
            <li key={one.name}><span className="swatch" style={{ background: `var(${seriesColor(i)})` }} />{one.name}</li>
          ))}
        </ul>
        <div ref={tip} className="num" aria-hidden />
      </div>
    </div>
  );
}

function tell(plot: uPlot, tip: HTMLDivElement | null, { at, series, step }: ChartProps): void {
  if (!tip) return;
  const i = plot.cursor.idx;
  const time = i === null || i === undefined ? undefined : at[i];
  if (time === undefined || i === null || i === undefined) {
    tip.textContent = "";
    return;
  }
  const when = new Date(time).toLocaleString(localeOf(languageNow()), step >= 86_400_000 ? { dateStyle: "medium" } : { dateStyle: "short", timeStyle: "short" });
  tip.textContent = `${when} · ${series.map((one) => `${one.name} ${one.show(one.values[i] ?? 0)}`).join(" · ")}`;
}
