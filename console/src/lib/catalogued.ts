// The catalogue as the server judges it now: asked again when what decides has changed, and only then.
import { useMemo } from "react";
import { list } from "../api/client.ts";
import type { CatalogueEntry } from "../api/types.ts";
import { useAll } from "../live/store.ts";
import { type Fetched, useFetched } from "./fetched.ts";

export function useCatalogue(): Fetched<CatalogueEntry[]> {
  const instances = useAll("instances");
  const workers = useAll("workers");
  const booked = useMemo(
    () =>
      [
        ...instances.map((one) => [one.id, one.worker_id, ...one.placement.claims.map((claim) => `${claim.device} ${claim.bytes}`)].join(" ")),
        ...workers.map((one) => `${one.id} ${one.state} ${one.devices.length}`),
      ]
        .sort()
        .join("\n"),
    [instances, workers],
  );
  return useFetched((signal) => list<CatalogueEntry>("/api/v1/catalogue", signal), [booked]);
}
