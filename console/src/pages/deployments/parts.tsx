// Where an instance is: on which devices of a worker, or, where several workers run it together, which part each of them has and how it is.
import type { Instance } from "../../api/types.ts";
import { t, told } from "../../i18n/index.ts";
import { bytes, percent } from "../../lib/format.ts";
import { State } from "../../ui/basics.tsx";

/** "cpu/0 1.2 GiB, nvidia/0 20 GiB": what an instance has of one worker. */
function devicesOn({ placement }: Instance, worker: string): string {
  return placement.claims.filter((claim) => claim.worker_id === worker).map((claim) => `${claim.device} ${bytes(claim.bytes)}`).join(", ");
}

export function placeOf(one: Instance): string {
  if (!one.worker_name) return t("instances.no_place");
  if (one.parts.length > 1) return t("instances.parts", { n: one.parts.length });
  const devices = devicesOn(one, one.worker_id);
  return devices ? `${one.worker_name}: ${devices}` : one.worker_name;
}

export function Parts({ of }: { of: Instance }) {
  if (of.parts.length < 2) return null;
  return (
    <ul className="parts small" aria-label={t("instances.parts.of", { id: of.id })}>
      {of.parts.map((part, at) => (
        <li key={part.worker_id}>
          <div className="row wrap"><strong className="break">{part.worker_name}</strong>{at === 0 && <span className="pill">{t("instances.parts.leads")}</span>}<State of={of.stopping ? "stopping" : part.state} /></div>
          <span className="muted break">{[
            devicesOn(of, part.worker_id),
            part.progress > 0 && part.progress < 1 ? percent(part.progress) : "",
            part.memory_bytes > 0 ? t("instances.resident", { bytes: bytes(part.memory_bytes) }) : "",
            part.restarts > 0 ? t("instances.restarts", { n: part.restarts }) : "",
          ].filter(Boolean).join(" · ")}</span>
          {part.reason && part.reason !== of.reason && <span className="break">{told(part.reason)}</span>}
        </li>
      ))}
    </ul>
  );
}
