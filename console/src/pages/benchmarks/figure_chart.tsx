// A figure over the number of requests at once: a line a target, or bars where there is only one number. The table beside it holds the
// same figures for who can't see it.
import { Fragment, useEffect, useRef, useState } from "react";
import { type Series, ticks } from "../../lib/benchmarks.ts";
import { seriesColor } from "../../ui/memory.tsx";

const COLORS = 6;   // beyond them lines are dashed
const HEIGHT = 190;
const LEFT = 46;
const RIGHT = 14;
const TOP = 10;
const BOTTOM = 36;

interface ChartProps {
  title: string;
  /** Of the numbers at its side. */
  unit: string;
  /** What stands under it. */
  axis: string;
  at: number[];
  series: Series[];
  show: (value: number) => string;
}

/** The width that there is, so that letters keep their size. */
function useWidth(): [React.RefObject<HTMLDivElement | null>, number] {
  const host = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const box = host.current;
    if (!box) return;
    const look = new ResizeObserver(() => setWidth(box.clientWidth));
    look.observe(box);
    setWidth(box.clientWidth);
    return () => look.disconnect();
  }, []);
  return [host, width];
}

export function FigureChart({ title, unit, axis, at, series, show }: ChartProps) {
  const [host, width] = useWidth();
  const most = Math.max(0, ...series.flatMap((one) => one.values).filter(Number.isFinite));
  const steps = ticks(most);
  const top = steps.at(-1) ?? 1;
  const y = (value: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const room = Math.max(0, width - LEFT - RIGHT);
  const x = (i: number) => LEFT + (at.length === 1 ? room / 2 : 24 + ((room - 48) * i) / (at.length - 1));
  return (
    <figure className="figure-chart">
      <figcaption>{title} <span className="muted">{unit}</span></figcaption>
      <div ref={host}>
        {width > 0 && (
          <svg width={width} height={HEIGHT} role="img" aria-label={`${title}: ${series.map((one) => `${one.name} ${one.values.map((value, i) => `${at[i]}: ${show(value)}`).join(", ")}`).join("; ")}`}>
            {steps.map((step) => (
              <Fragment key={step}>
                <line className="grid-line" x1={LEFT} x2={width - RIGHT} y1={y(step)} y2={y(step)} />
                <text className="tick" x={LEFT - 8} y={y(step)} dy="0.32em" textAnchor="end">{Number(step.toPrecision(6))}</text>
              </Fragment>
            ))}
            {at.map((concurrency, i) => <text key={concurrency} className="tick" x={x(i)} y={HEIGHT - BOTTOM + 15} textAnchor="middle">{concurrency}</text>)}
            <text className="tick" x={LEFT + room / 2} y={HEIGHT - 4} textAnchor="middle">{axis}</text>
            {at.length === 1 ? <Bars series={series} center={x(0)} room={room} y={y} show={show} /> : <Lines series={series} x={x} y={y} show={show} at={at} />}
          </svg>
        )}
      </div>
    </figure>
  );
}

function Bars({ series, center, room, y, show }: { series: Series[]; center: number; room: number; y: (value: number) => number; show: (value: number) => string }) {
  const each = Math.min(46, room / Math.max(1, series.length));
  const first = center - (each * series.length) / 2;
  return series.map((one, i) => {
    const value = one.values[0] ?? Number.NaN;
    if (!Number.isFinite(value)) return null;
    return <rect key={one.name} x={first + each * i + each * 0.1} width={each * 0.8} y={y(value)} height={Math.max(1, y(0) - y(value))} rx={3} fill={`var(${seriesColor(i)})`}><title>{`${one.name}: ${show(value)}`}</title></rect>;
  });
}

function Lines({ series, at, x, y, show }: { series: Series[]; at: number[]; x: (i: number) => number; y: (value: number) => number; show: (value: number) => string }) {
  return series.map((one, i) => {
    const points = one.values.flatMap((value, k) => (Number.isFinite(value) ? [{ value, k }] : []));
    return (
      <g key={one.name} stroke={`var(${seriesColor(i)})`} fill={`var(${seriesColor(i)})`}>
        <polyline fill="none" strokeWidth={2} strokeLinejoin="round" strokeDasharray={i < COLORS ? undefined : "6 4"} points={points.map(({ value, k }) => `${x(k)},${y(value)}`).join(" ")} />
        {points.map(({ value, k }) => <circle key={k} cx={x(k)} cy={y(value)} r={4} stroke="var(--surface)" strokeWidth={1.5}><title>{`${one.name}, ${at[k]}: ${show(value)}`}</title></circle>)}
      </g>
    );
  });
}
