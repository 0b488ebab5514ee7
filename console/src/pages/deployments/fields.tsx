// The parts of the form of a deployment, new or edited: what runs the model, how, and where.
import { ChevronDown } from "lucide-react";
import { t } from "../../i18n/index.ts";
import { useAll } from "../../live/store.ts";
import { Checkbox, SelectField, TextField } from "../../ui/basics.tsx";
import { BACKENDS, type Form, KV_TYPES } from "./form.ts";

export interface Part {
  form: Form;
  set: (part: Partial<Form>) => void;
  wrong: (field: string) => string | undefined;
}

export function BackendField({ form, set, wrong }: Part) {
  return (
    <SelectField label={t("backend")} value={form.backend} hint={t("create.backend.hint")} error={wrong("backend")} onChange={(event) => set({ backend: event.target.value as Form["backend"] })}>
      {BACKENDS.map((backend) => <option key={backend} value={backend}>{backend}</option>)}
    </SelectField>
  );
}

export function ReplicasField({ form, set, wrong }: Part) {
  return <TextField label={t("replicas")} type="number" min={0} max={64} value={form.replicas} hint={t("create.replicas.hint")} error={wrong("replicas")} onChange={(event) => set({ replicas: event.target.value })} />;
}

export function ForeignFields({ form, set, wrong }: Part) {
  return (
    <>
      {form.backend === "custom" ? (
        <TextField label={t("create.command")} className="mono" value={form.command} hint={t("create.command.hint")} error={wrong("options.command")} placeholder="/usr/bin/server --model {model} --port {port}" onChange={(event) => set({ command: event.target.value })} />
      ) : (
        <TextField label={t("create.binary")} className="mono" value={form.binary} hint={t("create.binary.hint")} error={wrong("options.binary")} placeholder={`/opt/bin/${form.backend}`} onChange={(event) => set({ binary: event.target.value })} />
      )}
    </>
  );
}

export function Options({ form, set, wrong }: Part) {
  return (
    <details className="card more">
      <summary className="card-head"><h2 className="grow">{t("create.options")}</h2><ChevronDown size={17} aria-hidden /></summary>
      <div className="card-body">
        <div className="fields wide">
          <TextField label={t("create.context")} type="number" min={1} value={form.context} placeholder={t("create.models_own")} hint={t("create.context.hint")} error={wrong("options.context_tokens")} onChange={(event) => set({ context: event.target.value })} />
          <TextField label={t("create.sequences")} type="number" min={1} value={form.sequences} placeholder={t("create.chosen")} hint={t("create.sequences.hint")} error={wrong("options.max_sequences")} onChange={(event) => set({ sequences: event.target.value })} />
          <TextField label={t("create.threads")} type="number" min={1} value={form.threads} placeholder={t("create.chosen")} error={wrong("options.threads")} onChange={(event) => set({ threads: event.target.value })} />
          <SelectField label={t("create.kv")} value={form.kvType} hint={t("create.kv.hint")} error={wrong("options.kv_type")} onChange={(event) => set({ kvType: event.target.value })}>
            <option value="">{t("create.chosen")}</option>
            {KV_TYPES[form.backend].map((type) => <option key={type}>{type}</option>)}
          </SelectField>
        </div>
        <TextField label={t("create.arguments")} className="mono" value={form.arguments} hint={t("create.arguments.hint")} error={wrong("options.extra_args")} onChange={(event) => set({ arguments: event.target.value })} />
      </div>
    </details>
  );
}

export function Placement({ form, set, wrong }: Part) {
  const workers = useAll("workers");
  const devices = workers.flatMap((worker) => worker.devices);
  return (
    <details className="card more">
      <summary className="card-head"><h2 className="grow">{t("create.placement")}</h2><ChevronDown size={17} aria-hidden /></summary>
      <div className="card-body">
        <p className="muted small">{t("create.placement.about")}</p>
        <div className="fields">
          <SelectField label={t("create.strategy")} value={form.strategy} hint={form.strategy === "spread" ? t("create.spread") : t("create.binpack")} onChange={(event) => set({ strategy: event.target.value as Form["strategy"] })}>
            <option value="spread">spread</option>
            <option value="binpack">binpack</option>
          </SelectField>
          <TextField label={t("create.device_count")} type="number" min={1} value={form.deviceCount} placeholder={t("create.chosen")} hint={t("create.device_count.hint")} error={wrong("placement.device_count")} onChange={(event) => set({ deviceCount: event.target.value })} />
        </div>
        <div className="fields">
          <TextField label={t("create.labels")} value={form.labels} placeholder="rack=a" hint={t("create.labels.hint")} error={wrong("placement.worker_labels")} onChange={(event) => set({ labels: event.target.value })} />
          <TextField label={t("create.types")} value={form.deviceTypes} placeholder="nvidia, 910B" hint={t("create.types.hint")} error={wrong("placement.device_types")} onChange={(event) => set({ deviceTypes: event.target.value })} />
        </div>
        <fieldset className="stack tight">
          <legend className="legend">{t("create.devices")}</legend>
          {devices.map((device) => {
            const id = `${device.worker_name}/${device.vendor}/${device.index}`;
            return <Checkbox key={device.id} label={<span className="break">{device.name || id}</span>} hint={id} checked={form.devices.includes(id)} onChange={(on) => set({ devices: on ? [...form.devices, id] : form.devices.filter((one) => one !== id) })} />;
          })}
          {wrong("placement.devices") && <span className="small wrong-text">{wrong("placement.devices")}</span>}
        </fieldset>
        <Checkbox label={t("create.offload")} checked={form.cpuOffload} onChange={(cpuOffload) => set({ cpuOffload })} />
      </div>
    </details>
  );
}

export function Operation({ form, set, wrong }: Part) {
  return (
    <details className="card more">
      <summary className="card-head"><h2 className="grow">{t("create.operation")}</h2><ChevronDown size={17} aria-hidden /></summary>
      <div className="card-body">
        <div className="fields">
          <SelectField label={t("rollout")} value={form.rollout} hint={form.rollout === "rolling" ? t("create.rolling") : t("create.recreate")} error={wrong("rollout.strategy")} onChange={(event) => set({ rollout: event.target.value as Form["rollout"] })}>
            <option value="rolling">rolling</option>
            <option value="recreate">recreate</option>
          </SelectField>
          <TextField label={t("create.idle")} type="number" min={0} max={43200} step="any" value={form.idle} placeholder={t("create.idle.never")} hint={t("create.idle.hint")} error={wrong("idle_timeout_seconds")} onChange={(event) => set({ idle: event.target.value })} />
        </div>
      </div>
    </details>
  );
}
