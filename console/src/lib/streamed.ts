// A stream of events of one kind, held open while somebody looks: begun again when it breaks, not when it is refused.
import { ApiError, send } from "../api/client.ts";
import { readEvents } from "../api/sse.ts";
import { asApiError } from "./fetched.ts";

const RETRY_MS = 2_000;

/** Gives each value to `take`, of several that come together the last; what went wrong goes to `fail`. Returns what ends it. */
export function follow<T>(path: string, event: string, take: (value: T) => void, fail: (error: ApiError) => void): () => void {
  const stop = new AbortController();
  (async () => {
    while (!stop.signal.aborted) {
      try {
        const answer = await send("GET", path, undefined, stop.signal);
        await readEvents(answer, (events) => {
          const last = events.findLast((one) => one.event === event);
          if (last) take(JSON.parse(last.data) as T);
        });
      } catch (problem) {
        if (stop.signal.aborted) return;
        const error = asApiError(problem);
        fail(error);
        if (error.status >= 400 && error.status < 500) return;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  })();
  return () => stop.abort();
}
