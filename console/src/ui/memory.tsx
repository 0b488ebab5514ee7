// A device's memory, by who holds it.
import { t } from "../i18n/index.ts";
import { bytes } from "../lib/format.ts";

export interface Part {
  name: string;
  bytes: number;
  /** A custom property of the styles, or a number of a series. */
  color: string;
}

export const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"] as const;
export const OTHERS = "--line-strong";

export function seriesColor(index: number): string {
  return SERIES[index % SERIES.length] ?? SERIES[0];
}

export function MemoryBar({ label, total, parts }: { label: string; total: number; parts: Part[] }) {
  const text = [...parts.map((part) => `${part.name} ${bytes(part.bytes)}`), t("memory.of", { total: bytes(total) })].join(", ");
  return (
    <div className="bar" role="img" aria-label={`${label}: ${text}`} title={text}>
      {parts.filter((part) => part.bytes > 0 && total > 0).map((part) => (
        <span key={part.name} style={{ width: `${Math.min(100, (part.bytes / total) * 100)}%`, background: `var(${part.color})` }} />
      ))}
    </div>
  );
}

export function MemoryLegend({ parts, total }: { parts: Part[]; total: number }) {
  const free = Math.max(0, total - parts.reduce((sum, part) => sum + part.bytes, 0));
  const all = [...parts, { name: t("memory.free"), bytes: free, color: "--surface-3" }];
  return (
    <ul className="legend-list">
      {all.map((part) => (
        <li key={part.name}>
          <span className="swatch" style={{ background: `var(${part.color})` }} />
          <span className="break">{part.name}</span> <span className="num nowrap">{bytes(part.bytes)}</span>
        </li>
      ))}
    </ul>
  );
}
