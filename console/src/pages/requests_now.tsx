// The requests that are being answered, as they were when last asked; one can be ended.
import { Ban, RefreshCw } from "lucide-react";
import { api, list } from "../api/client.ts";
import type { Request } from "../api/types.ts";
import { t } from "../i18n/index.ts";
import { useFetched } from "../lib/fetched.ts";
import { duration } from "../lib/format.ts";
import { Button, Card, Problem, State } from "../ui/basics.tsx";
import { attempt } from "../ui/overlays.tsx";

export function RequestsNow({ admin }: { admin: boolean }) {
  const requests = useFetched((signal) => list<Request>("/api/v1/requests", signal), []);
  const end = (one: Request) => attempt(api("DELETE", `/api/v1/requests/${encodeURIComponent(one.id)}`).finally(requests.again), t("requests.ended"));
  return (
    <Card flush title={t("requests.now")} actions={<Button small look="quiet" busy={requests.loading} icon={<RefreshCw size={14} aria-hidden />} onClick={requests.again}>{t("refresh")}</Button>}>
      {requests.error && <div className="pad"><Problem error={requests.error} again={requests.again} /></div>}
      {requests.value?.length === 0 && <p className="muted pad">{t("requests.none")}</p>}
      {requests.value && requests.value.length > 0 && (
        <ul className="lines">
          {requests.value.map((one) => (
            <li key={one.id}>
              <span className="grow break">
                <strong>{one.model || "–"}</strong> <span className="small muted">{[one.operation, admin ? one.user_name : "", one.key_name || t("usage.no_key")].filter(Boolean).join(" · ")}</span>
              </span>
              <span className="small muted num nowrap">{duration(one.age_ms)}{one.completion_tokens > 0 && ` · ${t("tokens", { n: one.completion_tokens })}`}</span>
              <State of={one.state} />
              <Button small look="quiet" label={t("requests.end", { model: one.model, id: one.id })} icon={<Ban size={15} aria-hidden />} onClick={() => end(one)} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
