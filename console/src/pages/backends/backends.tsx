// The engine products: what each takes, where each works now, and what to do where it does not.
import { ChevronDown, ExternalLink, Rocket, Search, Wrench } from "lucide-react";
import { useId, useMemo } from "react";
import { Link } from "wouter";
import { api } from "../../api/client.ts";
import type { Backend } from "../../api/types.ts";
import { t, told, word } from "../../i18n/index.ts";
import { basisOf, lookOf, textOf, versionsOf, works } from "../../lib/backends.ts";
import { useFetched } from "../../lib/fetched.ts";
import { useUrl } from "../../lib/url.ts";
import { useAll } from "../../live/store.ts";
import { Button, Card, classes, Empty, Loading, Note, Problem } from "../../ui/basics.tsx";
import { PageBody } from "../../ui/page.tsx";
import { OnWorkers } from "./on_workers.tsx";
import "./backends.css";

export default function Backends() {
  const workers = useAll("workers");
  const deployments = useAll("deployments");
  const basis = useMemo(() => basisOf(workers, deployments), [workers, deployments]);
  const backends = useFetched((signal) => api<{ items: Backend[] }>("GET", "/api/v1/backends", undefined, signal).then((all) => all.items), [basis]);
  const [filter, setFilter] = useUrl("q", "");
  const [open, setOpen] = useUrl("open", "");
  const wanted = filter.trim().toLowerCase();
  const shown = backends.value?.filter((one) => textOf(one).includes(wanted));
  const machineless = backends.value?.every((one) => one.workers.length === 0);
  return (
    <PageBody title={t("backends")} about={t("backends.about")}>
      {backends.error && <Problem error={backends.error} again={backends.again} />}
      {!backends.value && !backends.error && <Loading />}
      {machineless && (
        <section className="card">
          <Empty icon={<Wrench size={30} aria-hidden />} title={t("backends.no_workers")} actions={<Link className="button" href="~/workers">{t("workers")}</Link>}>{t("backends.no_workers.text")}</Empty>
        </section>
      )}
      {backends.value && (
        <div className="search">
          <Search size={16} aria-hidden />
          <input className="input" type="search" aria-label={t("filter")} placeholder={t("backends.filter")} value={filter} onChange={(event) => setFilter(event.target.value)} />
        </div>
      )}
      {shown?.length === 0 && <div className="row wrap"><span className="muted">{t("filter.none", { filter })}</span><Button small onClick={() => setFilter("")}>{t("filter.clear")}</Button></div>}
      {shown?.map((one) => <BackendCard key={one.name} of={one} open={open === one.name} toggle={() => setOpen(open === one.name ? "" : one.name)} />)}
    </PageBody>
  );
}

function BackendCard({ of, open, toggle }: { of: Backend; open: boolean; toggle: () => void }) {
  const details = useId();
  const ready = of.workers.filter(works).length;
  const look = lookOf(of);
  const pill = ready > 0 ? t("backends.works", { n: ready, of: of.workers.length }) : of.name === "custom" ? word("backends.state", "by_command") : t("backends.nowhere");
  const helped = ready === 0 ? of.workers.find((on) => on.next_step !== "") : undefined;
  return (
    <Card
      label={of.title}
      title={
        <span className="row wrap">
          <span className="break">{of.title}</span>
          <code className="tag">{of.name}</code>
          <span className={classes("pill", look)}>{pill}</span>
        </span>
      }
      actions={<Link className="button small" href={`~/deployments/new?backend=${encodeURIComponent(of.name)}`}><Rocket size={15} aria-hidden />{t("backends.deploy")}</Link>}
    >
      <p>{word("backends.summary", of.name)} {of.homepage && <a className="nowrap" href={of.homepage} target="_blank" rel="noreferrer noopener" aria-label={t("backends.home", { name: of.title })}>{t("backends.homepage")} <ExternalLink size={13} aria-hidden /></a>}</p>
      <Facts of={of} />
      {helped && <Note look="warn" title={`${helped.worker_name}: ${told(helped.reason)}`}><br />{told(helped.next_step)}</Note>}
      {of.workers.length > 0 && (
        <div>
          <Button small look="quiet" className="unfold" aria-expanded={open} aria-controls={open ? details : undefined} icon={<ChevronDown size={16} aria-hidden />} onClick={toggle}>{t("backends.details", { n: of.workers.length })}</Button>
        </div>
      )}
      {open && <div id={details} className="stack"><OnWorkers of={of} /></div>}
    </Card>
  );
}

function Facts({ of }: { of: Backend }) {
  const versions = versionsOf(of);
  const many = of.workers.length > 1;
  return (
    <dl className="facts wide">
      <div><dt>{t("version")}</dt><dd>{versions.map(({ version, workers }) => (many ? t("backends.version", { version, n: workers }) : version)).join(", ") || "–"}</dd></div>
      <div><dt>{t("backends.formats")}</dt><dd>{of.formats.join(", ") || t("backends.anything")}</dd></div>
      <div><dt>{t("backends.modalities")}</dt><dd>{of.modalities.map((one) => word("catalogue.modality", one)).join(", ") || t("backends.anything")}</dd></div>
      <div><dt>{t("backends.memory")}</dt><dd>{t(of.can_offload ? "backends.memory.offload" : "backends.memory.whole")}</dd></div>
      <div><dt>{t("backends.spanning")}</dt><dd>{word("backends.spanning", of.spanning ?? "none")}</dd></div>
      <div>
        <dt>{t("deployments")}</dt>
        <dd className="row wrap">{of.deployments.map((one) => <Link key={one.id} className="break" href={`~/deployments/${encodeURIComponent(one.id)}`}>{one.name}</Link>)}{of.deployments.length === 0 && "–"}</dd>
      </div>
    </dl>
  );
}
