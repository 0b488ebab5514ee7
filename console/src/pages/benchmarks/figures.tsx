// What was measured: throughput, TTFT and TPOT over the number of requests at once, and every run as a line.
import { Trophy } from "lucide-react";
import { type ReactNode, useMemo } from "react";
import type { BenchmarkRun } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { bestAt, concurrenciesOf, type Line, type Percentile, PERCENTILES, seriesOf } from "../../lib/benchmarks.ts";
import { digits, duration, percent, rate } from "../../lib/format.ts";
import { useUrl } from "../../lib/url.ts";
import { Card, Segments } from "../../ui/basics.tsx";
import { seriesColor } from "../../ui/memory.tsx";
import { FigureChart } from "./figure_chart.tsx";

const SHOWN: Percentile[] = ["p50", "p90", "p99"];

export function Figures({ lines }: { lines: Line[] }) {
  const [chosen, choose] = useUrl("percentile", "p50");
  const percentile = PERCENTILES.find((one) => one === chosen) ?? "p50";
  const at = concurrenciesOf(lines);
  const charts = useMemo(
    () => [
      { title: t("results.throughput"), unit: "tok/s", show: rate, series: seriesOf(lines, (run) => run.throughput_tok_s) },
      { title: `TTFT ${percentile}`, unit: "ms", show: duration, series: seriesOf(lines, (run) => run.ttft_ms[percentile]) },
      { title: `TPOT ${percentile}`, unit: "ms", show: duration, series: seriesOf(lines, (run) => run.tpot_ms[percentile]) },
    ],
    [lines, percentile],
  );
  return (
    <>
      <Card title={t("benchmarks.figures")} actions={<Segments label={t("benchmarks.percentile")} value={percentile} onChange={choose} options={SHOWN.map((one) => ({ value: one, text: one }))} />}>
        <div className="figure-charts">
          {charts.map((chart) => <FigureChart key={chart.title} {...chart} at={at} axis={t("benchmarks.at_once")} />)}
        </div>
        <ul className="legend-list">
          {lines.map((line, i) => <li key={line.label}><span className="swatch" style={{ background: `var(${seriesColor(i)})` }} /><span className="break">{line.label}</span></li>)}
        </ul>
      </Card>
      <Runs lines={lines} at={at} />
    </>
  );
}

function Runs({ lines, at }: { lines: Line[]; at: number[] }) {
  const rows = at.flatMap((concurrency) => lines.flatMap((line, i) => line.runs.filter((run) => run.concurrency === concurrency).map((run) => ({ line, i, run }))));
  return (
    <Card flush title={t("benchmarks.runs")}>
      <div className="table-wrap" tabIndex={0} role="region" aria-label={t("benchmarks.figures.all")}>
        <table className="table scrolled">
          <thead>
            <tr>
              <th scope="col">{t("benchmarks.target")}</th>
              <th scope="col" className="right">{t("benchmarks.at_once")}</th>
              <th scope="col" className="right">{t("results.throughput")}</th>
              <th scope="col" className="right">TTFT p50 / p90 / p99</th>
              <th scope="col" className="right">TPOT p50 / p90 / p99</th>
              <th scope="col" className="right">ITL p50 / p99</th>
              <th scope="col" className="right">{t("benchmarks.cached")}</th>
              <th scope="col" className="right">{t("benchmarks.ok")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ line, i, run }) => (
              <tr key={`${line.label}/${run.concurrency}`}>
                <td>
                  <span className="row"><span className="swatch" style={{ background: `var(${seriesColor(i)})` }} aria-hidden /><span className="break strong">{line.label}</span></span>
                  <div className="small muted break">{[line.target.backend, line.target.devices].filter(Boolean).join(" · ")}</div>
                </td>
                <td className="right">{run.concurrency}</td>
                <Figure best={bestAt(lines, run.concurrency, (one) => one.throughput_tok_s, true) === line}>{figure(run, rate(run.throughput_tok_s))}</Figure>
                <Figure best={bestAt(lines, run.concurrency, (one) => one.ttft_ms.p50, false) === line}>{figure(run, times(run.ttft_ms))}</Figure>
                <Figure best={bestAt(lines, run.concurrency, (one) => one.tpot_ms.p50, false) === line}>{figure(run, times(run.tpot_ms))}</Figure>
                <td className="right">{figure(run, `${digits(run.itl_ms.p50, 3)} / ${digits(run.itl_ms.p99, 3)} ms`)}</td>
                <td className="right">{run.prompt_tokens > 0 ? percent(run.cached_tokens / run.prompt_tokens) : "–"}</td>
                <td className="right">{run.requests_failed === 0 ? run.requests_ok : <span className="wrong-text">{t("results.failed", { ok: run.requests_ok, failed: run.requests_failed })}</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="table-foot">{t("benchmarks.measure")}</p>
    </Card>
  );
}

/** A run without an answer has no figures. */
function figure(run: BenchmarkRun, text: string): string {
  return run.requests_ok > 0 ? text : "–";
}

function times(summary: BenchmarkRun["ttft_ms"]): string {
  return `${digits(summary.p50, 3)} / ${digits(summary.p90, 3)} / ${digits(summary.p99, 3)} ms`;
}

function Figure({ best, children }: { best: boolean; children: ReactNode }) {
  return (
    <td className="right">
      {best && <Trophy size={13} className="best" role="img" aria-label={t("benchmarks.is_best")} />} {children}
    </td>
  );
}
