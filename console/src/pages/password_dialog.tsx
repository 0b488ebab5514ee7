// A change of the own password, from the menu of the account.
import { useState } from "react";
import { t } from "../i18n/index.ts";
import { changePassword } from "../lib/session.ts";
import { FormDialog, say } from "../ui/overlays.tsx";
import { NO_PASSWORDS, PasswordFields, passwordsReady } from "./password_fields.tsx";

export function ChangePasswordDialog({ onClose }: { onClose: () => void }) {
  const [value, setValue] = useState(NO_PASSWORDS);
  return (
    <FormDialog
      title={t("password.change")}
      about={t("password.others")}
      action={t("password.save")}
      ready={passwordsReady(value)}
      onClose={onClose}
      submit={async () => {
        await changePassword(value.current, value.next);
        say(t("password.done"));
      }}
    >
      <PasswordFields value={value} onChange={setValue} />
    </FormDialog>
  );
}
