// One benchmark: how far it is, what serves, the figures of its runs; live while it runs.
import { CircleStop, RotateCcw } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { api } from "../../api/client.ts";
import type { Benchmark } from "../../api/types.ts";
import { languageNow, t, word } from "../../i18n/index.ts";
import { isOver, linesOf } from "../../lib/benchmarks.ts";
import { short, whole } from "../../lib/format.ts";
import { useKnown, useMap } from "../../live/store.ts";
import { Button, Card, Empty, Loading, Note, Time } from "../../ui/basics.tsx";
import { attempt } from "../../ui/overlays.tsx";
import { PageBody } from "../../ui/page.tsx";
import { BenchmarkMenu, pathOf } from "./actions.tsx";
import { BenchmarkState } from "./benchmarks.tsx";
import { Save } from "./export.tsx";
import { Figures } from "./figures.tsx";

export default function Detail({ id }: { id: string }) {
  const known = useKnown();
  const benchmark = useMap("benchmarks").get(id);
  const [stopping, setStopping] = useState(false);
  if (!known) return <Loading />;
  if (!benchmark) {
    return (
      <div className="page">
        <Empty icon={null} title={t("benchmarks.missing")} actions={<Link className="button" href="/">{t("benchmarks")}</Link>}>{t("deployment.gone.text")}</Empty>
      </div>
    );
  }
  const over = isOver(benchmark);
  const cancel = () => {
    setStopping(true);
    attempt(api("POST", `${pathOf(id)}/cancel`, {}).finally(() => setStopping(false)), t("benchmarks.cancelled", { name: benchmark.name }));
  };
  const failed = benchmark.targets.filter((target) => target.error !== "");
  return (
    <PageBody
      title={benchmark.name}
      about={<>{word("benchmarks.kind", benchmark.kind)} · {benchmark.user_name} · <Time at={benchmark.created_at} /></>}
      actions={
        <>
          {over ? (
            <Link className="button" href={`/new?again=${encodeURIComponent(id)}`}><RotateCcw size={16} aria-hidden />{t("benchmarks.again")}</Link>
          ) : (
            <Button icon={<CircleStop size={16} aria-hidden />} busy={stopping} onClick={cancel}>{t("benchmarks.cancel")}</Button>
          )}
          {benchmark.runs.length > 0 && <Save benchmarks={[benchmark]} />}
          <BenchmarkMenu of={benchmark} leave />
        </>
      }
    >
      <Now of={benchmark} />
      {failed.map((target) => <Note key={target.name} look={benchmark.state === "failed" ? "bad" : "warn"} title={target.name}>{target.error}</Note>)}
      {benchmark.runs.length > 0 && <Figures lines={linesOf([benchmark])} />}
      <Facts of={benchmark} />
    </PageBody>
  );
}

function Now({ of }: { of: Benchmark }) {
  const { progress } = of;
  const language = languageNow();
  const total = progress.requests_total === null ? "" : ` / ${whole(progress.requests_total, language)}`;
  const where = of.state === "running" && progress.target !== null ? (progress.concurrency === null ? progress.target : t("benchmarks.now", { target: progress.target, n: progress.concurrency })) : "";
  return (
    <Card label={t("state")}>
      <div className="now">
        <BenchmarkState of={of} />
        <dl className="facts">
          <div><dt>{t("benchmarks.requests_done")}</dt><dd className="num">{whole(progress.requests_done, language)}{total}{progress.requests_failed > 0 && <span className="wrong-text"> · {t("overview.failed", { n: whole(progress.requests_failed, language) })}</span>}</dd></div>
          <div><dt>{t("usage.completion")}</dt><dd className="num">{short(progress.output_tokens)}</dd></div>
          {where && <div><dt>{t("benchmarks.measures")}</dt><dd className="break">{where}</dd></div>}
        </dl>
      </div>
      {of.reason && !of.targets.some((target) => target.error && of.reason.includes(target.error)) && <Note {...(of.state === "failed" ? { look: "bad" as const } : {})}>{of.reason}</Note>}
    </Card>
  );
}

function Facts({ of }: { of: Benchmark }) {
  const language = languageNow();
  const facts: [string, React.ReactNode][] = [
    [t("benchmarks.at_once"), of.concurrencies.join(", ")],
    ...(of.prompt_tokens === null ? [] : [[t("benchmarks.prompt"), whole(of.prompt_tokens, language)] as [string, string]]),
    ...(of.shared_prefix_tokens ? [[t("benchmarks.shared"), whole(of.shared_prefix_tokens, language)] as [string, string]] : []),
    [t("benchmarks.output"), whole(of.output_tokens, language)],
    ...(of.duration_seconds === null ? [] : [[t("benchmarks.seconds"), whole(of.duration_seconds, language)] as [string, string]]),
    ...(of.requests === null ? [] : [[t("benchmarks.requests"), whole(of.requests, language)] as [string, string]]),
    ...(of.rounds === null ? [] : [[t("compare.rounds"), of.rounds] as [string, number]]),
    [t("benchmarks.temperature"), of.temperature],
    [t("benchmarks.seed"), of.seed],
    ...(of.ignore_eos ? [[t("benchmarks.ignore_eos"), "✓"] as [string, string]] : []),
    ["ID", <span key="id" className="mono">{of.id}</span>],
  ];
  return (
    <Card title={t("benchmarks.asked")}>
      <dl className="facts">
        {facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd className="num">{value}</dd></div>)}
      </dl>
      <div className="stack tight">
        {of.targets.map((target) => (
          <div key={target.name} className="target-facts">
            <strong className="break">{target.name}</strong>
            <span className="small muted break">{[target.backend, target.devices, target.version, target.url].filter(Boolean).join(" · ") || t("benchmarks.not_yet")}</span>
            {target.flags && <span className="small mono break">{target.flags}</span>}
          </div>
        ))}
      </div>
    </Card>
  );
}
