// People who may log in.
import { Plus, Trash2, Users as UsersIcon } from "lucide-react";
import { useState } from "react";
import { api, list } from "../api/client.ts";
import type { User } from "../api/types.ts";
import { t, word } from "../i18n/index.ts";
import { type Fetched, useFetched } from "../lib/fetched.ts";
import { limitsOf, modelsOf, textsOf } from "../lib/limits.ts";
import { useMe } from "../lib/session.ts";
import { Button, Checkbox, Empty, Loading, Problem, SelectField, State, TextField, Time } from "../ui/basics.tsx";
import { LimitFields, LimitsText, ModelsField } from "../ui/limit_fields.tsx";
import { attempt, Confirm, FormDialog, say } from "../ui/overlays.tsx";
import { PageBody } from "../ui/page.tsx";
import { type Column, Table } from "../ui/table.tsx";

const pathOf = (user: User) => `/api/v1/users/${encodeURIComponent(user.id)}`;

export default function Users() {
  const users = useFetched((signal) => list<User>("/api/v1/users", signal), []);
  const [making, setMaking] = useState(false);
  const make = <Button look="primary" icon={<Plus size={16} aria-hidden />} onClick={() => setMaking(true)}>{t("users.make")}</Button>;
  return (
    <PageBody title={t("users")} about={t("users.about")} actions={make}>
      {users.error && <Problem error={users.error} again={users.again} />}
      {users.value ? <UserTable users={users} rows={users.value} /> : !users.error && <Loading />}
      {making && <Make onClose={() => setMaking(false)} done={users.again} />}
    </PageBody>
  );
}

function UserTable({ users, rows }: { users: Fetched<User[]>; rows: User[] }) {
  const me = useMe();
  const [deleting, setDeleting] = useState<User>();
  const [resetting, setResetting] = useState<User>();
  const [editing, setEditing] = useState<User>();
  const change = (user: User, fields: Record<string, unknown>) => api("PATCH", pathOf(user), { ...fields, version: user.version }).then(users.again);
  const columns: Column<User>[] = [
    { key: "name", title: t("name"), lead: true, by: (user) => user.name, cell: (user) => <span className="break">{user.name}{user.id === me.id && <span className="muted"> {t("users.you")}</span>}</span> },
    { key: "role", title: t("users.role"), by: (user) => user.role, cell: (user) => word("role", user.role) },
    { key: "state", title: t("state"), by: (user) => String(user.disabled), cell: (user) => <State of={user.disabled ? "disabled" : user.must_change_password ? "invited" : "active"} /> },
    { key: "models", title: t("users.models"), cell: (user) => <span className="break">{user.models.length > 0 ? user.models.join(", ") : t("users.all_models")}</span> },
    { key: "limits", title: t("limits"), cell: (user) => <LimitsText of={user.limits} /> },
    { key: "created", title: t("created"), by: (user) => user.created_at, cell: (user) => <Time at={user.created_at} /> },
  ];
  return (
    <>
      <Table
        label={t("users")}
        rows={rows}
        id={(user) => user.id}
        columns={columns}
        sort="name"
        text={(user) => `${user.name} ${user.role}`}
        actions={(user) => (
          <span className="row end">
            <Button small look="quiet" onClick={() => setEditing(user)}>{t("edit")}</Button>
            {user.id !== me.id && (
              <>
                <Button small look="quiet" onClick={() => setResetting(user)}>{t("users.reset")}</Button>
                <Button small look="quiet" onClick={() => attempt(change(user, { disabled: !user.disabled }))}>{user.disabled ? t("enable") : t("disable")}</Button>
                <Button small look="quiet" label={t("delete.of", { name: user.name })} icon={<Trash2 size={15} aria-hidden />} onClick={() => setDeleting(user)} />
              </>
            )}
          </span>
        )}
        empty={<Empty icon={<UsersIcon size={30} aria-hidden />} title={t("users")} />}
      />
      {editing && <Edit user={editing} own={editing.id === me.id} change={change} onClose={() => setEditing(undefined)} />}
      {resetting && <Reset user={resetting} change={change} onClose={() => setResetting(undefined)} />}
      {deleting && (
        <Confirm title={t("users.delete")} about={t("users.delete.about")} name={deleting.name} action={t("delete")} onClose={() => setDeleting(undefined)} submit={async () => {
          await api("DELETE", pathOf(deleting));
          say(t("deleted", { name: deleting.name }));
          users.again();
        }} />
      )}
    </>
  );
}

function Make({ onClose, done }: { onClose: () => void; done: () => void }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState("user");
  const [first, setFirst] = useState(true);
  return (
    <FormDialog
      title={t("users.make")}
      action={t("users.make")}
      ready={name.trim() !== "" && password.length >= 8}
      onClose={onClose}
      submit={async () => {
        await api("POST", "/api/v1/users", { name, password, role, must_change_password: first });
        say(t("users.done", { name }));
        done();
      }}
    >
      <TextField label={t("name")} autoFocus required value={name} onChange={(event) => setName(event.target.value)} />
      <SelectField label={t("users.role")} value={role} hint={role === "admin" ? t("users.admin.hint") : t("users.user.hint")} onChange={(event) => setRole(event.target.value)}>
        <option value="user">{word("role", "user")}</option>
        <option value="admin">{word("role", "admin")}</option>
      </SelectField>
      <TextField label={t("users.password")} type="password" autoComplete="new-password" hint={t("password.least", { n: 8 })} value={password} onChange={(event) => setPassword(event.target.value)} />
      <Checkbox label={t("users.must_change")} checked={first} onChange={setFirst} />
    </FormDialog>
  );
}

function Edit({ user, own, change, onClose }: { user: User; own: boolean; change: (user: User, fields: Record<string, unknown>) => Promise<unknown>; onClose: () => void }) {
  const [role, setRole] = useState<string>(user.role);
  const [models, setModels] = useState(user.models.join(", "));
  const [limits, setLimits] = useState(() => textsOf(user.limits));
  return (
    <FormDialog
      title={t("edit.title", { name: user.name })}
      about={t("users.edit.about")}
      action={t("save")}
      onClose={onClose}
      submit={async () => void (await change(user, { ...(own ? {} : { role }), models: modelsOf(models), limits: limitsOf(limits) }))}
    >
      {!own && (
        <SelectField label={t("users.role")} value={role} hint={role === "admin" ? t("users.admin.hint") : t("users.user.hint")} onChange={(event) => setRole(event.target.value)}>
          <option value="user">{word("role", "user")}</option>
          <option value="admin">{word("role", "admin")}</option>
        </SelectField>
      )}
      <ModelsField value={models} onChange={setModels} />
      <LimitFields value={limits} onChange={setLimits} />
    </FormDialog>
  );
}

function Reset({ user, change, onClose }: { user: User; change: (user: User, fields: Record<string, unknown>) => Promise<unknown>; onClose: () => void }) {
  const [password, setPassword] = useState("");
  return (
    <FormDialog title={t("users.reset.title", { name: user.name })} about={t("users.reset.about")} action={t("password.save")} ready={password.length >= 8} onClose={onClose} submit={async () => void (await change(user, { password, must_change_password: true }))}>
      <TextField label={t("users.password")} type="password" autoComplete="new-password" autoFocus hint={t("password.least", { n: 8 })} value={password} onChange={(event) => setPassword(event.target.value)} />
    </FormDialog>
  );
}
