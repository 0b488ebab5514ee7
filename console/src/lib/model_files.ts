// The files of hubs' models on the server's machine, live while a page that shows them is open.
import { useEffect, useState } from "react";
import { ApiError, send } from "../api/client.ts";
import { readEvents } from "../api/sse.ts";
import type { ModelFiles } from "../api/types.ts";
import { asApiError } from "./fetched.ts";

const RETRY_MS = 2_000;

export interface LiveFiles {
  value: ModelFiles[] | undefined;
  error: ApiError | undefined;
}

/** Asks for nothing where `wanted` is false. */
export function useModelFiles(wanted = true): LiveFiles {
  const [state, setState] = useState<LiveFiles>({ value: undefined, error: undefined });
  useEffect(() => {
    if (!wanted) return;
    const stop = new AbortController();
    (async () => {
      while (!stop.signal.aborted) {
        try {
          const answer = await send("GET", "/api/v1/model-files/watch", undefined, stop.signal);
          await readEvents(answer, (events) => {
            const last = events.findLast((event) => event.event === "files");
            if (last) setState({ value: (JSON.parse(last.data) as { items: ModelFiles[] }).items, error: undefined });
          });
        } catch (problem) {
          if (stop.signal.aborted) return;
          const error = asApiError(problem);
          setState((before) => ({ ...before, error }));
          if (error.status >= 400 && error.status < 500) return;
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    })();
    return () => stop.abort();
  }, [wanted]);
  return state;
}
