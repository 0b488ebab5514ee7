// A run as charts: what each panel waited, how its tokens came, and the runs' throughput beside each other. Saved as they are shown.
import { useEffect, useMemo, useRef } from "react";
import { languageNow, t } from "../../i18n/index.ts";
import { type Run, targetName, targetsOf } from "../../lib/comparison.ts";
import { draw, type Figure, type Palette } from "../../lib/drawing.ts";
import { duration, localeOf, rate } from "../../lib/format.ts";
import { summarize, totals, tpotOf, ttftOf } from "../../lib/statistics.ts";
import { onThemeChange, resolved } from "../../ui/look.ts";
import { SERIES } from "../../ui/memory.tsx";

const RUNS_MOST = 6;
const PICTURE_WIDTH = 1200;

function timeOf(run: Run): string {
  return new Date(run.at).toLocaleTimeString(localeOf(languageNow()));
}

export function figuresOf(run: Run, runs: Run[]): Figure[] {
  const mean = (of: (sample: Run["samples"][number][number]) => number) => run.samples.map((samples) => summarize(samples.filter((one) => one.ok).map(of)).mean);
  const panelName = (panel: number) => `${panel + 1} · ${run.models[panel] ?? ""}`;
  const bars = (title: string, values: number[]): Figure => ({ kind: "bars", title, bars: values.map((value, panel) => ({ name: panelName(panel), value, text: duration(value), series: panel })) });
  const near = runs.slice(0, RUNS_MOST).reverse();
  const throughput = near.flatMap((one) =>
    targetsOf(one).map((target) => {
      const value = totals(target.samples, one.wallMs).throughput;
      return { name: `${target.panels.length} × ${targetName(target)}`, value, text: rate(value), series: target.panels[0] ?? 0 };
    }),
  );
  const last = run.rounds - 1;
  return [
    bars(t("results.ttft"), mean(ttftOf)),
    bars(t("results.tpot"), mean(tpotOf)),
    { kind: "bars", title: near.length > 1 ? t("charts.throughput.runs") : t("results.throughput"), bars: throughput.slice(-8) },
    {
      kind: "lines",
      title: run.rounds > 1 ? t("charts.tokens.round", { n: run.rounds }) : t("charts.tokens"),
      x: "ms",
      y: "",
      lines: run.samples.map((samples, panel) => ({ series: panel, points: (samples[last]?.tokenMs ?? []).map((at, i) => [at, i + 1] as [number, number]) })),
    },
  ];
}

function paletteOf(host: HTMLElement): Palette {
  const color = (name: string) => resolved(host, name);
  return { surface: color("--surface"), text: color("--text"), soft: color("--text-2"), line: color("--line"), series: SERIES.map(color), font: getComputedStyle(host).fontFamily };
}

export function pictureOf(run: Run, runs: Run[]): Promise<Blob> {
  const canvas = document.createElement("canvas");
  const title = [...new Set(run.models)].join(", ");
  const foot = `${t("results.measure")} ${new Date(run.at).toLocaleString(localeOf(languageNow()))}, Gantry`;
  draw(canvas, { width: PICTURE_WIDTH, scale: 2, palette: paletteOf(document.body), figures: figuresOf(run, runs), title, foot });
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error(t("charts.no_picture")))), "image/png"));
}

export function Charts({ run, runs }: { run: Run; runs: Run[] }) {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const language = languageNow();
  const figures = useMemo(() => figuresOf(run, runs), [run, runs, language]);
  useEffect(() => {
    const [box, paper] = [host.current, canvas.current];
    if (!box || !paper) return;
    const again = () => box.clientWidth > 0 && draw(paper, { width: box.clientWidth, scale: devicePixelRatio, palette: paletteOf(box), figures });
    again();
    const resize = new ResizeObserver(again);
    resize.observe(box);
    const deaf = onThemeChange(again);
    return () => {
      resize.disconnect();
      deaf();
    };
  }, [figures]);
  return (
    <div ref={host} className="charts">
      <canvas ref={canvas} role="img" aria-label={t("charts.label", { time: timeOf(run) })} />
    </div>
  );
}
