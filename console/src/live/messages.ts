// What goes between the watch stream and the pages that show it.
import type { Benchmark, Deployment, Instance, Model, Route, Worker } from "../api/types.ts";

export interface Kinds {
  deployments: Deployment;
  instances: Instance;
  workers: Worker;
  models: Model;
  routes: Route;
  benchmarks: Benchmark;
}
export type Kind = keyof Kinds;
export const KINDS: Kind[] = ["deployments", "instances", "workers", "models", "routes", "benchmarks"];

export interface Change {
  kind: Kind;
  deleted: boolean;
  object: { id: string };
}
// connecting: not yet, or not any more; refused: nobody is logged in.
export type LinkState = "connecting" | "live" | "refused";
export type Message =
  | { type: "state"; state: LinkState }
  | { type: "reset"; changes: Change[] } // all that there is
  | { type: "changes"; changes: Change[] };
