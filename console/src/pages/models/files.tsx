// The files that came from hubs, machine by machine: how far, who uses them; fetched ahead, paused, read again, deleted.
import { Download, HardDriveDownload, Pause, Play, ShieldCheck, Trash2 } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { api } from "../../api/client.ts";
import type { ModelFiles } from "../../api/types.ts";
import { t, told } from "../../i18n/index.ts";
import { bytes } from "../../lib/format.ts";
import { useModelFiles } from "../../lib/model_files.ts";
import { byText } from "../../lib/order.ts";
import { transferOf } from "../../lib/transfer.ts";
import { useUrl } from "../../lib/url.ts";
import { Button, Empty, Loading, Problem, State, Time } from "../../ui/basics.tsx";
import { attempt, Confirm, FormDialog, say } from "../../ui/overlays.tsx";
import { type Column, Table } from "../../ui/table.tsx";
import { TransferLine } from "../../ui/transfer.tsx";
import { HubSearch } from "../deployments/hub_search.tsx";
import { SourceInput } from "../deployments/source_input.tsx";
import { ModelsPage } from "./models.tsx";

/** The same source has the same id on every machine. */
function keyOf(files: ModelFiles): string {
  return `${files.worker_id}/${files.id}`;
}

function change(method: string, files: ModelFiles, what = ""): Promise<unknown> {
  return api(method, `/api/v1/model-files/${encodeURIComponent(files.id)}${what}?worker=${encodeURIComponent(files.worker_id)}`);
}

export default function Files() {
  const files = useModelFiles();
  const [fetching, setFetching] = useState(false);
  const fetch = <Button look="primary" icon={<Download size={16} aria-hidden />} onClick={() => setFetching(true)}>{t("files.fetch")}</Button>;
  return (
    <ModelsPage actions={fetch}>
      {files.error && !files.value && <Problem error={files.error} />}
      {files.value ? <FileTable rows={files.value} fetch={fetch} /> : !files.error && <Loading />}
      {fetching && <Fetch onClose={() => setFetching(false)} />}
    </ModelsPage>
  );
}

