// What the panels of a comparison ask for: parameters that all share, and those of a panel's own beside them. It goes into the page's
// address, so that a link opens the same comparison. Pure.

export interface Parameters {
  system: string;
  maxTokens: string;
  temperature: string;
  topP: string;
  seed: string;
}
export type Own = Partial<Parameters>;

export const COMPARE_DEFAULTS: Parameters = { system: "", maxTokens: "128", temperature: "0.7", topP: "", seed: "" };
const FIELDS = ["system", "maxTokens", "temperature", "topP"] as const;
/** As requests name them. */
export const REQUEST_NAMES = { system: "system", maxTokens: "max_tokens", temperature: "temperature", topP: "top_p" } as const;
const LONGEST = 8_000;

export interface Setup {
  shared: Parameters;
  /** By panel; empty texts and missing ones are the shared. */
  own: Own[];
  /** In links only: a prompt that is being typed is not written into the address. */
  prompt?: string;
}

function fieldsOf(value: unknown): Own {
  if (typeof value !== "object" || value === null) return {};
  const given = value as Record<string, unknown>;
  return Object.fromEntries(FIELDS.filter((name) => typeof given[name] === "string").map((name) => [name, String(given[name]).slice(0, LONGEST)]));
}

/** Whatever an address holds: what is not understood is left out. */
export function readSetup(text: string, panels: number): Setup {
  let given: { shared?: unknown; own?: unknown; prompt?: unknown } = {};
  try {
    const parsed: unknown = JSON.parse(text || "{}");
    if (typeof parsed === "object" && parsed !== null) given = parsed;
  } catch {
    // A link that was cut: as without it.
  }
  const own = Array.isArray(given.own) ? given.own : [];
  return {
    shared: { ...COMPARE_DEFAULTS, ...fieldsOf(given.shared) },
    own: Array.from({ length: panels }, (_, panel) => fieldsOf(own[panel])),
    ...(typeof given.prompt === "string" ? { prompt: given.prompt.slice(0, 10 * LONGEST) } : {}),
  };
}

function filled(own: Own): Own {
  return Object.fromEntries(FIELDS.filter((name) => own[name]?.trim()).map((name) => [name, own[name]]));
}

/** The shortest text that reads as `setup`; "" for the usual one. */
export function writeSetup({ shared, own, prompt }: Setup): string {
  const changed = Object.fromEntries(FIELDS.filter((name) => shared[name] !== COMPARE_DEFAULTS[name]).map((name) => [name, shared[name]]));
  const owned = own.map(filled);
  while (owned.length > 0 && Object.keys(owned.at(-1) ?? {}).length === 0) owned.pop();
  const parts = {
    ...(Object.keys(changed).length > 0 ? { shared: changed } : {}),
    ...(owned.length > 0 ? { own: owned } : {}),
    ...(prompt !== undefined ? { prompt } : {}),
  };
  return Object.keys(parts).length > 0 ? JSON.stringify(parts) : "";
}

export function parametersOf({ shared, own }: Setup, panel: number): Parameters {
  return { ...shared, ...filled(own[panel] ?? {}) };
}

/** "temperature 0, max_tokens 64": what a panel has of its own, empty where it has nothing. */
export function ownText(own: Own | undefined): string {
  return FIELDS.filter((name) => own?.[name]?.trim()).map((name) => `${REQUEST_NAMES[name]} ${name === "system" ? `“${own?.[name]?.trim().slice(0, 40)}”` : own?.[name]?.trim()}`).join(", ");
}
