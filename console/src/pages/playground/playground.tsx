// The playground: talk to a model, or put several side by side and measure them.
import { useMemo } from "react";
import { Link } from "wouter";
import { MessagesSquare } from "lucide-react";
import { api } from "../../api/client.ts";
import { t } from "../../i18n/index.ts";
import { useFetched } from "../../lib/fetched.ts";
import { isAdmin, useMe } from "../../lib/session.ts";
import { useUrl } from "../../lib/url.ts";
import { useAll } from "../../live/store.ts";
import { Empty, Loading, Problem, Segments } from "../../ui/basics.tsx";
import { PageBody } from "../../ui/page.tsx";
import { Chat } from "./chat.tsx";
import { Compare } from "./compare.tsx";
import "./playground.css";

interface Served {
  id: string;
  meta: { pooling?: string };
}

/** The names that chat requests may be sent to, now. */
function useChatModels() {
  const deployments = useAll("deployments");
  const routes = useAll("routes");
  // The list is read again when what serves has changed, and only then.
  const serving = useMemo(
    () => [...deployments.filter((one) => one.status.ready_replicas > 0).map((one) => one.name), ...routes.map((one) => `${one.name}/${one.version}`)].sort().join("\n"),
    [deployments, routes],
  );
  return useFetched(
    async (signal) => (await api<{ data: Served[] }>("GET", "/v1/models", undefined, signal)).data.filter((model) => !model.meta.pooling).map((model) => model.id),
    [serving],
  );
}

export default function Playground() {
  const [mode, setMode] = useUrl("mode", "chat");
  const models = useChatModels();
  const admin = isAdmin(useMe());
  const switcher = (
    <Segments label={t("playground.mode")} value={mode} onChange={setMode} options={[{ value: "chat", text: t("playground.chat") }, { value: "compare", text: t("playground.compare") }]} />
  );
  return (
    <PageBody title={t("playground")} about={mode === "compare" ? t("compare.about") : t("chat.about")} actions={switcher}>
      {models.error && <Problem error={models.error} again={models.again} />}
      {!models.value && !models.error && <Loading />}
      {models.value?.length === 0 && (
        <section className="card">
          <Empty icon={<MessagesSquare size={30} aria-hidden />} title={t("playground.none")} actions={<Link className="button primary" href={admin ? "~/deployments/new" : "~/deployments"}>{admin ? t("deploy") : t("deployments")}</Link>}>
            {t("playground.none.text")}
          </Empty>
        </section>
      )}
      {models.value && models.value.length > 0 && (mode === "compare" ? <Compare models={models.value} /> : <Chat models={models.value} />)}
    </PageBody>
  );
}
