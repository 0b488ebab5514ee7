// Keys that programs show. A new one's secret is shown once.
import { KeyRound, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, list } from "../api/client.ts";
import type { Key, KeyCreate, NewKey } from "../api/types.ts";
import { t, word } from "../i18n/index.ts";
import { type Fetched, useFetched } from "../lib/fetched.ts";
import { limitsOf, modelsOf, NO_LIMITS, onlySet, textsOf } from "../lib/limits.ts";
import { isAdmin, useMe } from "../lib/session.ts";
import { Button, Checkbox, Code, Empty, Loading, Note, Problem, SelectField, State, TextField, Time } from "../ui/basics.tsx";
import { LimitFields, LimitsText, ModelsField } from "../ui/limit_fields.tsx";
import { attempt, Confirm, Dialog, FormDialog, say } from "../ui/overlays.tsx";
import { PageBody } from "../ui/page.tsx";
import { type Column, Table } from "../ui/table.tsx";

const pathOf = (key: Key) => `/api/v1/keys/${encodeURIComponent(key.id)}`;

export function stateOf(key: Key): string {
  if (key.disabled) return "disabled";
  return key.expires_at && Date.parse(key.expires_at) < Date.now() ? "expired" : "active";
}

export default function Keys() {
  const admin = isAdmin(useMe());
  const keys = useFetched((signal) => list<Key>("/api/v1/keys", signal), []);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<NewKey>();
  const make = <Button look="primary" icon={<Plus size={16} aria-hidden />} onClick={() => setMaking(true)}>{t("keys.make")}</Button>;
  return (
    <PageBody title={t("keys")} about={t("keys.about")} actions={make}>
      {keys.error && <Problem error={keys.error} again={keys.again} />}
      {keys.value ? <KeyTable keys={keys} rows={keys.value} admin={admin} make={make} /> : !keys.error && <Loading />}
      {making && <Make onClose={() => setMaking(false)} done={(key) => {
        setMade(key);
        keys.again();
      }} />}
      {made && <Made made={made} onClose={() => setMade(undefined)} />}
    </PageBody>
  );
}

function KeyTable({ keys, rows, admin, make }: { keys: Fetched<Key[]>; rows: Key[]; admin: boolean; make: React.ReactNode }) {
  const [deleting, setDeleting] = useState<Key>();
  const [editing, setEditing] = useState<Key>();
  const columns: Column<Key>[] = [
    { key: "name", title: t("name"), lead: true, by: (key) => key.name, cell: (key) => <span className="break">{key.name}</span> },
    { key: "state", title: t("state"), by: stateOf, cell: (key) => <State of={stateOf(key)} /> },
    { key: "prefix", title: t("keys.begins"), cell: (key) => <code>{key.prefix}…</code> },
    ...(admin ? [{ key: "user", title: t("user"), by: (key: Key) => key.user_name, cell: (key: Key) => <span className="break">{key.user_name}</span> }] : []),
    { key: "scopes", title: t("keys.scopes"), cell: (key) => key.scopes.map((scope) => word("scope", scope)).join(", ") },
    { key: "limits", title: t("limits"), cell: (key) => <KeyLimits of={key} /> },
    { key: "expires", title: t("keys.expires"), by: (key) => key.expires_at ?? "~", cell: (key) => key.expires_at ? <Time at={key.expires_at} /> : t("keys.never") },
    { key: "created", title: t("created"), by: (key) => key.created_at, cell: (key) => <Time at={key.created_at} /> },
  ];
  const change = (key: Key, fields: Record<string, unknown>) => api("PATCH", pathOf(key), { ...fields, version: key.version }).then(keys.again);
  return (
    <>
      <Table
        label={t("keys")}
        rows={rows}
        id={(key) => key.id}
        columns={columns}
        sort="-created"
        text={(key) => `${key.name} ${key.prefix} ${key.user_name}`}
        actions={(key) => (
          <span className="row end">
            <Button small look="quiet" onClick={() => setEditing(key)}>{t("edit")}</Button>
            <Button small look="quiet" onClick={() => attempt(change(key, { disabled: !key.disabled }))}>{key.disabled ? t("enable") : t("disable")}</Button>
            <Button small look="quiet" label={t("delete.of", { name: key.name })} icon={<Trash2 size={15} aria-hidden />} onClick={() => setDeleting(key)} />
          </span>
        )}
        empty={<Empty icon={<KeyRound size={30} aria-hidden />} title={t("keys.none")} actions={make}>{t("keys.none.text")}</Empty>}
      />
      {editing && <Edit of={editing} change={change} onClose={() => setEditing(undefined)} />}
      {deleting && (
        <Confirm title={t("keys.delete")} about={t("keys.delete.about")} name={deleting.name} action={t("delete")} onClose={() => setDeleting(undefined)} submit={async () => {
          await api("DELETE", pathOf(deleting));
          say(t("deleted", { name: deleting.name }));
          keys.again();
        }} />
      )}
    </>
  );
}

