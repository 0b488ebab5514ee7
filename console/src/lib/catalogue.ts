// What the catalogue holds, as pages look through it and as a form takes from it. Pure.
import type { CatalogueEntry, CatalogueVariant } from "../api/types.ts";
import { byText } from "./order.ts";

/** What "catalogue:ID[:QUANTIZATION]" names; nothing for another source. */
export function cataloguedIn(source: string): { id: string; quantization: string } | undefined {
  const [, id = "", quantization = ""] = /^catalogue:([^:]*)(?::(.*))?$/.exec(source.trim()) ?? [];
  return id ? { id, quantization } : undefined;
}

export function cataloguedAs(entry: CatalogueEntry, quantization = ""): string {
  return `catalogue:${entry.id}${quantization ? `:${quantization}` : ""}`;
}

/** The recommended one where it is of that quantization, else the first that is; -1: there is none. As `gantry deploy` does. */
export function variantAt(entry: CatalogueEntry, quantization: string): number {
  const wanted = quantization.toLowerCase();
  const like = (variant: CatalogueVariant | undefined) => variant !== undefined && (!wanted || variant.quantization.toLowerCase() === wanted);
  return like(entry.variants[entry.recommended]) ? entry.recommended : entry.variants.findIndex(like);
}

export function bestOf(entry: CatalogueEntry): CatalogueVariant | undefined {
  return entry.variants[entry.recommended];
}

/** "hf:ORG/NAME" -> "hf" */
export function hubOf(source: string): string {
  return source.slice(0, source.indexOf(":"));
}

/** At `hub`, or at the first where it is not there. */
export function sourceAt(variant: CatalogueVariant, hub: string): string {
  return variant.sources.find((source) => hubOf(source) === hub) ?? variant.sources[0] ?? "";
}

export interface Wanted {
  words: string;
  modality: string;
  family: string;
  fits: boolean;
  sort: string;
}
export const SORTS = ["fit", "name", "small", "large"] as const;

const WORTH = { fits: 0, unknown: 1, does_not_fit: 2, incompatible: 3 } as const;

/** All the words, anywhere in what is said of it; within equals the catalogue's own order, which has families together. */
export function lookedFor(entries: CatalogueEntry[], { words, modality, family, fits, sort }: Wanted): CatalogueEntry[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const found = entries.filter((entry) => {
    const said = [entry.id, entry.name, entry.family, entry.licence, entry.modality, ...entry.abilities, ...entry.variants.flatMap((one) => [one.quantization, one.backend, one.format])].join(" ").toLowerCase();
    return wanted.every((word) => said.includes(word)) && (!modality || entry.modality === modality) && (!family || entry.family === family) && (!fits || entry.verdict === "fits");
  });
  const by: Record<string, (a: CatalogueEntry, b: CatalogueEntry) => number> = {
    fit: (a, b) => WORTH[a.verdict] - WORTH[b.verdict],
    name: (a, b) => byText(a.name, b.name),
    small: (a, b) => a.parameters - b.parameters,
    large: (a, b) => b.parameters - a.parameters,
  };
  return found.sort(by[sort] ?? by["fit"]);
}

/** Each value once, in the order in which they come. */
export function kindsOf(entries: CatalogueEntry[], of: "modality" | "family"): string[] {
  return [...new Set(entries.map((entry) => entry[of]))];
}
