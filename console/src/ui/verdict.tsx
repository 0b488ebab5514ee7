// Whether something fits these workers, as a word with a colour.
import { word } from "../i18n/index.ts";
import { classes } from "./basics.tsx";

export type VerdictName = "fits" | "does_not_fit" | "incompatible" | "unknown";

export const VERDICT_LOOK: Record<VerdictName, "good" | "bad" | "warn"> = { fits: "good", does_not_fit: "bad", incompatible: "bad", unknown: "warn" };

export function Verdict({ of }: { of: VerdictName }) {
  return <span className={classes("pill", VERDICT_LOOK[of])}>{word("catalogue.verdict", of)}</span>;
}
