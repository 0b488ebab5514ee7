// What an engine writes, as it writes it. As text: whatever is in it, it is shown and never obeyed.
import { Download, Search } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { send } from "../../api/client.ts";
import type { Instance } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { Card, Checkbox, Problem } from "../../ui/basics.tsx";
import { useFrames } from "../playground/frames.ts";

const KEPT_CHARACTERS = 1_000_000;
// Colours and cursor movements of terminals, and what else is not text.
const CONTROL = /\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]/g;

export function Logs({ instance }: { instance: Instance }) {
  const [filter, setFilter] = useState("");
  const [follow, setFollow] = useState(true);
  const [error, setError] = useState<unknown>();
  const text = useRef("");
  const box = useRef<HTMLPreElement>(null);
  const draw = useFrames();
  const path = `/api/v1/instances/${encodeURIComponent(instance.id)}/logs`;

  useEffect(() => {
    const stop = new AbortController();
    text.current = "";
    setError(undefined);
    (async () => {
      const answer = await send("GET", `${path}?tail=1000&follow=true`, undefined, stop.signal);
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
        text.current = (text.current + piece.value.replace(CONTROL, "")).slice(-KEPT_CHARACTERS);
        draw();
      }
    })().catch((problem: unknown) => {
      if (!stop.signal.aborted) setError(problem);
    });
    return () => stop.abort();
  }, [path, draw]);

  const whole = text.current;
  const shown = useMemo(() => {
    const wanted = filter.trim().toLowerCase();
    return wanted ? whole.split("\n").filter((line) => line.toLowerCase().includes(wanted)).join("\n") : whole;
  }, [whole, filter]);
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown, follow]);

  return (
    <Card
      flush
      title={t("logs.of", { id: instance.id })}
      actions={
        <div className="row wrap">
          <div className="search">
            <Search size={16} aria-hidden />
            <input className="input" type="search" placeholder={t("filter")} aria-label={t("filter")} value={filter} onChange={(event) => setFilter(event.target.value)} />
          </div>
          <Checkbox label={t("logs.follow")} checked={follow} onChange={setFollow} />
          <a className="button small" href={`${path}?tail=10000`} download={`${instance.id}.log`}><Download size={15} aria-hidden />{t("logs.download")}</a>
        </div>
      }
    >
      {error !== undefined && <div className="pad"><Problem error={error} /></div>}
      <pre className="log" ref={box} tabIndex={0} aria-label={t("logs.of", { id: instance.id })}>{shown || t("logs.none")}</pre>
    </Card>
  );
}
