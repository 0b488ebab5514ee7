// Dialogs and menus: Base UI brings the behaviour (focus, keys, roles), the console its looks.
import { Dialog as BaseDialog } from "@base-ui/react/dialog";
import { Menu as BaseMenu } from "@base-ui/react/menu";
import { type FormEvent, type ReactElement, type ReactNode, useState } from "react";
import { t } from "../i18n/index.ts";
import { Button, classes, Problem, TextField } from "./basics.tsx";

export { attempt, say } from "./toasts.tsx";

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: ReactNode;
  about?: ReactNode;
  wide?: boolean;
  children?: ReactNode;
}

export function Dialog({ open, onClose, title, about, wide, children }: DialogProps) {
  return (
    <BaseDialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <BaseDialog.Portal>
        <BaseDialog.Backdrop className="backdrop" />
        <BaseDialog.Popup className={classes("dialog", wide && "wide")}>
          <div className="stack tight">
            <BaseDialog.Title render={<h2 />} className="break">{title}</BaseDialog.Title>
            {about && <BaseDialog.Description className="muted">{about}</BaseDialog.Description>}
          </div>
          {children}
        </BaseDialog.Popup>
      </BaseDialog.Portal>
    </BaseDialog.Root>
  );
}

interface FormDialogProps extends Omit<DialogProps, "open"> {
  action: ReactNode;
  danger?: boolean;
  ready?: boolean;
  /** The dialog closes when it has ended well; what it throws is shown. */
  submit: () => Promise<void>;
}

export function FormDialog({ action, danger, ready = true, submit, onClose, children, ...rest }: FormDialogProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  async function go(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await submit();
      onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  return (
    <Dialog open onClose={onClose} {...rest}>
      <form className="stack" onSubmit={(event) => void go(event)}>
        {children}
        {error !== undefined && <Problem error={error} />}
        <div className="dialog-foot foot row">
          <Button className="end" onClick={onClose}>{t("cancel")}</Button>
          <Button type="submit" look={danger ? "danger" : "primary"} busy={busy} disabled={!ready}>{action}</Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Asks before something is destroyed; with `name`, that must be typed. */
export function Confirm({ title, about, name, action, submit, onClose }: { title: ReactNode; about: ReactNode; name?: string; action: ReactNode; submit: () => Promise<void>; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  return (
    <FormDialog title={title} about={about} action={action} danger ready={name === undefined || typed === name} submit={submit} onClose={onClose}>
      {name !== undefined && (
        <TextField label={<span className="break">{t("confirm.name", { name })}</span>} value={typed} onChange={(event) => setTyped(event.target.value)} autoFocus />
      )}
    </FormDialog>
  );
}

export interface MenuEntry {
  text: ReactNode;
  icon?: ReactNode;
  danger?: boolean;
  disabled?: boolean;
  run: () => void;
}

export function Menu({ trigger, entries }: { trigger: ReactElement; entries: (MenuEntry | null)[] }) {
  return (
    <BaseMenu.Root modal={false}>
      <BaseMenu.Trigger render={trigger} />
      <BaseMenu.Portal>
        <BaseMenu.Positioner sideOffset={4} align="end">
          <BaseMenu.Popup className="menu">
            {entries.map((entry, i) =>
              entry === null ? (
                <BaseMenu.Separator key={i} className="menu-line" />
              ) : (
                <BaseMenu.Item key={i} className={classes("menu-item", entry.danger && "danger")} disabled={entry.disabled ?? false} onClick={entry.run}>
                  {entry.icon}
                  {entry.text}
                </BaseMenu.Item>
              ),
            )}
          </BaseMenu.Popup>
        </BaseMenu.Positioner>
      </BaseMenu.Portal>
    </BaseMenu.Root>
  );
}