function KeyLimits({ of }: { of: Key }) {
  return (
    <>
      <LimitsText of={of.limits} />
      {of.models.length > 0 && <div className="small muted break">{t("keys.only", { models: of.models.join(", ") })}</div>}
    </>
  );
}

function Edit({ of, change, onClose }: { of: Key; change: (key: Key, fields: Record<string, unknown>) => Promise<unknown>; onClose: () => void }) {
  const [name, setName] = useState(of.name);
  const [models, setModels] = useState(of.models.join(", "));
  const [limits, setLimits] = useState(() => textsOf(of.limits));
  return (
    <FormDialog
      title={t("edit.title", { name: of.name })}
      about={t("keys.edit.about")}
      action={t("save")}
      ready={name.trim() !== ""}
      onClose={onClose}
      submit={async () => void (await change(of, { name, models: modelsOf(models), limits: limitsOf(limits) }))}
    >
      <TextField label={t("name")} required value={name} onChange={(event) => setName(event.target.value)} />
      <ModelsField value={models} onChange={setModels} />
      <LimitFields value={limits} onChange={setLimits} />
    </FormDialog>
  );
}

const DAYS = [0, 7, 30, 90, 365];

function Make({ onClose, done }: { onClose: () => void; done: (key: NewKey) => void }) {
  const [name, setName] = useState("");
  const [days, setDays] = useState("0");
  const [inference, setInference] = useState(true);
  const [management, setManagement] = useState(false);
  const [models, setModels] = useState("");
  const [limits, setLimits] = useState(NO_LIMITS);
  async function submit() {
    const scopes: NonNullable<KeyCreate["scopes"]> = [...(inference ? (["inference"] as const) : []), ...(management ? (["management"] as const) : [])];
    const expires = Number(days) > 0 ? { expires_at: new Date(Date.now() + Number(days) * 86_400_000).toISOString() } : {};
    done(await api<NewKey>("POST", "/api/v1/keys", { name, scopes, models: modelsOf(models), limits: onlySet(limits), ...expires }));
  }
  return (
    <FormDialog title={t("keys.make")} about={t("keys.make.about")} action={t("keys.make")} ready={name.trim() !== "" && (inference || management)} submit={submit} onClose={onClose}>
      <TextField label={t("name")} autoFocus required value={name} placeholder={t("keys.name.example")} onChange={(event) => setName(event.target.value)} />
      <SelectField label={t("keys.expires")} value={days} onChange={(event) => setDays(event.target.value)}>
        {DAYS.map((n) => <option key={n} value={n}>{n === 0 ? t("keys.never") : t("days", { n })}</option>)}
      </SelectField>
      <fieldset className="stack tight">
        <legend className="legend">{t("keys.scopes")}</legend>
        <Checkbox label={word("scope", "inference")} hint={t("keys.inference.hint")} checked={inference} onChange={setInference} />
        <Checkbox label={word("scope", "management")} hint={t("keys.management.hint")} checked={management} onChange={setManagement} />
      </fieldset>
      <details className="more-fields">
        <summary>{t("keys.more")}</summary>
        <div className="stack">
          <ModelsField value={models} onChange={setModels} />
          <LimitFields value={limits} onChange={setLimits} />
        </div>
      </details>
    </FormDialog>
  );
}

function Made({ made, onClose }: { made: NewKey; onClose: () => void }) {
  const call = `curl ${location.origin}/v1/models -H 'Authorization: Bearer ${made.secret}'`;
  return (
    <Dialog open wide onClose={onClose} title={t("keys.made", { name: made.name })}>
      <Note look="warn" title={t("keys.once")}>{t("keys.once.text")}</Note>
      <Code label={t("keys.secret")} text={made.secret} />
      {made.scopes.includes("inference") && (
        <>
          <p className="small muted">{t("keys.try")}</p>
          <Code label="curl" text={call} />
        </>
      )}
      <div className="row"><Button className="end" look="primary" onClick={onClose}>{t("keys.kept")}</Button></div>
    </Dialog>
  );
}
