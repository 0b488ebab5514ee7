// A download: how far it is, how fast, and how long it still takes. Pure.
import type { Instance, ModelFiles } from "../api/types.ts";

export interface Transfer {
  done: number;
  total: number;
  perSecond: number;
  /** NaN where nobody can say. */
  secondsLeft: number;
}

export function transferOf({ bytes, bytes_done, bytes_per_second }: Pick<ModelFiles, "bytes" | "bytes_done" | "bytes_per_second">): Transfer {
  const left = bytes > 0 && bytes_per_second > 0 ? (bytes - bytes_done) / bytes_per_second : Number.NaN;
  return { done: bytes_done, total: bytes, perSecond: bytes_per_second, secondsLeft: left };
}

const UNITS: Record<string, number> = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };

function sizeOf(text: string): number {
  const found = /^([\d.]+) (B|kB|MB|GB|TB)$/.exec(text);
  return found ? Number(found[1]) * (UNITS[found[2] ?? ""] ?? 1) : Number.NaN;
}

/** Of an instance that is being fetched for: its reason says it, as src/sources/fetch_job.cc writes it. */
export function transferOfInstance({ state, reason }: Pick<Instance, "state" | "reason">): Transfer | undefined {
  const found = state === "downloading" ? /^downloading ([\d.]+ \w+) of ([\d.]+ \w+)(?:, ([\d.]+ \w+)\/s)?(?:, (.+) left)?$/.exec(reason) : null;
  if (!found) return undefined;
  const [done, total] = [sizeOf(found[1] ?? ""), sizeOf(found[2] ?? "")];
  const perSecond = found[3] ? sizeOf(found[3]) : 0;
  if (!Number.isFinite(done) || !Number.isFinite(total)) return undefined;
  return { done, total, perSecond, secondsLeft: perSecond > 0 ? (total - done) / perSecond : Number.NaN };
}
