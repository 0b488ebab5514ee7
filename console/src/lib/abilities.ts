// What a served model does, by what its files say; where nobody knows (providers, custom backends), by its name. Pure.
export const ABILITIES = ["write", "embed", "rank", "draw", "speak", "transcribe"] as const;
export type Ability = (typeof ABILITIES)[number];
/** The models that answer now, by what they do. */
export type ServedNames = Record<Ability, string[]>;

export interface Served {
  id: string;
  meta: { pooling?: string; modality?: string };
}

const BY_MODALITY: Record<string, Ability> = { text: "write", vision: "write", embedding: "embed", rerank: "rank", image: "draw", speech: "speak", transcription: "transcribe" };
const BY_NAME: [RegExp, Ability][] = [
  [/whisper|transcri|paraformer|sense-?voice|(^|[^a-z])asr([^a-z]|$)/, "transcribe"],
  [/kokoro|cosyvoice|piper|(^|[^a-z])tts([^a-z]|$)|(^|[^a-z])speech([^a-z]|$)/, "speak"],
  [/dall-?e|gpt-image|stable-?diffusion|(^|[^a-z])(sdxl|sd3|flux|kolors|imagen)/, "draw"],
];

export function abilityOf({ id, meta }: Served, modality = ""): Ability {
  if (meta.pooling) return meta.pooling === "rank" ? "rank" : "embed";
  const known = BY_MODALITY[meta.modality || modality];
  const name = id.toLowerCase();
  return known ?? BY_NAME.find(([pattern]) => pattern.test(name))?.[1] ?? "write";
}

export function byAbility(served: Served[], modalities: ReadonlyMap<string, string>): ServedNames {
  const names = Object.fromEntries(ABILITIES.map((ability) => [ability, [] as string[]])) as ServedNames;
  for (const model of served) names[abilityOf(model, modalities.get(model.id))].push(model.id);
  return names;
}
