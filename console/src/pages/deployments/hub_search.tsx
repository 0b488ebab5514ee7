// Models of a hub by words of their names. Asked when told to: each search goes to somebody else's server.
import { Download, Heart, Search } from "lucide-react";
import { type KeyboardEvent, useId, useRef, useState } from "react";
import { api } from "../../api/client.ts";
import type { HubModel } from "../../api/types.ts";
import { t } from "../../i18n/index.ts";
import { short } from "../../lib/format.ts";
import { Button, Problem, Segments } from "../../ui/basics.tsx";

export const HUBS = [{ value: "hf", text: "Hugging Face" }, { value: "modelscope", text: "ModelScope" }] as const;
type Hub = (typeof HUBS)[number]["value"];

export function HubSearch({ pick }: { pick: (source: string) => void }) {
  const [hub, setHub] = useState<Hub>("hf");
  const [words, setWords] = useState("");
  const [found, setFound] = useState<HubModel[]>();
  const [asked, setAsked] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const running = useRef<AbortController | null>(null);
  const list = useId();

  async function search(where: Hub = hub) {
    const wanted = words.trim();
    if (!wanted) return;
    running.current?.abort();
    const stop = new AbortController();
    running.current = stop;
    setBusy(true);
    setError(undefined);
    try {
      const answer = await api<{ items: HubModel[] }>("GET", `/api/v1/hub-models?hub=${where}&limit=20&search=${encodeURIComponent(wanted)}`, undefined, stop.signal);
      setFound(answer.items);
      setAsked(wanted);
    } catch (problem) {
      if (stop.signal.aborted) return;
      setError(problem);
      setFound(undefined);
    }
    setBusy(false);
  }

  return (
    <div className="hub-search" role="search" aria-label={t("hub.search")}>
      <div className="row wrap">
        <Segments
          label={t("hub.which")}
          value={hub}
          options={HUBS}
          onChange={(next) => {
            setHub(next);
            if (found) void search(next);
          }}
        />
        <div className="search">
          <Search size={16} aria-hidden />
          <input
            className="input"
            type="search"
            aria-label={t("hub.search")}
            placeholder={t("hub.search")}
            aria-controls={list}
            value={words}
            onChange={(event) => setWords(event.target.value)}
            onKeyDown={(event: KeyboardEvent) => {
              if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
              event.preventDefault(); // the form around it is not sent
              void search();
            }}
          />
        </div>
        <Button busy={busy} disabled={!words.trim()} onClick={() => void search()}>{t("hub.go")}</Button>
      </div>
      {error !== undefined && <Problem error={error} />}
      <ul id={list} className="hub-found" aria-live="polite">
        {found?.length === 0 && <li className="muted small">{t("hub.none", { words: asked })}</li>}
        {found?.map((model) => (
          <li key={model.source}>
            <button type="button" onClick={() => pick(model.source)}>
              <span className="grow break mono">{model.source}</span>
              <span className="small muted num nowrap" title={t("hub.downloads")}><Download size={12} aria-hidden /><span className="sr">{t("hub.downloads")}</span> {short(model.downloads)}</span>
              <span className="small muted num nowrap" title={t("hub.likes")}><Heart size={12} aria-hidden /><span className="sr">{t("hub.likes")}</span> {short(model.likes)}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
