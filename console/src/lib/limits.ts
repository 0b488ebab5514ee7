// Quotas of users and keys, as fields of a form. Pure.
import type { Limits } from "../api/types.ts";

export const LIMIT_NAMES = ["requests_per_minute", "tokens_per_minute", "concurrent_requests", "tokens_per_month"] as const;
export type LimitName = (typeof LIMIT_NAMES)[number];
export type LimitTexts = Record<LimitName, string>;
export const NO_LIMITS: LimitTexts = { requests_per_minute: "", tokens_per_minute: "", concurrent_requests: "", tokens_per_month: "" };

export function textsOf(limits: Limits): LimitTexts {
  return Object.fromEntries(LIMIT_NAMES.map((name) => [name, limits[name] === null ? "" : String(limits[name])])) as LimitTexts;
}

/** An empty field lifts its limit. */
export function limitsOf(texts: LimitTexts): Limits {
  return Object.fromEntries(LIMIT_NAMES.map((name) => [name, texts[name].trim() === "" ? null : Number(texts[name])])) as Limits;
}

/** Only those that there are. */
export function onlySet(texts: LimitTexts): Partial<Limits> {
  return Object.fromEntries(Object.entries(limitsOf(texts)).filter(([, value]) => value !== null)) as Partial<Limits>;
}

export function modelsOf(text: string): string[] {
  return [...new Set(text.split(/[\n,]/).map((one) => one.trim()).filter(Boolean))];
}
