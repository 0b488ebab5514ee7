// Numbers with their units, and times, as a person of a language reads them. Pure: the language is given.

export type Language = "en" | "zh";
const LOCALE: Record<Language, string> = { en: "en-GB", zh: "zh-CN" };

export function localeOf(language: Language): string {
  return LOCALE[language];
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Binary units, as the CLI: 460612672 -> "439 MiB". Three digits that count. */
export function bytes(value: number): string {
  let size = Math.max(0, value);
  let unit = 0;
  while (size >= 1023.5 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${digits(size, unit === 0 ? 0 : 3)} ${UNITS[unit]}`;
}

/** At least `count` digits that count, and no more behind the point than that needs. */
export function digits(value: number, count: number): string {
  if (!Number.isFinite(value)) return "–";
  const whole = Math.max(1, Math.floor(Math.log10(Math.max(1, Math.abs(value)))) + 1);
  return value.toFixed(Math.max(0, Math.min(count - whole, count)));
}

/** 12345 -> "12,345" */
export function whole(value: number, language: Language): string {
  return new Intl.NumberFormat(LOCALE[language], { maximumFractionDigits: 0 }).format(value);
}

/** 1234567 -> "1.23 M", for what is only looked at. */
export function short(value: number): string {
  for (const [size, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]] as const) {
    if (value >= size) return `${digits(value / (size === 1e4 ? 1e3 : size), 3)} ${letter}`;
  }
  return String(Math.round(value));
}

/** 134515008 -> "135 M", 7e9 -> "7 B": parameters. */
export function parameters(value: number): string {
  if (value >= 1e9) return `${trimmed(value / 1e9)} B`;
  if (value >= 1e6) return `${trimmed(value / 1e6)} M`;
  return String(value);
}
function trimmed(value: number): string {
  return digits(value, value < 100 ? 2 : 3).replace(/\.0+$/, "");
}

/** Milliseconds, or seconds from ten of them on. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  return ms >= 10_000 ? `${digits(ms / 1000, 3)} s` : `${digits(ms, 3)} ms`;
}

export function rate(perSecond: number): string {
  return `${digits(perSecond, 3)} tok/s`;
}

/** 3725 -> "1 h 2 min": how long something still takes. */
export function span(seconds: number): string {
  const left = Math.max(0, Math.ceil(seconds));
  if (left < 120) return `${left} s`;
  const minutes = Math.ceil(left / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

export function exactTime(at: string | number | Date, language: Language): string {
  return new Date(at).toLocaleString(LOCALE[language], { dateStyle: "medium", timeStyle: "medium" });
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1],
];

/** "3 minutes ago" */
export function relative(at: string | number | Date, now: number, language: Language): string {
  const seconds = (new Date(at).getTime() - now) / 1000;
  const format = new Intl.RelativeTimeFormat(LOCALE[language], { numeric: "auto" });
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length || unit === "second") return format.format(Math.trunc(seconds / length), unit);
  }
  return "";
}
