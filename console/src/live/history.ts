// What devices did while this page was open, one point a report of a worker. What they did before, by the minute, the server tells
// (lib/device_history.ts).
import { useSyncExternalStore } from "react";
import type { Device } from "../api/types.ts";

export interface Point {
  at: number;
  /** Shares, 0 to 1. */
  load: number;
  memory: number;
}
const KEPT_MS = 30 * 60_000;
const MOST = 1_000;
const NOTHING: readonly Point[] = [];

const courses = new Map<string, readonly Point[]>();
const listeners = new Set<() => void>();

export function remember(devices: readonly Device[], now: number): void {
  for (const device of devices) {
    const before = courses.get(device.id) ?? NOTHING;
    const point = { at: now, load: device.utilization, memory: device.memory_total_bytes > 0 ? 1 - device.memory_free_bytes / device.memory_total_bytes : 0 };
    courses.set(device.id, [...before.filter((one) => one.at > now - KEPT_MS).slice(1 - MOST), point]);
  }
  if (devices.length > 0) for (const listener of listeners) listener();
}

export function courseOf(id: string): readonly Point[] {
  return courses.get(id) ?? NOTHING;
}

export function forget(): void {
  courses.clear();
}

export function useCourse(id: string): readonly Point[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => courseOf(id),
  );
}
