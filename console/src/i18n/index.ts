// The words of the console. English is part of the page, other languages come when chosen. A text may hold {names} of what goes in.
import { useSyncExternalStore } from "react";
import type { Language } from "../lib/format.ts";
import { en } from "./en.ts";

export type Key = keyof typeof en;
export type Dictionary = Record<Key, string>;

const KEPT = "gantry-language";
const listeners = new Set<() => void>();
let language: Language = "en";
let words: Dictionary = en;
interface ServerWords {
  inChinese: (text: string) => string;
  CODES: Record<string, string>;
}
let server: ServerWords | undefined;

export function t(key: Key, values?: Record<string, string | number>): string {
  const text = words[key];
  return values ? text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : text;
}

/** The text of a key that is put together, such as "state.running"; the end of the key where there is none. */
export function word(group: string, name: string): string {
  return (words as Record<string, string>)[`${group}.${name}`] ?? name;
}

/** What the server says, in the page's language as far as that is known. */
export function told(text: string): string {
  return server ? server.inChinese(text) : text;
}

/** The same of an error, which may be known by its code alone. */
export function toldError(text: string, code: string): string {
  const known = told(text);
  const gist = server?.CODES[code];
  return known === text && gist ? `${gist}：${text}` : known;
}

export function languageNow(): Language {
  return language;
}

export function useLanguage(): Language {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => language,
  );
}

export async function setLanguage(next: Language, keep = true): Promise<void> {
  const [dictionary, ofServer] = next === "zh" ? await Promise.all([import("./zh.ts"), import("./server_zh.ts")]) : [undefined, undefined];
  words = dictionary?.zh ?? en;
  server = ofServer;
  language = next;
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
  if (keep) localStorage.setItem(KEPT, next);
  for (const listener of listeners) listener();
}

/** The language chosen before, else the browser's. */
export async function beginLanguage(): Promise<void> {
  const kept = localStorage.getItem(KEPT);
  const wanted = kept ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  if (wanted === "zh") await setLanguage("zh", false);
}
