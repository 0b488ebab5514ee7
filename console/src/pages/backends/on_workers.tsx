// One backend on each worker: its program, the devices that it can use, why not the others, and what to do.
import { CircleArrowRight } from "lucide-react";
import type { Backend, BackendOnWorker } from "../../api/types.ts";
import { t, told, word } from "../../i18n/index.ts";
import { nameOf, refusalsOf } from "../../lib/backends.ts";
import { classes, State } from "../../ui/basics.tsx";

const LOOK: Record<BackendOnWorker["state"], string | false> = { ready: "good", missing: "warn", refused: false, by_command: "busy", unknown: "warn" };

export function OnWorkers({ of }: { of: Backend }) {
  return (
    <>
      <ul className="on-workers" aria-label={t("backends.on_workers", { name: of.title })}>
        {of.workers.map((on) => <OnWorker key={on.worker_id} on={on} />)}
      </ul>
      {of.kv_types.length > 0 && <p className="small muted break">{t("backends.kv_types")}: <span className="mono">{of.kv_types.join(" ")}</span></p>}
      {of.flags.length > 0 && (
        <details className="small">
          <summary>{t("backends.flags", { n: of.flags.length })}</summary>
          <ul className="row wrap flags">{of.flags.map((flag) => <li key={flag.name} className="tag mono">{flag.name}{flag.takes && <span className="muted"> {flag.takes}</span>}</li>)}</ul>
        </details>
      )}
    </>
  );
}

function OnWorker({ on }: { on: BackendOnWorker }) {
  const usable = on.devices.filter((device) => device.works);
  const refusals = refusalsOf(on.devices);
  return (
    <li>
      <div className="row wrap">
        <strong className="break">{on.worker_name}</strong>
        <span className={classes("pill", LOOK[on.state])}>{word("backends.state", on.state)}</span>
        {on.worker_state !== "ready" && <State of={on.worker_state} />}
        {on.version && <span className="num">{on.version}</span>}
        {on.path && <code className="small muted break">{on.path}</code>}
      </div>
      {usable.length > 0 && (
        <div className="row wrap small">
          <span className="muted">{t(on.state === "missing" || on.state === "unknown" ? "backends.would_work" : "backends.works_on")}</span>
          {usable.map((device) => <span key={device.id} className="tag" title={device.name}>{nameOf(device)}</span>)}
        </div>
      )}
      {refusals.map((one) => (
        <div key={one.reason} className="row wrap small">
          <span className="muted">{t("backends.not_on")}</span>
          {one.devices.map((name) => <span key={name} className="tag">{name}</span>)}
          <span className="break">{told(one.reason)}</span>
        </div>
      ))}
      {on.reason && on.state !== "refused" && <p className="small break">{told(on.reason)}</p>}
      {on.next_step && <p className="row small next-step"><CircleArrowRight size={15} aria-hidden /><span className="break">{told(on.next_step)}</span></p>}
    </li>
  );
}
