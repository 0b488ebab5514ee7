// The playground: talk to a model, put several side by side and measure them, or see what models of other kinds do.
import { MessagesSquare } from "lucide-react";
import { type ComponentType, lazy } from "react";
import { Link } from "wouter";
import { type Key, t } from "../../i18n/index.ts";
import type { Ability, ServedNames } from "../../lib/abilities.ts";
import { isAdmin, useMe } from "../../lib/session.ts";
import { useUrl } from "../../lib/url.ts";
import { Empty, Loading, Problem, Segments } from "../../ui/basics.tsx";
import { PageBody } from "../../ui/page.tsx";
import { Compare } from "./compare.tsx";
import { useServed } from "./served.ts";
import "./playground.css";

const Chat = lazy(() => import("./chat.tsx").then(({ Chat: view }) => ({ default: view })));
const Completion = lazy(() => import("./completion.tsx").then(({ Completion: view }) => ({ default: view })));
const Embeddings = lazy(() => import("./embeddings.tsx").then(({ Embeddings: view }) => ({ default: view })));
const Image = lazy(() => import("./image.tsx").then(({ Image: view }) => ({ default: view })));
const Rerank = lazy(() => import("./rerank.tsx").then(({ Rerank: view }) => ({ default: view })));
const Speech = lazy(() => import("./speech.tsx").then(({ Speech: view }) => ({ default: view })));

export interface ViewProps {
  /** Those that the mode is for. */
  models: string[];
  served: ServedNames;
}

interface Mode {
  name: string;
  needs: readonly Ability[];
  view: ComponentType<ViewProps>;
  text: Key;
  about: Key;
}
const MODES: readonly Mode[] = [
  { name: "chat", needs: ["write"], view: Chat, text: "playground.chat", about: "chat.about" },
  { name: "compare", needs: ["write"], view: Compare, text: "playground.compare", about: "compare.about" },
  { name: "completion", needs: ["write"], view: Completion, text: "playground.completion", about: "completion.about" },
  { name: "embeddings", needs: ["embed"], view: Embeddings, text: "playground.embeddings", about: "embeddings.about" },
  { name: "rerank", needs: ["rank"], view: Rerank, text: "playground.rerank", about: "rerank.about" },
  { name: "image", needs: ["draw"], view: Image, text: "playground.image", about: "image.about" },
  { name: "speech", needs: ["speak", "transcribe"], view: Speech, text: "playground.speech", about: "speech.about" },
];

function namesFor(served: ServedNames, { needs }: Mode): string[] {
  return needs.flatMap((ability) => served[ability]);
}

export default function Playground() {
  const [wanted, setMode] = useUrl("mode", "");
  const [model] = useUrl("model", "");
  const served = useServed();
  const modes = MODES.filter((mode) => served.value && namesFor(served.value, mode).length > 0);
  // The one that was asked for; else one for the model that was.
  const mode = modes.find((one) => one.name === wanted) ?? modes.find((one) => served.value && namesFor(served.value, one).includes(model)) ?? modes[0];
  const switcher = modes.length > 0 && mode && <Segments label={t("playground.mode")} value={mode.name} onChange={setMode} options={modes.map((one) => ({ value: one.name, text: t(one.text) }))} />;
  return (
    <PageBody title={t("playground")} about={t(mode?.about ?? (wanted === "compare" ? "compare.about" : "chat.about"))} actions={switcher}>
      {served.error && <Problem error={served.error} again={served.again} />}
      {!served.value && !served.error && <Loading />}
      {served.value && (mode ? <mode.view models={namesFor(served.value, mode)} served={served.value} /> : <Nothing />)}
    </PageBody>
  );
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
