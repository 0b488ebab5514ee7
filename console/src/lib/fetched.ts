// What the watch stream does not carry: read when a page opens, and again when asked. Never by a clock.
import { useCallback, useEffect, useState } from "react";
import { ApiError } from "../api/client.ts";

export interface Fetched<T> {
  value: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
  again: () => void;
}

export function asApiError(problem: unknown): ApiError {
  return problem instanceof ApiError ? problem : new ApiError(0, problem instanceof Error ? problem.message : String(problem), "internal");
}

/** `read` runs when one of `on` changes; what it read before stands until then. */
export function useFetched<T>(read: (signal: AbortSignal) => Promise<T>, on: readonly unknown[]): Fetched<T> {
  const [value, setValue] = useState<T>();
  const [error, setError] = useState<ApiError>();
  const [loading, setLoading] = useState(true);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setLoading(true);
    read(stop.signal)
      .then((got) => {
        if (stop.signal.aborted) return;
        setValue(got);
        setError(undefined);
        setLoading(false);
      })
      .catch((problem: unknown) => {
        if (stop.signal.aborted) return;
        setError(asApiError(problem));
        setLoading(false);
      });
    return () => stop.abort();
  }, [...on, turn]);
  const again = useCallback(() => setTurn((n) => n + 1), []);
  return { value, error, loading, again };
}
