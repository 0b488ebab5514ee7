// The instances of a deployment: where each is and why, its log, and what it went through.
import { FileText, HelpCircle, History, RotateCcw } from "lucide-react";
import { useState } from "react";
import { api } from "../../api/client.ts";
import type { Decision, Instance } from "../../api/types.ts";
import { t, told } from "../../i18n/index.ts";
import { useFetched } from "../../lib/fetched.ts";
import { bytes, percent } from "../../lib/format.ts";
import { transferOfInstance } from "../../lib/transfer.ts";
import { Button, Card, Loading, Problem, State, Time } from "../../ui/basics.tsx";
import { Confirm, Dialog, say } from "../../ui/overlays.tsx";
import { TransferLine } from "../../ui/transfer.tsx";
import { Judgement } from "./evaluation.tsx";
import { Logs } from "./logs.tsx";
import { Parts, placeOf } from "./parts.tsx";
import { Timeline } from "./timeline.tsx";

export function Instances({ instances, admin }: { instances: Instance[]; admin: boolean }) {
  // Which one's log, or timeline, stands below: "logs ins_1".
  const [open, setOpen] = useState("");
  const [why, setWhy] = useState<Instance>();
  const [restart, setRestart] = useState<Instance>();
  const [what, id] = open.split(" ");
  const shown = instances.find((one) => one.id === id);
  const toggle = (wanted: string) => setOpen((now) => (now === wanted ? "" : wanted));
  return (
    <>
      <Card flush title={t("instances")}>
        {instances.length === 0 && <p className="muted pad">{t("instances.none")}</p>}
        <ul className="lines instances">
          {instances.map((one) => {
            const transfer = transferOfInstance(one);
            return (
            <li key={one.id}>
              <div className="instance-what">
                <div className="row wrap"><State of={one.stopping ? "stopping" : one.state} /><span className="mono small muted">{one.id}</span></div>
                <span className="small muted break">{placeOf(one)}{one.memory_bytes > 0 && ` · ${t("instances.resident", { bytes: bytes(one.memory_bytes) })}`}{one.restarts > 0 && ` · ${t("instances.restarts", { n: one.restarts })}`} · <Time at={one.state_since} /></span>
                {transfer && <TransferLine of={transfer} label={t("instances.progress")} />}
                {!transfer && one.progress > 0 && one.progress < 1 && !one.stopping && <div className="progress" role="progressbar" aria-label={t("instances.progress")} aria-valuenow={Math.round(one.progress * 100)}><span style={{ width: percent(one.progress).replace(" ", "") }} /></div>}
                <Parts of={one} />
                {!transfer && one.reason && <span className="small break">{told(one.reason)}</span>}
              </div>
              <div className="row wrap end">
                <Button small look="quiet" aria-pressed={open === `timeline ${one.id}`} icon={<History size={15} aria-hidden />} onClick={() => toggle(`timeline ${one.id}`)}>{t("timeline")}</Button>
                {admin && (
                  <>
                  <Button small look="quiet" icon={<HelpCircle size={15} aria-hidden />} onClick={() => setWhy(one)}>{t("instances.why")}</Button>
                  <Button small look="quiet" aria-pressed={open === `logs ${one.id}`} icon={<FileText size={15} aria-hidden />} onClick={() => toggle(`logs ${one.id}`)}>{t("logs")}</Button>
                  <Button small look="quiet" icon={<RotateCcw size={15} aria-hidden />} onClick={() => setRestart(one)}>{t("restart")}</Button>
                  </>
                )}
              </div>
            </li>
            );
          })}
        </ul>
      </Card>
      {shown && (what === "logs" ? <Logs key={shown.id} instance={shown} /> : <Timeline key={shown.id} instance={shown} />)}
      {why && <Why of={why} onClose={() => setWhy(undefined)} />}
      {restart && (
        <Confirm
          title={t("instances.restart")}
          about={t("instances.restart.about", { id: restart.id })}
          action={t("restart")}
          onClose={() => setRestart(undefined)}
          submit={async () => {
            await api("DELETE", `/api/v1/instances/${encodeURIComponent(restart.id)}`);
            say(t("instances.restarting"));
          }}
        />
      )}
    </>
  );
}

function Why({ of, onClose }: { of: Instance; onClose: () => void }) {
  const decision = useFetched((signal) => api<Decision>("GET", `/api/v1/instances/${encodeURIComponent(of.id)}/decision`, undefined, signal), [of.id]);
  return (
    <Dialog open wide onClose={onClose} title={t("instances.why.title")} about={t("instances.why.about")}>
      {decision.error && <Problem error={decision.error} again={decision.again} />}
      {decision.loading && !decision.value && <Loading />}
      {decision.value && <Judgement of={decision.value} />}
      <div className="row"><Button className="end" onClick={onClose}>{t("close")}</Button></div>
    </Dialog>
  );
}