function FileTable({ rows, fetch }: { rows: ModelFiles[]; fetch: React.ReactNode }) {
  const [deleting, setDeleting] = useState<ModelFiles>();
  const [reading, setReading] = useState("");
  const [worker, setWorker] = useUrl("worker", "");
  const verify = (one: ModelFiles) => {
    setReading(keyOf(one));
    attempt(change("POST", one, "/verify").finally(() => setReading("")), t("files.verified", { source: one.source }));
  };
  const workers = [...new Set(rows.map((one) => one.worker_name))].sort(byText);
  // One that has none any more is not looked for.
  const shown = workers.includes(worker) ? rows.filter((one) => one.worker_name === worker) : rows;
  const columns: Column<ModelFiles>[] = [
    { key: "source", title: t("source"), lead: true, by: (one) => one.source, cell: (one) => <span className="source strong" title={one.files.join("\n")}>{one.source}</span> },
    { key: "worker", title: t("files.worker"), by: (one) => one.worker_name, cell: (one) => one.worker_name },
    { key: "state", title: t("state"), by: (one) => one.state, cell: (one) => <FileState of={one} /> },
    { key: "size", title: t("files.size"), right: true, by: (one) => one.bytes, cell: (one) => (one.bytes > 0 ? bytes(one.bytes) : "–") },
    { key: "files", title: t("files"), right: true, by: (one) => one.files.length, cell: (one) => (one.files.length > 0 ? one.files.length : "–") },
    { key: "used", title: t("files.used_by"), by: (one) => one.used_by.length, cell: (one) => (one.used_by.length > 0 ? <span className="row wrap">{one.used_by.map((name) => <Link key={name} className="tag" href={`~/deployments/${encodeURIComponent(name)}`}>{name}</Link>)}</span> : <span className="muted">{t("files.nobody")}</span>) },
    { key: "fetched", title: t("files.fetched"), by: (one) => one.fetched_at ?? "", cell: (one) => <Time at={one.fetched_at} /> },
  ];
  return (
    <>
      <Table
        label={t("files")}
        rows={shown}
        id={keyOf}
        columns={columns}
        sort="source"
        text={(one) => `${one.source} ${one.files.join(" ")} ${one.used_by.join(" ")} ${one.state} ${one.worker_name}`}
        tools={workers.length > 1 && <Workers of={rows} names={workers} value={worker} onChange={setWorker} />}
        actions={(one) => (
          <span className="row end">
            {one.state === "ready" && <Link className="button small quiet" href={`~/deployments/new?source=${encodeURIComponent(one.source)}`}>{t("models.deploy")}</Link>}
            {one.state === "ready" && <Button small look="quiet" busy={reading === keyOf(one)} label={t("files.verify_of", { source: one.source })} icon={<ShieldCheck size={15} aria-hidden />} onClick={() => verify(one)} />}
            {one.state === "downloading" && <Button small look="quiet" label={t("files.pause_of", { source: one.source })} icon={<Pause size={15} aria-hidden />} onClick={() => attempt(change("POST", one, "/pause"))} />}
            {one.state === "paused" && <Button small look="quiet" label={t("files.resume_of", { source: one.source })} icon={<Play size={15} aria-hidden />} onClick={() => attempt(change("POST", one, "/resume"))} />}
            <Button small look="quiet" disabled={one.used_by.length > 0} label={one.used_by.length > 0 ? t("files.in_use") : t("delete.of", { name: one.source })} icon={<Trash2 size={15} aria-hidden />} onClick={() => setDeleting(one)} />
          </span>
        )}
        empty={<Empty icon={<HardDriveDownload size={30} aria-hidden />} title={t("files.none")} actions={fetch}>{t("files.none.text")}</Empty>}
      />
      {deleting && (
        <Confirm
          title={deleting.state === "ready" ? t("files.delete") : t("files.stop")}
          about={deleting.state === "ready" ? t("files.delete.about", { size: bytes(deleting.bytes), worker: deleting.worker_name }) : t("files.stop.about")}
          name={deleting.source}
          action={t("delete")}
          onClose={() => setDeleting(undefined)}
          submit={async () => {
            await change("DELETE", deleting);
            say(t("deleted", { name: deleting.source }));
          }}
        />
      )}
    </>
  );
}

/** All, or those of one machine, with what they take there. */
function Workers({ of, names, value, onChange }: { of: ModelFiles[]; names: string[]; value: string; onChange: (name: string) => void }) {
  const sizeOf = (name: string) => bytes(of.filter((one) => one.worker_name === name && one.state === "ready").reduce((sum, one) => sum + one.bytes, 0));
  return (
    <select className="input" aria-label={t("files.worker")} value={names.includes(value) ? value : ""} onChange={(event) => onChange(event.target.value)}>
      <option value="">{t("files.all_workers")}</option>
      {names.map((name) => <option key={name} value={name}>{`${name} · ${sizeOf(name)}`}</option>)}
    </select>
  );
}

function FileState({ of }: { of: ModelFiles }) {
  return (
    <div className="stack state-line">
      <div><State of={of.state} /></div>
      {(of.state === "downloading" || of.state === "paused") && <TransferLine of={transferOf(of)} label={of.source} />}
      {of.state === "failed" && of.reason && <span className="small wrong-text">{told(of.reason)}</span>}
    </div>
  );
}

function Fetch({ onClose }: { onClose: () => void }) {
  const [source, setSource] = useState("");
  return (
    <FormDialog
      wide
      title={t("files.fetch")}
      about={t("files.fetch.about")}
      action={t("files.fetch")}
      ready={source.trim() !== ""}
      onClose={onClose}
      submit={async () => {
        const made = await api<ModelFiles>("POST", "/api/v1/model-files", { source: source.trim() });
        say(made.state === "ready" ? t("files.here", { source: made.source }) : t("files.on_the_way", { source: made.source }));
      }}
    >
      <SourceInput value={source} placeholder="hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M" hint={t("files.source.hint")} onChange={setSource} />
      <HubSearch pick={setSource} />
    </FormDialog>
  );
}
