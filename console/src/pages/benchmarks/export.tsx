// Results as files: the reports as `gantry bench --json` prints them, or a line a run for a spreadsheet.
import { Download } from "lucide-react";
import { api } from "../../api/client.ts";
import type { Benchmark, BenchmarkWithResult } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { toCsv } from "../../lib/benchmarks.ts";
import { save } from "../../lib/save.ts";
import { Button } from "../../ui/basics.tsx";
import { attempt, Menu } from "../../ui/overlays.tsx";
import { pathOf } from "./actions.tsx";

/** One report, or a list of several. */
async function saveJson(benchmarks: readonly Benchmark[], name: string): Promise<void> {
  const whole = await Promise.all(benchmarks.map((one) => api<BenchmarkWithResult>("GET", pathOf(one.id))));
  const reports = whole.map((one) => one.result);
  save(`${name}.json`, new Blob([JSON.stringify(reports.length === 1 ? reports[0] : reports, null, 1)], { type: "application/json" }));
}

export function Save({ benchmarks }: { benchmarks: readonly Benchmark[] }) {
  const name = `gantry-${benchmarks.length === 1 ? (benchmarks[0]?.id ?? "benchmark") : "benchmarks"}`;
  return (
    <Menu
      trigger={<Button icon={<Download size={16} aria-hidden />}>{t("results.save")}</Button>}
      entries={[
        { text: t("benchmarks.csv"), run: () => save(`${name}.csv`, new Blob([toCsv(benchmarks)], { type: "text/csv" })) },
        { text: t("benchmarks.json"), run: () => attempt(saveJson(benchmarks, name)) },
      ]}
    />
  );
}
