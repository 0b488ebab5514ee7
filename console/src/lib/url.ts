// A value that lives in the page's address, so that a list can be shared as it is looked at.
import { useCallback } from "react";
import { useSearchParams } from "wouter";

export function useUrl(name: string, otherwise: string): [string, (value: string) => void] {
  const [query, setQuery] = useSearchParams();
  const set = useCallback(
    (value: string) =>
      setQuery(
        (before) => {
          const next = new URLSearchParams(before);
          if (value === otherwise) next.delete(name);
          else next.set(name, value);
          return next;
        },
        { replace: true },
      ),
    [name, otherwise, setQuery],
  );
  return [query.get(name) ?? otherwise, set];
}

/** Takes values out of the address, all at once: one after the other, each would bring back what the last took. */
export function useUrlWithout(...names: string[]): () => void {
  const [, setQuery] = useSearchParams();
  return () =>
    setQuery(
      (before) => {
        const next = new URLSearchParams(before);
        for (const name of names) next.delete(name);
        return next;
      },
      { replace: true },
    );
}
