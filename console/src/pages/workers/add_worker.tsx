// A token that a machine joins with, and the line to run there. It waits, live, until that machine is seen.
import { CircleCheck, LoaderCircle } from "lucide-react";
import { useRef, useState } from "react";
import { api } from "../../api/client.ts";
import type { NewJoinToken } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { useAll } from "../../live/store.ts";
import { Button, Code, Note, Problem, SelectField, TextField } from "../../ui/basics.tsx";
import { Dialog } from "../../ui/overlays.tsx";

const HOURS = [1, 24, 24 * 7];

export function AddWorker({ onClose }: { onClose: () => void }) {
  const workers = useAll("workers");
  const before = useRef(new Set(workers.map((worker) => worker.id)));
  const [token, setToken] = useState<NewJoinToken>();
  const [uses, setUses] = useState("1");
  const [hours, setHours] = useState("24");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const joined = workers.filter((worker) => !before.current.has(worker.id));
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

  async function make() {
    setBusy(true);
    try {
      setToken(await api<NewJoinToken>("POST", "/api/v1/join-tokens", { uses: Number(uses) || 1, expires_in_seconds: Number(hours) * 3600 }));
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  }
  return (
    <Dialog open wide onClose={onClose} title={t("workers.add")} about={t("workers.add.about")}>
      {!token ? (
        <>
          <div className="fields">
            <TextField label={t("workers.add.uses")} type="number" min={1} value={uses} onChange={(event) => setUses(event.target.value)} />
            <SelectField label={t("workers.add.lasts")} value={hours} onChange={(event) => setHours(event.target.value)}>
              {HOURS.map((n) => <option key={n} value={n}>{t("hours", { n })}</option>)}
            </SelectField>
          </div>
          {error !== undefined && <Problem error={error} />}
          <div className="row"><Button className="end" onClick={onClose}>{t("cancel")}</Button><Button look="primary" busy={busy} onClick={() => void make()}>{t("workers.add.make")}</Button></div>
        </>
      ) : (
        <>
          <p>{t("workers.add.run")}</p>
          <Code label={t("workers.add.command")} text={`curl -fsS '${location.origin}/join.sh?token=${token.secret}' | sh`} />
          {local && <Note look="warn">{t("workers.add.local")}</Note>}
          <p className="small muted">{t("workers.add.secret")}</p>
          {joined.length === 0 ? (
            <div className="note" role="status"><LoaderCircle size={17} className="spin" aria-hidden /><div>{t("workers.add.waits")}</div></div>
          ) : (
            joined.map((worker) => <div key={worker.id} className="note good" role="status"><CircleCheck size={17} aria-hidden /><div><strong>{worker.name}</strong> {t("workers.add.joined", { n: worker.devices.length })}</div></div>)
          )}
          <div className="row"><Button className="end" look="primary" onClick={onClose}>{t("close")}</Button></div>
        </>
      )}
    </Dialog>
  );
}
