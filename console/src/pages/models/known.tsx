// The models known here, with the facts of their files.
import { FileBox, Plus } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { api } from "../../api/client.ts";
import type { Model } from "../../api/types.ts";
import { languageNow, t } from "../../i18n/index.ts";
import { bytes, parameters, whole } from "../../lib/format.ts";
import { byText } from "../../lib/order.ts";
import { isAdmin, useMe } from "../../lib/session.ts";
import { useUrl } from "../../lib/url.ts";
import { useAll, useKnown } from "../../live/store.ts";
import { Button, Empty, Loading, TextField } from "../../ui/basics.tsx";
import { Confirm, FormDialog, say } from "../../ui/overlays.tsx";
import { sourceOf } from "../deployments/form.ts";
import { ModelsPage } from "./models.tsx";

export function Known() {
  const admin = isAdmin(useMe());
  const known = useKnown();
  const models = useAll("models");
  const [filter, setFilter] = useUrl("q", "");
  const [adding, setAdding] = useState(false);
  const wanted = filter.trim().toLowerCase();
  const shown = models.filter((model) => `${model.name} ${model.source} ${model.meta.architecture} ${model.meta.quantization}`.toLowerCase().includes(wanted)).sort((a, b) => byText(a.name, b.name));
  const add = admin && <Button look="primary" icon={<Plus size={16} aria-hidden />} onClick={() => setAdding(true)}>{t("models.add")}</Button>;
  return (
    <ModelsPage actions={add}>
      {!known && <Loading />}
      {known && models.length === 0 && <section className="card"><Empty icon={<FileBox size={30} aria-hidden />} title={t("models.none")} actions={add}>{t("models.none.text")}</Empty></section>}
      {models.length > 3 && <div className="search"><input className="input" type="search" aria-label={t("filter")} placeholder={t("filter")} value={filter} onChange={(event) => setFilter(event.target.value)} /></div>}
      {models.length > 0 && shown.length === 0 && <p className="muted">{t("filter.none", { filter })}</p>}
      <div className="grid">{shown.map((model) => <ModelCard key={model.id} model={model} admin={admin} />)}</div>
      {adding && <Add onClose={() => setAdding(false)} />}
    </ModelsPage>
  );
}

function ModelCard({ model, admin }: { model: Model; admin: boolean }) {
  const { meta } = model;
  const [deleting, setDeleting] = useState(false);
  const deployments = useAll("deployments").filter((one) => one.source === model.source);
  const facts: [string, string][] = [
    [t("meta.parameters"), meta.parameter_count > 0 ? parameters(meta.parameter_count) : "–"],
    [t("meta.file"), meta.file_bytes > 0 ? bytes(meta.file_bytes) : "–"],
    [t("meta.quantization"), meta.quantization || meta.dtype || "–"],
    [t("meta.context"), meta.context_length > 0 ? whole(meta.context_length, languageNow()) : "–"],
  ];
  const use = meta.pooling === "rank" ? t("meta.rerank") : meta.pooling ? t("meta.embed") : t("meta.write");
  return (
    <section className="card model-card" aria-label={model.name}>
      <div className="stack tight">
        <h2 className="break">{model.name}</h2>
        <div className="row wrap"><span className="tag">{use}</span>{meta.architecture && <span className="tag">{meta.architecture}</span>}</div>
      </div>
      <dl className="facts small">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd className="num">{value}</dd></div>)}</dl>
      <p className="small muted break mono">{model.source}</p>
      <div className="row wrap model-foot">
        {deployments.map((one) => <Link key={one.id} className="tag" href={`~/deployments/${encodeURIComponent(one.id)}`}>{one.name}</Link>)}
        {admin && (
          <span className="row end">
            {deployments.length === 0 && <Button small look="quiet" onClick={() => setDeleting(true)}>{t("models.forget")}</Button>}
            <Link className="button small" href={`~/deployments/new?source=${encodeURIComponent(model.source)}`}>{t("models.deploy")}</Link>
          </span>
        )}
      </div>
      {deleting && (
        <Confirm title={t("models.forget.title")} about={t("models.forget.about", { name: model.name })} action={t("models.forget")} onClose={() => setDeleting(false)} submit={async () => {
          await api("DELETE", `/api/v1/models/${encodeURIComponent(model.id)}`);
          say(t("deleted", { name: model.name }));
        }} />
      )}
    </section>
  );
}

function Add({ onClose }: { onClose: () => void }) {
  const [source, setSource] = useState("");
  return (
    <FormDialog title={t("models.add")} about={t("models.add.about")} action={t("models.add")} ready={source.trim() !== ""} onClose={onClose} submit={async () => void (await api("POST", "/api/v1/models", { source: sourceOf(source) }))}>
      <TextField label={t("source")} className="mono" autoFocus value={source} placeholder="file:/models/model.gguf" onChange={(event) => setSource(event.target.value)} />
    </FormDialog>
  );
}
