// Measurements that the server makes and keeps: the list, and the way to one of them, to several side by side, or to a new one.
import { ChartColumnIncreasing, GitCompareArrows, Plus } from "lucide-react";
import { lazy, useState } from "react";
import { Link, Route, Switch, useLocation } from "wouter";
import type { Benchmark } from "../../api/types.ts";
import { t, word } from "../../i18n/index.ts";
import { SIDE_BY_SIDE_MOST } from "../../lib/benchmarks.ts";
import { percent, rate } from "../../lib/format.ts";
import { isAdmin, useMe } from "../../lib/session.ts";
import { useAll, useKnown } from "../../live/store.ts";
import { Button, classes, Empty, Loading, Time } from "../../ui/basics.tsx";
import { PageBody } from "../../ui/page.tsx";
import { type Column, Table } from "../../ui/table.tsx";
import { BenchmarkMenu } from "./actions.tsx";
import "./benchmarks.css";

const Create = lazy(() => import("./create.tsx"));
const Detail = lazy(() => import("./detail.tsx"));
const SideBySide = lazy(() => import("./side_by_side.tsx"));

export default function Benchmarks() {
  return (
    <Switch>
      <Route path="/" component={List} />
      <Route path="/new" component={Create} />
      <Route path="/compare" component={SideBySide} />
      <Route path="/:id">{({ id }) => <Detail key={id} id={decodeURIComponent(id ?? "")} />}</Route>
    </Switch>
  );
}

const LOOK: Record<string, string> = { done: "good", running: "busy", failed: "bad" };

export function BenchmarkState({ of }: { of: Benchmark }) {
  const { fraction } = of.progress;
  return (
    <div className="stack benchmark-state">
      <div className="row">
        <span className={classes("pill", LOOK[of.state])}>{word("benchmarks.state", of.state)}</span>
        {of.state === "running" && <span className="small muted num">{percent(fraction)}</span>}
        {of.before_it !== null && of.before_it > 0 && <span className="small muted">{t("benchmarks.before", { n: of.before_it })}</span>}
      </div>
      {of.state === "running" && (
        <div className="progress" role="progressbar" aria-label={of.name} aria-valuenow={Math.round(fraction * 100)}><span style={{ width: percent(fraction).replace(" ", "") }} /></div>
      )}
    </div>
  );
}

function bestOf(one: Benchmark): number {
  return Math.max(0, ...one.runs.map((run) => run.throughput_tok_s));
}

function List() {
  const admin = isAdmin(useMe());
  const known = useKnown();
  const benchmarks = useAll("benchmarks");
  const [picked, setPicked] = useState<string[]>([]);
  const [, go] = useLocation();
  const chosen = picked.filter((id) => benchmarks.some((one) => one.id === id));
  const start = <Link className="button primary" href="/new"><Plus size={16} aria-hidden />{t("benchmarks.make")}</Link>;
  const pick = (id: string, on: boolean) => setPicked((before) => (on ? [...before, id] : before.filter((one) => one !== id)));
  const columns: Column<Benchmark>[] = [
    {
      key: "pick", title: t("benchmarks.pick"), cell: (one) => (
        <input
          type="checkbox" className="pick" aria-label={t("benchmarks.pick.one", { name: one.name })} checked={chosen.includes(one.id)}
          disabled={one.runs.length === 0 || (!chosen.includes(one.id) && chosen.length >= SIDE_BY_SIDE_MOST)} onChange={(event) => pick(one.id, event.target.checked)}
        />
      ),
    },
    { key: "name", title: t("name"), lead: true, by: (one) => one.name, cell: (one) => <Link className="break strong" href={`/${encodeURIComponent(one.id)}`}>{one.name}</Link> },
    { key: "state", title: t("state"), by: (one) => one.state, cell: (one) => <BenchmarkState of={one} /> },
    { key: "kind", title: t("benchmarks.kind"), by: (one) => one.kind, cell: (one) => word("benchmarks.kind", one.kind) },
    { key: "at_once", title: t("benchmarks.at_once"), cell: (one) => <span className="num">{one.concurrencies.join(", ")}</span> },
    { key: "best", title: t("benchmarks.best"), right: true, by: bestOf, cell: (one) => (one.runs.length > 0 ? rate(bestOf(one)) : "–") },
    ...(admin ? [{ key: "user", title: t("user"), by: (one: Benchmark) => one.user_name, cell: (one: Benchmark) => one.user_name }] : []),
    { key: "created", title: t("created"), by: (one) => one.created_at, cell: (one) => <Time at={one.created_at} /> },
  ];
  const compare = (
    <Button icon={<GitCompareArrows size={16} aria-hidden />} disabled={chosen.length < 2} onClick={() => go(`/compare?ids=${chosen.join(",")}`)}>
      {t("benchmarks.side_by_side")}{chosen.length > 0 && ` (${chosen.length})`}
    </Button>
  );
  return (
    <PageBody title={t("benchmarks")} about={t("benchmarks.about")} actions={start}>
      {!known ? (
        <Loading />
      ) : (
        <Table
          label={t("benchmarks")}
          rows={benchmarks}
          id={(one) => one.id}
          columns={columns}
          sort="-created"
          text={(one) => `${one.name} ${one.kind} ${one.state} ${one.user_name} ${one.targets.map((target) => `${target.name} ${target.backend}`).join(" ")}`}
          tools={compare}
          actions={(one) => <BenchmarkMenu of={one} />}
          empty={<Empty icon={<ChartColumnIncreasing size={30} aria-hidden />} title={t("benchmarks.none")} actions={start}>{t("benchmarks.none.text")}</Empty>}
        />
      )}
    </PageBody>
  );
}
