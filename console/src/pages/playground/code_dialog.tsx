// The request of the page for a program.
import { useState } from "react";
import { t } from "../../i18n/index.ts";
import { Button, Code, Segments } from "../../ui/basics.tsx";
import { Dialog } from "../../ui/overlays.tsx";
import { curl, node, type Path, python } from "./code.ts";

export function CodeDialog({ path, body, onClose }: { path: Path; body: Record<string, unknown>; onClose: () => void }) {
  const [kind, setKind] = useState<"curl" | "python" | "node">("curl");
  const text = { curl, python, node }[kind](location.origin, path, body);
  return (
    <Dialog open wide onClose={onClose} title={t("chat.code")} about={t("chat.code.about")}>
      <div><Segments label={t("chat.code")} value={kind} onChange={setKind} options={[{ value: "curl", text: "curl" }, { value: "python", text: "Python" }, { value: "node", text: "Node.js" }]} /></div>
      <Code text={text} label={kind} />
      <div className="row"><Button className="end" onClick={onClose}>{t("close")}</Button></div>
    </Dialog>
  );
}
