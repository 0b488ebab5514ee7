// What was measured: each run as a line to put beside the others, the newest in full.
import { Download, Trash2 } from "lucide-react";
import { useState } from "react";
import { api } from "../../api/client.ts";
import type { ServerInfo } from "../../api/types.ts";
import { languageNow, t } from "../../i18n/index.ts";
import { type Run, targetName, targetsOf, toCsv, toJson } from "../../lib/comparison.ts";
import { digits, duration, localeOf, rate } from "../../lib/format.ts";
import { save } from "../../lib/save.ts";
import { itlOf, summarize, totals, tpotOf, ttftOf } from "../../lib/statistics.ts";
import { Button, Card } from "../../ui/basics.tsx";
import { Charts, pictureOf } from "./charts.tsx";
import { seriesColor } from "../../ui/memory.tsx";
import { attempt, Menu } from "../../ui/overlays.tsx";

async function saveJson(runs: Run[]): Promise<void> {
  const server = await api<ServerInfo>("GET", "/api/v1/server");
  save("gantry-compare.json", new Blob([toJson(runs, { commit: server.commit, url: location.origin, agent: navigator.userAgent })], { type: "application/json" }));
}

export function Results({ runs, clear }: { runs: Run[]; clear: () => void }) {
  const [picked, setPicked] = useState(0);
  const shown = runs.find((run) => run.at === picked) ?? runs[0];
  if (!shown) return null;
  return (
    <>
      <Card
        flush
        title={t("results")}
        actions={
          <div className="row">
            <Menu
              trigger={<Button small icon={<Download size={15} aria-hidden />}>{t("results.save")}</Button>}
              entries={[
                { text: t("results.csv"), run: () => save("gantry-compare.csv", new Blob([toCsv(runs)], { type: "text/csv" })) },
                { text: t("results.json"), run: () => attempt(saveJson(runs)) },
                { text: t("results.png"), run: () => attempt(pictureOf(shown, runs).then((picture) => save("gantry-compare.png", picture))) },
              ]}
            />
            <Button small look="quiet" label={t("results.clear")} icon={<Trash2 size={15} aria-hidden />} onClick={clear} />
          </div>
        }
      >
        <RunTable runs={runs} shown={shown} pick={setPicked} />
      </Card>
      <Card flush title={t("charts", { time: new Date(shown.at).toLocaleTimeString(localeOf(languageNow())) })}>
        <Charts run={shown} runs={runs} />
      </Card>
      <PanelTable run={shown} />
    </>
  );
}

