// One connection to GET /api/v1/watch, made again when it breaks. Runs in a worker that all tabs share, or in the page where the
// browser has no such workers.
import { readEvents, type ServerEvent } from "../api/sse.ts";
import type { Change, Kind, LinkState, Message } from "./messages.ts";

const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 10_000;

function changeOf(event: ServerEvent): Change {
  const { kind, object } = JSON.parse(event.data) as { kind: Kind; object: { id: string } };
  return { kind, deleted: event.event === "deleted", object };
}

export class WatchConnection {
  readonly #emit: (message: Message) => void;
  readonly #objects = new Map<string, Change>();
  #state: LinkState = "refused";
  #running = false;
  #retryMs = RETRY_FIRST_MS;

  constructor(emit: (message: Message) => void) {
    this.#emit = emit;
  }

  /** Connects, unless it is connected. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#run();
  }

  /** What somebody who comes later has missed. */
  now(): Message[] {
    const state: Message = { type: "state", state: this.#state };
    return this.#state === "live" ? [{ type: "reset", changes: [...this.#objects.values()] }, state] : [state];
  }

  #become(state: LinkState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#emit({ type: "state", state });
  }

  async #run(): Promise<void> {
    while (this.#running) {
      this.#become("connecting");
      try {
        const answer = await fetch("/api/v1/watch", { credentials: "same-origin" });
        if (answer.status === 401 || answer.status === 403) {
          this.#running = false;
          this.#objects.clear();
          this.#become("refused");
          return;
        }
        if (answer.ok) await this.#read(answer);
      } catch {
        // The server is away: again below.
      }
      await new Promise((resolve) => setTimeout(resolve, this.#retryMs));
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MOST_MS);
    }
  }

  async #read(answer: Response): Promise<void> {
    let first: Change[] | null = [];
    await readEvents(answer, (events) => {
      const changes: Change[] = [];
      for (const event of events) {
        if (event.event === "synced") {
          this.#retryMs = RETRY_FIRST_MS;
          this.#objects.clear();
          for (const change of first ?? []) this.#keep(change);
          this.#emit({ type: "reset", changes: first ?? [] });
          first = null;
          this.#become("live");
        } else if (event.event !== "resync") {
          (first ?? changes).push(changeOf(event));
        }
      }
      for (const change of changes) this.#keep(change);
      if (changes.length > 0) this.#emit({ type: "changes", changes });
    });
  }

  #keep(change: Change): void {
    const key = `${change.kind}/${change.object.id}`;
    if (change.deleted) this.#objects.delete(key);
    else this.#objects.set(key, change);
  }
}
