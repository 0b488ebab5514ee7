// What the page of backends shows of what the server says of them. Pure.
import type { Backend, BackendOnWorker, Deployment, Worker } from "../api/types.ts";

type OnDevice = BackendOnWorker["devices"][number];

export const nameOf = (device: { vendor: string; index: number }) => `${device.vendor}/${device.index}`;

/** Changes when the server would say something else; figures of devices are none of it. */
export function basisOf(workers: readonly Worker[], deployments: readonly Deployment[]): string {
  const machines = workers.map((one) => [one.id, one.name, one.state, one.backends, one.devices.map((device) => [device.id, device.problem])]);
  return JSON.stringify([machines.sort(), deployments.map((one) => [one.id, one.name, one.backend]).sort()]);
}

/** Where an instance could start now. */
export function works(on: BackendOnWorker): boolean {
  return on.state === "ready" && on.worker_state !== "unreachable";
}

/** "good" everywhere or on some, "warn" where something can be done, nothing where nothing can. */
export function lookOf(of: Backend): "good" | "warn" | undefined {
  if (of.workers.some(works)) return "good";
  return of.workers.some((on) => on.next_step !== "") ? "warn" : undefined;
}

/** The versions that workers have, each with how many, the most frequent first. */
export function versionsOf(of: Backend): { version: string; workers: number }[] {
  const counts = new Map<string, number>();
  for (const on of of.workers) if (on.version) counts.set(on.version, (counts.get(on.version) ?? 0) + 1);
  return [...counts].map(([version, workers]) => ({ version, workers })).sort((a, b) => b.workers - a.workers);
}

/** Devices that are refused for the same reason, together. */
export function refusalsOf(devices: readonly OnDevice[]): { reason: string; devices: string[] }[] {
  const found = new Map<string, string[]>();
  for (const device of devices) if (!device.works) found.set(device.reason, [...(found.get(device.reason) ?? []), nameOf(device)]);
  return [...found].map(([reason, names]) => ({ reason, devices: names }));
}

export function textOf(of: Backend): string {
  const machines = of.workers.flatMap((on) => [on.worker_name, on.state, on.version, ...on.devices.flatMap((device) => (device.works ? [nameOf(device), device.name] : []))]);
  return [of.name, of.title, ...of.formats, ...of.modalities, ...of.deployments.map((one) => one.name), ...machines].join(" ").toLowerCase();
}
