// A model of the catalogue as what to serve: named by a source "catalogue:ID", or picked from the list; in which variant, from which hub.
import { Library, Search } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { api, ApiError } from "../../api/client.ts";
import type { CatalogueEntry, CatalogueVariant } from "../../api/types.ts";
import { t, word } from "../../i18n/index.ts";
import { useCatalogue } from "../../lib/catalogued.ts";
import { bestOf, cataloguedIn, hubOf, lookedFor, sourceAt, variantAt } from "../../lib/catalogue.ts";
import { asApiError } from "../../lib/fetched.ts";
import { bytes, parameters } from "../../lib/format.ts";
import { Loading, Problem, Segments, SelectField } from "../../ui/basics.tsx";
import { Verdict } from "../../ui/verdict.tsx";
import { HUBS } from "./hub_search.tsx";

const TYPING_MS = 300;

export interface Picked {
  entry: CatalogueEntry;
  variant: CatalogueVariant;
  /** As its source has it: "hf:ORG/NAME:Q4_K_M". */
  source: string;
}

/** The recommended variant of that quantization, at `hub` where it is there. */
export function pickOf(entry: CatalogueEntry, quantization = "", hub = ""): Picked {
  const variant = entry.variants[variantAt(entry, quantization)];
  if (!variant) throw new ApiError(404, t("catalogue.unknown_source", { there: entry.variants.map((one) => one.quantization).join(", ") }));
  return { entry, variant, source: sourceAt(variant, hub) };
}

/** Looks up what `source` names of the catalogue and gives it to `take`; what it returns is why that can't be. */
export function useCatalogued(source: string, take: (picked: Picked) => void): ApiError | undefined {
  const [error, setError] = useState<ApiError>();
  const taker = useRef(take);
  useEffect(() => {
    taker.current = take;
  });
  const named = cataloguedIn(source) ? source.trim() : "";
  useEffect(() => {
    setError(undefined);
    const wanted = cataloguedIn(named);
    if (!wanted) return;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      api<CatalogueEntry>("GET", `/api/v1/catalogue/${encodeURIComponent(wanted.id)}`, undefined, stop.signal)
        .then((entry) => taker.current(pickOf(entry, wanted.quantization)))
        .catch((problem: unknown) => {
          if (!stop.signal.aborted) setError(asApiError(problem));
        });
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [named]);
  return error;
}

/** What was picked, with the other variants and hubs to change to. */
export function PickedVariant({ of: { entry, variant, source }, take }: { of: Picked; take: (picked: Picked) => void }) {
  const hubs = HUBS.filter((hub) => variant.sources.some((one) => hubOf(one) === hub.value));
  const hub = hubOf(source);
  return (
    <div className="picked" role="group" aria-label={t("catalogue.from")}>
      <div className="row wrap">
        <Library size={16} aria-hidden />
        <strong className="break">{entry.name}</strong>
        <Verdict of={variant.verdict} />
        <span className="small muted">{t("catalogue.licence")}: {entry.licence}</span>
      </div>
      <div className="row wrap picked-choice">
        <SelectField
          label={t("catalogue.variant")}
          value={entry.variants.indexOf(variant)}
          onChange={(event) => {
            const next = entry.variants[Number(event.target.value)];
            if (next) take({ entry, variant: next, source: sourceAt(next, hub) });
          }}
        >
          {entry.variants.map((one, i) => <option key={i} value={i}>{[one.quantization, one.bytes > 0 ? bytes(one.bytes) : "", one.backend, word("catalogue.verdict", one.verdict)].filter(Boolean).join(" · ")}</option>)}
        </SelectField>
        {hubs.length > 1 && <Segments label={t("hub.which")} value={hub} options={hubs} onChange={(next) => take({ entry, variant, source: sourceAt(variant, next) })} />}
      </div>
      {entry.gated && <p className="small muted">{t("catalogue.gated.about")}</p>}
    </div>
  );
}

/** The list to pick from, what fits first. */
export function CatalogueSearch({ pick }: { pick: (picked: Picked) => void }) {
  const catalogue = useCatalogue();
  const [words, setWords] = useState("");
  const found = catalogue.value && lookedFor(catalogue.value, { words, modality: "", family: "", fits: false, sort: "fit" });
  return (
    <div className="hub-search" role="search" aria-label={t("catalogue.search")}>
      <div className="search">
        <Search size={16} aria-hidden />
        <input className="input" type="search" aria-label={t("catalogue.search")} placeholder={t("catalogue.search")} value={words} onChange={(event) => setWords(event.target.value)} onKeyDown={(event) => event.key === "Enter" && event.preventDefault()} />
      </div>
      {catalogue.error && <Problem error={catalogue.error} again={catalogue.again} />}
      {!found && !catalogue.error && <Loading />}
      <ul className="hub-found" aria-live="polite">
        {found?.length === 0 && <li className="muted small">{t("catalogue.nothing")}</li>}
        {found?.map((entry) => {
          const best = bestOf(entry);
          return (
            <li key={entry.id}>
              <button type="button" onClick={() => pick(pickOf(entry))}>
                <span className="grow break"><strong>{entry.name}</strong> <span className="small muted">{word("catalogue.modality", entry.modality)}</span></span>
                <span className="small muted num nowrap">{entry.parameters > 0 && parameters(entry.parameters)}{best && best.bytes > 0 && ` · ${best.quantization} ${bytes(best.bytes)}`}</span>
                <Verdict of={entry.verdict} />
              </button>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
