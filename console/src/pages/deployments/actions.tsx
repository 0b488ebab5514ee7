// What can be done to a deployment, wherever it is shown.
import { CirclePlay, CircleStop, Ellipsis, Moon, Pencil, Scaling, Sun, Trash2 } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { api } from "../../api/client.ts";
import type { Deployment } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { Button, TextField } from "../../ui/basics.tsx";
import { attempt, Confirm, FormDialog, Menu, say } from "../../ui/overlays.tsx";

function pathOf(deployment: Deployment): string {
  return `/api/v1/deployments/${encodeURIComponent(deployment.id)}`;
}

export function edit(deployment: Deployment, change: Record<string, unknown>): Promise<Deployment> {
  return api<Deployment>("PATCH", pathOf(deployment), { ...change, version: deployment.version });
}

/** Stops or starts: what is stopped needs no more than a click to come back, so nothing is asked. */
export function StopStart({ of }: { of: Deployment }) {
  return of.stopped ? (
    <Button icon={<CirclePlay size={16} aria-hidden />} onClick={() => attempt(edit(of, { stopped: false }), t("started", { name: of.name }))}>{t("start")}</Button>
  ) : (
    <Button icon={<CircleStop size={16} aria-hidden />} onClick={() => attempt(edit(of, { stopped: true }), t("stopped", { name: of.name }))}>{t("stop")}</Button>
  );
}

export function DeploymentMenu({ of, leave, brief }: { of: Deployment; leave?: boolean; brief?: boolean }) {
  const [asked, setAsked] = useState<"scale" | "delete">();
  const [, go] = useLocation();
  return (
    <>
      <Menu
        trigger={<Button {...(brief ? {} : { look: "quiet" as const })} label={t("actions.of", { name: of.name })} icon={<Ellipsis size={18} aria-hidden />} />}
        entries={[
          of.stopped
            ? { text: t("start"), icon: <CirclePlay size={16} aria-hidden />, run: () => attempt(edit(of, { stopped: false }), t("started", { name: of.name })) }
            : { text: t("stop"), icon: <CircleStop size={16} aria-hidden />, run: () => attempt(edit(of, { stopped: true }), t("stopped", { name: of.name })) },
          ...(of.stopped || of.replicas === 0 ? [] : [of.asleep_since
            ? { text: t("wake"), icon: <Sun size={16} aria-hidden />, run: () => attempt(edit(of, { stopped: false }), t("woken", { name: of.name })) }
            : { text: t("sleep"), icon: <Moon size={16} aria-hidden />, run: () => attempt(api("POST", `${pathOf(of)}/sleep`), t("slept", { name: of.name })) }]),
          { text: t("edit"), icon: <Pencil size={16} aria-hidden />, run: () => go(`/${encodeURIComponent(of.id)}/edit`) },
          { text: t("scale"), icon: <Scaling size={16} aria-hidden />, run: () => setAsked("scale") },
          null,
          { text: t("delete"), icon: <Trash2 size={16} aria-hidden />, danger: true, run: () => setAsked("delete") },
        ]}
      />
      {asked === "scale" && <Scale of={of} onClose={() => setAsked(undefined)} />}
      {asked === "delete" && (
        <Confirm
          title={t("deployment.delete")}
          about={t("deployment.delete.about")}
          name={of.name}
          action={t("delete")}
          onClose={() => setAsked(undefined)}
          submit={async () => {
            await api("DELETE", pathOf(of));
            say(t("deleted", { name: of.name }));
            if (leave) go("/");
          }}
        />
      )}
    </>
  );
}

function Scale({ of, onClose }: { of: Deployment; onClose: () => void }) {
  const [replicas, setReplicas] = useState(String(of.replicas));
  return (
    <FormDialog title={t("scale.title", { name: of.name })} about={t("scale.about")} action={t("scale")} onClose={onClose} submit={async () => void (await edit(of, { replicas: Number(replicas) }))}>
      <TextField label={t("replicas")} type="number" min={0} max={64} autoFocus required value={replicas} onChange={(event) => setReplicas(event.target.value)} />
    </FormDialog>
  );
}
