// The live objects as React sees them: immutable maps, replaced whole when something in them changed.
import { useMemo, useSyncExternalStore } from "react";
import { WatchConnection } from "./connection.ts";
import { forget, remember } from "./history.ts";
import { type Change, type Kind, KINDS, type Kinds, type LinkState, type Message } from "./messages.ts";

type Maps = { readonly [K in Kind]: ReadonlyMap<string, Kinds[K]> };

const NOTHING = Object.fromEntries(KINDS.map((kind) => [kind, new Map()])) as unknown as Maps;
let maps = NOTHING;
let state: LinkState = "connecting";
let known = false; // something was received since the login
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function apply(base: Maps, changes: Change[]): Maps {
  const copies = new Map<Kind, Map<string, { id: string }>>();
  for (const change of changes) {
    let copy = copies.get(change.kind);
    if (!copy) {
      copy = new Map<string, { id: string }>(base[change.kind]);
      copies.set(change.kind, copy);
    }
    if (change.deleted) copy.delete(change.object.id);
    else copy.set(change.object.id, change.object);
  }
  return { ...base, ...Object.fromEntries(copies) } as Maps;
}

function take(message: Message): void {
  if (message.type === "state") {
    state = message.state;
    if (state === "refused") {
      maps = NOTHING;
      known = false;
      forget();
    }
  } else {
    known = true;
    maps = apply(message.type === "reset" ? NOTHING : maps, message.changes);
    const now = Date.now();
    for (const change of message.changes) if (change.kind === "workers" && !change.deleted) remember((change.object as Kinds["workers"]).devices, now);
  }
  for (const listener of listeners) listener();
}

let begin: (() => void) | null = null;

function connect(): () => void {
  if (typeof SharedWorker === "function") {
    const worker = new SharedWorker(new URL("./shared_worker.ts", import.meta.url), { type: "module", name: "gantry" });
    worker.port.onmessage = (message: MessageEvent<Message>) => take(message.data);
    addEventListener("pagehide", () => worker.port.postMessage("stop"));
    addEventListener("pageshow", (event) => {
      if (event.persisted) worker.port.postMessage("start");
    });
    return () => worker.port.postMessage("start");
  }
  const connection = new WatchConnection(take);
  return () => connection.start();
}

/** After a login: begins to watch, or goes on. */
export function startWatching(): void {
  begin ??= connect();
  begin();
}

export function useLink(): LinkState {
  return useSyncExternalStore(subscribe, () => state);
}

/** Whether what is shown is all that there is; false until the first list has come. */
export function useKnown(): boolean {
  return useSyncExternalStore(subscribe, () => known);
}

export function useMap<K extends Kind>(kind: K): ReadonlyMap<string, Kinds[K]> {
  return useSyncExternalStore(subscribe, () => maps[kind]) as ReadonlyMap<string, Kinds[K]>;
}

export function useAll<K extends Kind>(kind: K): Kinds[K][] {
  const map = useMap(kind);
  return useMemo(() => [...map.values()], [map]);
}
