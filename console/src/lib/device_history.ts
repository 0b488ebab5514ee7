// What a worker's devices did: the server's history, and how it goes on with what the worker reports since. Pure.
import type { Device, DeviceHistory, Worker } from "../api/types.ts";

/** A figure a step; null: not measured. */
export type Figures = readonly (number | null)[];
export interface Course {
  id: string;
  name: string;
  memory: Figures;
  /** Means, 0 to 1, and the highest. */
  load: Figures;
  loadMax: Figures;
  temperature: Figures;
}
export interface Courses {
  /** Milliseconds since 1970: the start of each step, and how long one is. */
  at: readonly number[];
  step: number;
  /** Up to then it was measured. */
  until: number;
  devices: readonly Course[];
}
const FIGURES = ["memory", "load", "loadMax", "temperature"] as const;
type Told = Record<(typeof FIGURES)[number], number | null>;

export function coursesOf(history: DeviceHistory): Courses {
  const [from, until, step] = [Date.parse(history.from), Date.parse(history.to), history.step_seconds * 1000];
  return {
    at: Array.from({ length: Math.ceil((until - from) / step) }, (_, i) => from + i * step),
    step,
    until,
    devices: history.items.map((one) => ({
      id: one.id,
      name: nameOf(one),
      memory: one.memory_used_bytes,
      load: one.utilization,
      loadMax: one.utilization_max,
      temperature: one.temperature_celsius,
    })),
  };
}

function nameOf({ vendor, index, name }: { vendor: string; index: number; name: string }): string {
  return name ? `${vendor}/${index} ${name}` : `${vendor}/${index}`;
}

/** As the server takes it (src/control/device_series.cc): no figure that no tool told. */
function told(device: Device): Told {
  if (device.problem && device.temperature_celsius === null) return { memory: null, load: null, loadMax: null, temperature: null };
  const load = device.partition ? null : device.utilization;
  return {
    memory: device.memory_total_bytes > 0 ? Math.max(0, device.memory_total_bytes - device.memory_free_bytes) : null,
    load,
    loadMax: load,
    temperature: device.temperature_celsius,
  };
}

/** With what the worker said last: the newest step is the mean of it and of what was there, by the time that each stands for. */
export function continued(courses: Courses, worker: Worker): Courses {
  const now = worker.last_report_at ? Date.parse(worker.last_report_at) : 0;
  const first = courses.at[0];
  if (now <= courses.until || first === undefined) return courses;
  const last = Math.floor((now - first) / courses.step);
  const more = Math.max(0, last + 1 - courses.at.length);
  const begun = first + last * courses.step;
  const before = Math.max(0, courses.until - begun); // of the newest step, in milliseconds
  const here = new Map(worker.devices.map((device) => [device.id, device]));
  const go = (course: Course, device: Device | undefined): Course => {
    const said = device && told(device);
    const figures = FIGURES.map((name) => {
      const values = [...course[name], ...Array<null>(more).fill(null)].slice(more);
      const was = values.at(-1) ?? null;
      const is = said?.[name] ?? null;
      if (is !== null) values[values.length - 1] = was === null ? is : name === "loadMax" ? Math.max(was, is) : (was * before + is * (now - courses.until)) / (before + now - courses.until);
      return [name, values];
    });
    return { ...course, ...Object.fromEntries(figures) } as Course;
  };
  const known = new Set(courses.devices.map((course) => course.id));
  const none = courses.at.map(() => null);
  const fresh = worker.devices.filter((device) => !known.has(device.id)).map((device) => ({ id: device.id, name: nameOf(device), memory: none, load: none, loadMax: none, temperature: none }));
  const from = first + more * courses.step;
  return {
    at: courses.at.map((_, i) => from + i * courses.step),
    step: courses.step,
    until: now,
    devices: [...courses.devices, ...fresh].map((course) => go(course, here.get(course.id))),
  };
}

export function measured(figures: Figures): boolean {
  return figures.some((value) => value !== null);
}

/** The newest and the highest; null: nothing was measured. */
export function lastAndMost(figures: Figures): [number, number] | null {
  const values = figures.filter((value) => value !== null);
  const last = values.at(-1);
  return last === undefined ? null : [last, Math.max(...values)];
}
