// The playground: talk to a model, put several side by side and measure them, or see what models of other kinds do.
import { MessagesSquare } from "lucide-react";
import { lazy, useMemo } from "react";
import { Link } from "wouter";
import { api } from "../../api/client.ts";
import { t } from "../../i18n/index.ts";
import { useFetched } from "../../lib/fetched.ts";
import { isAdmin, useMe } from "../../lib/session.ts";
import { useUrl } from "../../lib/url.ts";
import { useAll } from "../../live/store.ts";
import { Empty, Loading, Problem, Segments } from "../../ui/basics.tsx";
import { PageBody } from "../../ui/page.tsx";
import { Compare } from "./compare.tsx";
import "./playground.css";

const Chat = lazy(() => import("./chat.tsx").then(({ Chat: view }) => ({ default: view })));
const Completion = lazy(() => import("./completion.tsx").then(({ Completion: view }) => ({ default: view })));
const Embeddings = lazy(() => import("./embeddings.tsx").then(({ Embeddings: view }) => ({ default: view })));
const Rerank = lazy(() => import("./rerank.tsx").then(({ Rerank: view }) => ({ default: view })));

interface Served {
  id: string;
  meta: { pooling?: string };
}

/** What answers now, by what it does. */
function useServed() {
  const deployments = useAll("deployments");
  const routes = useAll("routes");
  // The list is read again when what serves has changed, and only then.
  const serving = useMemo(
    () => [...deployments.filter((one) => one.status.ready_replicas > 0).map((one) => one.name), ...routes.map((one) => `${one.name}/${one.version}`)].sort().join("\n"),
    [deployments, routes],
  );
  return useFetched(
    async (signal) => {
      const { data } = await api<{ data: Served[] }>("GET", "/v1/models", undefined, signal);
      const those = (can: (pooling: string) => boolean) => data.filter((model) => can(model.meta.pooling ?? "")).map((model) => model.id);
      return { write: those((pooling) => pooling === ""), embed: those((pooling) => pooling !== "" && pooling !== "rank"), rank: those((pooling) => pooling === "rank") };
    },
    [serving],
  );
}
type ServedNames = NonNullable<ReturnType<typeof useServed>["value"]>;

const MODES = [
  { name: "chat", needs: "write", view: Chat, text: "playground.chat", about: "chat.about" },
  { name: "compare", needs: "write", view: Compare, text: "playground.compare", about: "compare.about" },
  { name: "completion", needs: "write", view: Completion, text: "playground.completion", about: "completion.about" },
  { name: "embeddings", needs: "embed", view: Embeddings, text: "playground.embeddings", about: "embeddings.about" },
  { name: "rerank", needs: "rank", view: Rerank, text: "playground.rerank", about: "rerank.about" },
] as const;

export default function Playground() {
  const [wanted, setMode] = useUrl("mode", "");
  const [model] = useUrl("model", "");
  const served = useServed();
  const modes = MODES.filter((mode) => served.value && served.value[mode.needs].length > 0);
  // The one that was asked for; else one for the model that was.
  const mode = modes.find((one) => one.name === wanted) ?? modes.find((one) => served.value?.[one.needs].includes(model)) ?? modes[0];
  const switcher = modes.length > 0 && mode && <Segments label={t("playground.mode")} value={mode.name} onChange={setMode} options={modes.map((one) => ({ value: one.name, text: t(one.text) }))} />;
  return (
    <PageBody title={t("playground")} about={t(mode?.about ?? (wanted === "compare" ? "compare.about" : "chat.about"))} actions={switcher}>
      {served.error && <Problem error={served.error} again={served.again} />}
      {!served.value && !served.error && <Loading />}
      {served.value && (mode ? <mode.view models={namesFor(served.value, mode.needs)} /> : <Nothing />)}
    </PageBody>
  );
}

function namesFor(served: ServedNames, needs: keyof ServedNames): string[] {
  return served[needs];
}

function Nothing() {
  const admin = isAdmin(useMe());
  return (
    <section className="card">
      <Empty icon={<MessagesSquare size={30} aria-hidden />} title={t("playground.none")} actions={<Link className="button primary" href={admin ? "~/deployments/new" : "~/deployments"}>{admin ? t("deploy") : t("deployments")}</Link>}>
        {t("playground.none.text")}
      </Empty>
    </section>
  );
}
