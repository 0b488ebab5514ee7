// All that the catalogue knows of one model: its variants, where each is, what it takes here and whether it fits.
import { Star } from "lucide-react";
import { Link } from "wouter";
import type { CatalogueEntry } from "../../api/types.ts";
import { t, told } from "../../i18n/index.ts";
import { bytes } from "../../lib/format.ts";
import { Button } from "../../ui/basics.tsx";
import { Dialog } from "../../ui/overlays.tsx";
import { Verdict } from "../../ui/verdict.tsx";
import { deployOf, sizeOf, Tags } from "./entry.tsx";

export function Variants({ of, onClose }: { of: CatalogueEntry; onClose: () => void }) {
  return (
    <Dialog open wide onClose={onClose} title={of.name}>
      <Tags of={of} />
      {of.gated && <p className="small muted">{t("catalogue.gated.about")}</p>}
      <ul className="lines variants">
        {of.variants.map((variant, i) => (
          <li key={i}>
            <div className="stack tight grow">
              <div className="row wrap">
                <strong>{variant.quantization}</strong>
                <span className="tag">{variant.format}</span>
                <span className="tag">{variant.backend}</span>
                <Verdict of={variant.verdict} />
                {i === of.recommended && <span className="row small muted"><Star size={13} aria-hidden />{t("catalogue.best")}</span>}
              </div>
              <span className="small muted num">{t("catalogue.size")} {sizeOf(variant)} · {t("catalogue.needs")} {variant.needs_bytes > 0 ? bytes(variant.needs_bytes) : "–"}</span>
              <span className="small break">{told(variant.reason)}</span>
              {variant.options.extra_args.length > 0 && <span className="source muted">{variant.options.extra_args.join(" ")}</span>}
              {variant.sources.map((source) => <span key={source} className="source">{source}</span>)}
            </div>
            <Link className="button small" href={deployOf(of, variant)}>{t("models.deploy")}</Link>
          </li>
        ))}
      </ul>
      <div className="row"><Button className="end" onClick={onClose}>{t("close")}</Button></div>
    </Dialog>
  );
}
