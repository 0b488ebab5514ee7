// Several benchmarks side by side: which model, backend and number of cards is fastest. Which ones stands in the address.
import { GitCompareArrows } from "lucide-react";
import { Link } from "wouter";
import { t } from "../../i18n/index.ts";
import { linesOf, SIDE_BY_SIDE_MOST } from "../../lib/benchmarks.ts";
import { useUrl } from "../../lib/url.ts";
import { useKnown, useMap } from "../../live/store.ts";
import { Empty, Loading, Note } from "../../ui/basics.tsx";
import { PageBody } from "../../ui/page.tsx";
import { Save } from "./export.tsx";
import { Figures } from "./figures.tsx";

export default function SideBySide() {
  const known = useKnown();
  const all = useMap("benchmarks");
  const [ids] = useUrl("ids", "");
  const asked = [...new Set(ids.split(",").filter(Boolean))].slice(0, SIDE_BY_SIDE_MOST);
  const benchmarks = asked.flatMap((id) => all.get(id) ?? []);
  if (!known) return <Loading />;
  const lines = linesOf(benchmarks).filter((line) => line.runs.length > 0);
  const first = benchmarks[0];
  const alike = benchmarks.every((one) => first && one.kind === first.kind && one.prompt_tokens === first.prompt_tokens && one.output_tokens === first.output_tokens);
  return (
    <PageBody title={t("benchmarks.side_by_side")} about={benchmarks.map((one) => one.name).join(" · ")} actions={<><Link className="button" href="/">{t("benchmarks.others")}</Link>{lines.length > 0 && <Save benchmarks={benchmarks} />}</>}>
      {benchmarks.length < asked.length && <Note look="warn">{t("benchmarks.some_gone")}</Note>}
      {!alike && <Note look="warn">{t("benchmarks.unlike")}</Note>}
      {lines.length === 0 ? (
        <section className="card"><Empty icon={<GitCompareArrows size={30} aria-hidden />} title={t("benchmarks.nothing")} actions={<Link className="button" href="/">{t("benchmarks")}</Link>}>{t("benchmarks.nothing.text")}</Empty></section>
      ) : (
        <Figures lines={lines} />
      )}
    </PageBody>
  );
}
