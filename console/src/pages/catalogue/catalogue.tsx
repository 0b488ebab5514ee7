// Models that are worth serving, each with its facts, and whether it fits these workers now.
import { Library, Search } from "lucide-react";
import { useMemo } from "react";
import type { CatalogueEntry } from "../../api/types.ts";
import { t, word } from "../../i18n/index.ts";
import { useCatalogue } from "../../lib/catalogued.ts";
import { kindsOf, lookedFor, SORTS } from "../../lib/catalogue.ts";
import { useUrl, useUrlWithout } from "../../lib/url.ts";
import { Button, Checkbox, Empty, Loading, Problem } from "../../ui/basics.tsx";
import { PageBody } from "../../ui/page.tsx";
import { EntryCard } from "./entry.tsx";
import { Variants } from "./variants.tsx";
import "./catalogue.css";

export default function Catalogue() {
  const catalogue = useCatalogue();
  const [open, setOpen] = useUrl("model", "");
  const entries = catalogue.value;
  const shown = entries?.find((entry) => entry.id === open);
  return (
    <PageBody title={t("catalogue")} about={t("catalogue.about")}>
      {catalogue.error && <Problem error={catalogue.error} again={catalogue.again} />}
      {!entries && !catalogue.error && <Loading />}
      {entries?.length === 0 && <section className="card"><Empty icon={<Library size={30} aria-hidden />} title={t("catalogue.none")}>{t("catalogue.none.text")}</Empty></section>}
      {entries && entries.length > 0 && <Entries of={entries} open={setOpen} />}
      {shown && <Variants of={shown} onClose={() => setOpen("")} />}
    </PageBody>
  );
}

function Entries({ of, open }: { of: CatalogueEntry[]; open: (id: string) => void }) {
  const [words, setWords] = useUrl("q", "");
  const [modality, setModality] = useUrl("for", "");
  const [family, setFamily] = useUrl("family", "");
  const [fits, setFits] = useUrl("fits", "");
  const [sort, setSort] = useUrl("sort", "fit");
  const found = useMemo(() => lookedFor(of, { words, modality, family, fits: fits === "yes", sort }), [of, words, modality, family, fits, sort]);
  const clear = useUrlWithout("q", "for", "family", "fits");
  return (
    <>
      <div className="catalogue-tools">
        <div className="search">
          <Search size={16} aria-hidden />
          <input className="input" type="search" aria-label={t("catalogue.search")} placeholder={t("catalogue.search")} value={words} onChange={(event) => setWords(event.target.value)} />
        </div>
        <select className="input" aria-label={t("catalogue.for")} value={modality} onChange={(event) => setModality(event.target.value)}>
          <option value="">{t("catalogue.all_kinds")}</option>
          {kindsOf(of, "modality").map((one) => <option key={one} value={one}>{word("catalogue.modality", one)}</option>)}
        </select>
        <select className="input" aria-label={t("catalogue.family")} value={family} onChange={(event) => setFamily(event.target.value)}>
          <option value="">{t("catalogue.all_families")}</option>
          {kindsOf(of, "family").map((one) => <option key={one}>{one}</option>)}
        </select>
        <select className="input" aria-label={t("catalogue.sort")} value={sort} onChange={(event) => setSort(event.target.value)}>
          {SORTS.map((one) => <option key={one} value={one}>{word("catalogue.sort", one)}</option>)}
        </select>
        <Checkbox label={t("catalogue.fits_only")} checked={fits === "yes"} onChange={(on) => setFits(on ? "yes" : "")} />
        <span className="small muted num end" role="status">{t("filter.found", { found: found.length, all: of.length })}</span>
      </div>
      {found.length === 0 && <p className="row wrap muted">{t("catalogue.nothing")}<Button small onClick={clear}>{t("catalogue.clear")}</Button></p>}
      <div className="grid">{found.map((entry) => <EntryCard key={entry.id} of={entry} open={() => open(entry.id)} />)}</div>
    </>
  );
}
