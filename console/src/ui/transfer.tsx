// A download as a bar, with rate and time left.
import { t } from "../i18n/index.ts";
import { bytes, span } from "../lib/format.ts";
import type { Transfer } from "../lib/transfer.ts";

export function TransferLine({ of, label }: { of: Transfer; label: string }) {
  const share = of.total > 0 ? Math.min(1, of.done / of.total) : 0;
  const facts = [
    of.total > 0 ? t("transfer.of", { done: bytes(of.done), total: bytes(of.total) }) : t("transfer.asks"),
    of.perSecond > 0 ? `${bytes(of.perSecond)}/s` : "",
    Number.isFinite(of.secondsLeft) ? t("transfer.left", { time: span(of.secondsLeft) }) : "",
  ];
  return (
    <div className="transfer">
      <div className="progress" role="progressbar" aria-label={label} aria-valuenow={Math.round(share * 100)} aria-valuemin={0} aria-valuemax={100}>
        <span style={{ width: `${share * 100}%` }} />
      </div>
      <span className="small muted num">{facts.filter(Boolean).join(" · ")}</span>
    </div>
  );
}
