// Speech of text and text of speech, as the models that answer allow.
import { t } from "../../i18n/index.ts";
import { useUrl } from "../../lib/url.ts";
import { Segments } from "../../ui/basics.tsx";
import type { ViewProps } from "./playground.tsx";
import { Speak } from "./speak.tsx";
import { Transcribe } from "./transcribe.tsx";

export function Speech({ served: { speak, transcribe } }: ViewProps) {
  const [model] = useUrl("model", "");
  const [wanted, setWanted] = useUrl("speech", "");
  const both = speak.length > 0 && transcribe.length > 0;
  const hears = !both ? speak.length === 0 : wanted ? wanted === "transcribe" : transcribe.includes(model);
  return (
    <>
      {both && (
        <div>
          <Segments label={t("playground.speech")} value={hears ? "transcribe" : "speak"} onChange={setWanted} options={[{ value: "speak", text: t("speech.speak") }, { value: "transcribe", text: t("speech.transcribe") }]} />
        </div>
      )}
      {hears ? <Transcribe models={transcribe} /> : <Speak models={speak} />}
    </>
  );
}
