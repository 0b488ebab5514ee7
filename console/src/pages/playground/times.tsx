// What an answer took, in a line.
import { t } from "../../i18n/index.ts";
import { digits, duration, rate } from "../../lib/format.ts";
import { type Sample, tpotOf, ttftOf } from "../../lib/statistics.ts";

export function Times({ sample, finish }: { sample: Sample; finish: string }) {
  const tpot = tpotOf(sample);
  const facts = [
    t("times.tokens", { prompt: sample.promptTokens, answer: sample.outputTokens }),
    `TTFT ${duration(ttftOf(sample))}`,
    Number.isFinite(tpot) ? `TPOT ${duration(tpot)}` : "",
    Number.isFinite(tpot) && tpot > 0 ? rate(1000 / tpot) : "",
    sample.server ? t("times.server", { queue: digits(sample.server.queueMs, 3), prefill: digits(sample.server.prefillMs, 3), decode: digits(sample.server.decodeMs, 3) }) : "",
    finish === "length" ? t("chat.length") : finish === "stopped" ? t("chat.stopped") : "",
  ];
  return <span className="small muted num">{facts.filter(Boolean).join(" · ")}</span>;
}
