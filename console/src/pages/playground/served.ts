// What answers now, by what it does.
import { useMemo } from "react";
import { api } from "../../api/client.ts";
import { byAbility, type Served, type ServedNames } from "../../lib/abilities.ts";
import { type Fetched, useFetched } from "../../lib/fetched.ts";
import { useAll } from "../../live/store.ts";

export function useServed(): Fetched<ServedNames> {
  const deployments = useAll("deployments");
  const routes = useAll("routes");
  const models = useAll("models");
  // The list is read again when what serves has changed, and only then.
  const serving = useMemo(
    () => [...deployments.filter((one) => one.status.ready_replicas > 0).map((one) => one.name), ...routes.map((one) => `${one.name}/${one.version}`)].sort().join("\n"),
    [deployments, routes],
  );
  const served = useFetched(async (signal) => (await api<{ data: Served[] }>("GET", "/v1/models", undefined, signal)).data, [serving]);
  const value = useMemo(() => {
    const bySource = new Map(models.map((one) => [one.source, one.meta.modality]));
    return served.value && byAbility(served.value, new Map(deployments.map((one) => [one.name, bySource.get(one.source) ?? ""])));
  }, [served.value, models, deployments]);
  return { ...served, value };
}
