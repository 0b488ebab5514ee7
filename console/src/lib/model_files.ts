// The files of hubs' models on all machines, live while a page that shows them is open.
import { useEffect, useState } from "react";
import type { ApiError } from "../api/client.ts";
import type { ModelFiles } from "../api/types.ts";
import { follow } from "./streamed.ts";

export interface LiveFiles {
  value: ModelFiles[] | undefined;
  error: ApiError | undefined;
}

/** Asks for nothing where `wanted` is false. */
export function useModelFiles(wanted = true): LiveFiles {
  const [state, setState] = useState<LiveFiles>({ value: undefined, error: undefined });
  useEffect(() => {
    if (!wanted) return;
    return follow<{ items: ModelFiles[] }>("/api/v1/model-files/watch", "files", ({ items }) => setState({ value: items, error: undefined }), (error) => setState((before) => ({ ...before, error })));
  }, [wanted]);
  return state;
}