function RunTable({ runs, shown, pick }: { runs: Run[]; shown: Run; pick: (at: number) => void }) {
  const lines = runs.flatMap((run) => targetsOf(run).map((target) => ({ run, target, sums: totals(target.samples, run.wallMs) })));
  const most = (of: (line: (typeof lines)[number]) => number) => Math.max(...lines.map(of).filter(Number.isFinite), 0);
  const [ttft, tpot, speed] = [most((line) => line.sums.ttft.mean), most((line) => line.sums.tpot.mean), most((line) => line.sums.throughput)];
  return (
    <div className="table-wrap" tabIndex={0} role="region" aria-label={t("results")}>
      <table className="table results scrolled">
        <thead>
          <tr>
            <th scope="col">{t("results.when")}</th>
            <th scope="col">{t("model")}</th>
            <th scope="col" className="right">{t("results.panels")}</th>
            <th scope="col" className="right">{t("results.rounds")}</th>
            <th scope="col" className="right">{t("results.ttft")}</th>
            <th scope="col" className="right">{t("results.tpot")}</th>
            <th scope="col" className="right">{t("results.itl")}</th>
            <th scope="col" className="right">{t("results.throughput")}</th>
            <th scope="col" className="right">{t("results.ok")}</th>
          </tr>
        </thead>
        <tbody>
          {lines.map(({ run, target, sums }) => (
            <tr key={`${run.at}/${targetName(target)}`}>
              <td>
                <button type="button" className="link-button" aria-pressed={run === shown} onClick={() => pick(run.at)}>
                  {new Date(run.at).toLocaleTimeString(localeOf(languageNow()))}
                </button>
              </td>
              <td className="break">{target.model}{target.own && <div className="small muted">{target.own}</div>}</td>
              <td className="right">{target.panels.length === run.models.length ? run.models.length : t("results.of", { n: target.panels.length, all: run.models.length })}</td>
              <td className="right">{run.rounds}</td>
              <Figure value={sums.ttft.mean} most={ttft} text={duration(sums.ttft.mean)} color={seriesColor(0)} />
              <Figure value={sums.tpot.mean} most={tpot} text={duration(sums.tpot.mean)} color={seriesColor(1)} />
              <td className="right">{digits(sums.itl.p50, 3)} / {digits(sums.itl.p99, 3)} ms</td>
              <Figure value={sums.throughput} most={speed} text={rate(sums.throughput)} color={seriesColor(2)} />
              <td className="right">{sums.failed === 0 ? sums.ok : t("results.failed", { ok: sums.ok, failed: sums.failed })}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="table-foot">{t("results.measure")}</p>
    </div>
  );
}

function Figure({ value, most, text, color }: { value: number; most: number; text: string; color: string }) {
  const width = Number.isFinite(value) && most > 0 ? (value / most) * 100 : 0;
  return (
    <td className="right figure">
      {text}
      <span className="bar" aria-hidden><span style={{ width: `${width}%`, background: `var(${color})` }} /></span>
    </td>
  );
}

function PanelTable({ run }: { run: Run }) {
  return (
    <Card flush title={t("results.by_panel", { time: new Date(run.at).toLocaleTimeString(localeOf(languageNow())) })}>
      <div className="table-wrap" tabIndex={0} role="region" aria-label={t("results.panels")}>
        <table className="table scrolled">
          <thead>
            <tr>
              <th scope="col">{t("results.panel")}</th>
              <th scope="col" className="right">TTFT</th>
              <th scope="col" className="right">TPOT</th>
              <th scope="col" className="right">{t("results.itl")}</th>
              <th scope="col" className="right">{t("results.prompt")}</th>
              <th scope="col" className="right">{t("results.cached")}</th>
              <th scope="col" className="right">{t("results.output")}</th>
              <th scope="col" className="right">{t("results.server")}</th>
            </tr>
          </thead>
          <tbody>
            {run.samples.flatMap((samples, panel) =>
              samples.map((sample, round) => {
                const itl = summarize(itlOf(sample));
                return (
                  <tr key={`${panel}/${round}`}>
                    <td>
                      <span className="row">
                        <span className="swatch" style={{ background: `var(${seriesColor(panel)})` }} aria-hidden />
                        <span className="break">{panel + 1} · {run.models[panel]}{run.rounds > 1 && <span className="muted"> · {t("results.round", { n: round + 1 })}</span>}</span>
                      </span>
                      {run.own[panel] && <div className="small muted break">{run.own[panel]}</div>}
                      {sample.error && <div className="wrong-text small">{sample.error}</div>}
                    </td>
                    <td className="right">{duration(ttftOf(sample))}</td>
                    <td className="right">{duration(tpotOf(sample))}</td>
                    <td className="right">{digits(itl.p50, 3)} / {digits(itl.p99, 3)} ms</td>
                    <td className="right">{sample.promptTokens}</td>
                    <td className="right">{sample.cachedTokens}</td>
                    <td className="right">{sample.outputTokens}{!sample.counted && " *"}</td>
                    <td className="right">{sample.server ? `${digits(sample.server.queueMs, 3)} / ${digits(sample.server.prefillMs, 3)} / ${digits(sample.server.decodeMs, 3)} ms` : "–"}</td>
                  </tr>
                );
              }),
            )}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
