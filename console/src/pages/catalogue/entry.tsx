// One model of the catalogue as a card: what it is, how large its variants are, and whether it fits.
import { Rocket } from "lucide-react";
import { Link } from "wouter";
import type { CatalogueEntry, CatalogueVariant } from "../../api/types.ts";
import { languageNow, t, told, word } from "../../i18n/index.ts";
import { bestOf, cataloguedAs } from "../../lib/catalogue.ts";
import { bytes, parameters, whole } from "../../lib/format.ts";
import { Button, classes } from "../../ui/basics.tsx";
import { Verdict, VERDICT_LOOK } from "../../ui/verdict.tsx";

export function deployOf(entry: CatalogueEntry, variant?: CatalogueVariant): string {
  return `~/deployments/new?source=${encodeURIComponent(cataloguedAs(entry, variant?.quantization))}`;
}

export function sizeOf(variant: CatalogueVariant | undefined): string {
  return variant && variant.bytes > 0 ? bytes(variant.bytes) : "–";
}

export function EntryCard({ of, open }: { of: CatalogueEntry; open: () => void }) {
  const best = bestOf(of);
  const facts: [string, string][] = [
    [t("meta.parameters"), of.parameters > 0 ? parameters(of.parameters) : "–"],
    [t("meta.context"), of.context_length > 0 ? whole(of.context_length, languageNow()) : "–"],
    [t("catalogue.needs"), best && best.needs_bytes > 0 ? bytes(best.needs_bytes) : "–"],
    [t("catalogue.licence"), of.licence],
  ];
  return (
    <section className="card entry" aria-label={of.name}>
      <div className="row spread entry-head">
        <h2 className="break">{of.name}</h2>
        <Verdict of={of.verdict} />
      </div>
      <Tags of={of} />
      <dl className="facts small">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd className="num">{value}</dd></div>)}</dl>
      <ul className="row wrap variant-chips" aria-label={t("catalogue.variant")}>
        {of.variants.map((variant, i) => {
          const verdict = word("catalogue.verdict", variant.verdict);
          const label = t("catalogue.deploy_variant", { name: of.name, quantization: variant.quantization, size: sizeOf(variant), verdict });
          return (
            <li key={i}>
              <Link className={classes("chip", VERDICT_LOOK[variant.verdict])} href={deployOf(of, variant)} aria-label={label} title={`${label}\n${variant.backend}: ${told(variant.reason)}`}>
                <strong>{variant.quantization}</strong> <span className="num">{sizeOf(variant)}</span>
              </Link>
            </li>
          );
        })}
      </ul>
      {of.verdict !== "fits" && <p className="small muted break entry-why">{told(of.reason)}</p>}
      <div className="row entry-foot">
        <Button small look="quiet" label={t("catalogue.details_of", { name: of.name })} onClick={open}>{t("catalogue.details")}</Button>
        <Link className={classes("button small end", of.verdict === "fits" && "primary")} aria-label={t("catalogue.deploy_of", { name: of.name })} href={deployOf(of)}><Rocket size={14} aria-hidden />{t("models.deploy")}</Link>
      </div>
    </section>
  );
}

/** What it is for and what it can do. */
export function Tags({ of }: { of: CatalogueEntry }) {
  return (
    <div className="row wrap">
      <span className="tag">{of.family}</span>
      <span className="tag">{word("catalogue.modality", of.modality)}</span>
      {of.abilities.filter((ability) => ability !== of.modality).map((ability) => <span key={ability} className="tag">{word("catalogue.ability", ability)}</span>)}
      {of.gated && <span className="tag warn" title={t("catalogue.gated.about")}>{t("catalogue.gated")}</span>}
    </div>
  );
}
