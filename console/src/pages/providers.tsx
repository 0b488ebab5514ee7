// Other people's OpenAI-compatible APIs, some of whose models are models here.
import { Plug, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, list } from "../api/client.ts";
import type { Provider, ProviderTest } from "../api/types.ts";
import { t } from "../i18n/index.ts";
import { useFetched } from "../lib/fetched.ts";
import { Button, Empty, Loading, Problem, State, TextArea, TextField } from "../ui/basics.tsx";
import { attempt, Confirm, FormDialog, say } from "../ui/overlays.tsx";
import { PageBody } from "../ui/page.tsx";
import { type Column, Table } from "../ui/table.tsx";

const pathOf = (provider: Provider) => `/api/v1/providers/${encodeURIComponent(provider.id)}`;

async function check(provider: Provider): Promise<void> {
  const found = await api<ProviderTest>("POST", `${pathOf(provider)}/test`, {});
  if (found.reachable && !found.error) say(t("providers.works", { name: provider.name, n: found.models.length }));
  else say(t("providers.fails", { name: provider.name, why: found.error ?? `HTTP ${found.status ?? "–"}` }), true);
}

export default function Providers() {
  const providers = useFetched((signal) => list<Provider>("/api/v1/providers", signal), []);
  const [making, setMaking] = useState<Provider | "new">();
  const [deleting, setDeleting] = useState<Provider>();
  const make = <Button look="primary" icon={<Plus size={16} aria-hidden />} onClick={() => setMaking("new")}>{t("providers.make")}</Button>;
  const columns: Column<Provider>[] = [
    { key: "name", title: t("name"), lead: true, by: (one) => one.name, cell: (one) => <strong className="break">{one.name}</strong> },
    { key: "url", title: t("providers.url"), by: (one) => one.base_url, cell: (one) => <span className="mono small break">{one.base_url}</span> },
    { key: "models", title: t("models"), cell: (one) => <span className="row wrap">{one.models.map((model) => <span key={model} className="tag">{one.name}/{model}</span>)}</span> },
    { key: "key", title: t("key"), cell: (one) => (one.has_api_key ? t("providers.has_key") : t("providers.no_key")) },
    { key: "state", title: t("state"), by: (one) => String(one.disabled), cell: (one) => <State of={one.disabled ? "disabled" : "active"} /> },
  ];
  return (
    <PageBody title={t("providers")} about={t("providers.about")} actions={make}>
      {providers.error && <Problem error={providers.error} again={providers.again} />}
      {!providers.value && !providers.error && <Loading />}
      {providers.value && (
        <Table
          label={t("providers")}
          rows={providers.value}
          id={(one) => one.id}
          columns={columns}
          sort="name"
          text={(one) => `${one.name} ${one.base_url} ${one.models.join(" ")}`}
          actions={(one) => (
            <span className="row end">
              <Button small look="quiet" onClick={() => attempt(check(one))}>{t("providers.test")}</Button>
              <Button small look="quiet" onClick={() => setMaking(one)}>{t("edit")}</Button>
              <Button small look="quiet" onClick={() => attempt(api("PATCH", pathOf(one), { disabled: !one.disabled, version: one.version }).then(providers.again))}>{one.disabled ? t("enable") : t("disable")}</Button>
              <Button small look="quiet" label={t("delete.of", { name: one.name })} icon={<Trash2 size={15} aria-hidden />} onClick={() => setDeleting(one)} />
            </span>
          )}
          empty={<Empty icon={<Plug size={30} aria-hidden />} title={t("providers.none")} actions={make}>{t("providers.none.text")}</Empty>}
        />
      )}
      {making && <Edit provider={making === "new" ? undefined : making} done={providers.again} onClose={() => setMaking(undefined)} />}
      {deleting && (
        <Confirm title={t("providers.delete")} about={t("providers.delete.about")} name={deleting.name} action={t("delete")} onClose={() => setDeleting(undefined)} submit={async () => {
          await api("DELETE", pathOf(deleting));
          say(t("deleted", { name: deleting.name }));
          providers.again();
        }} />
      )}
    </PageBody>
  );
}

function Edit({ provider, done, onClose }: { provider: Provider | undefined; done: () => void; onClose: () => void }) {
  const [name, setName] = useState(provider?.name ?? "");
  const [url, setUrl] = useState(provider?.base_url ?? "");
  const [models, setModels] = useState(provider?.models.join("\n") ?? "");
  const [key, setKey] = useState("");
  async function submit() {
    const fields = { base_url: url.trim(), models: models.split(/\s+/).filter(Boolean), ...(key ? { api_key: key } : {}) };
    if (provider) await api("PATCH", pathOf(provider), { ...fields, version: provider.version });
    else await api("POST", "/api/v1/providers", { name: name.trim(), ...fields });
    done();
  }
  return (
    <FormDialog title={provider ? provider.name : t("providers.make")} about={t("providers.edit.about")} action={t("save")} ready={name.trim() !== "" && url.trim() !== ""} submit={submit} onClose={onClose}>
      {!provider && <TextField label={t("name")} autoFocus required value={name} onChange={(event) => setName(event.target.value)} />}
      <TextField label={t("providers.url")} className="mono" value={url} placeholder="https://api.example.com/v1" onChange={(event) => setUrl(event.target.value)} />
      <TextArea label={t("models")} rows={3} value={models} hint={t("providers.models.hint")} onChange={(event) => setModels(event.target.value)} />
      <TextField label={t("key")} type="password" autoComplete="off" value={key} hint={provider?.has_api_key ? t("providers.key.keep") : t("providers.key.hint")} onChange={(event) => setKey(event.target.value)} />
    </FormDialog>
  );
}
