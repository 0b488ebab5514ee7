// A conversation as the API wants it. Pure.
import type { Answer } from "../../lib/answer.ts";
import type { Message } from "./parameters.tsx";

export interface Turn {
  question: string;
  /** As data: URLs. */
  images: string[];
  /** Instead of a question: what the tools gave that the answer before called. */
  results: { id: string; text: string }[];
  answer: Pick<Answer, "text" | "calls">;
}

function askedBy({ question, images, results }: Omit<Turn, "answer">): Message[] {
  if (results.length > 0) return results.map(({ id, text }) => ({ role: "tool", tool_call_id: id, content: text }));
  if (images.length === 0) return [{ role: "user", content: question }];
  return [{ role: "user", content: [...images.map((url) => ({ type: "image_url" as const, image_url: { url } })), ...(question ? [{ type: "text" as const, text: question }] : [])] }];
}

// Calls go along only with what they gave: without, the API refuses the conversation.
function answeredBy({ text, calls }: Turn["answer"], given: boolean): Message[] {
  const kept = given ? calls : [];
  if (!text && kept.length === 0) return [];
  return [{
    role: "assistant",
    content: text || null,
    ...(kept.length > 0 ? { tool_calls: kept.map((call) => ({ id: call.id, type: "function" as const, function: { name: call.name, arguments: call.arguments } })) } : {}),
  }];
}

/** What was said, and what is asked `next`. */
export function messagesOf(turns: readonly Turn[], next?: Omit<Turn, "answer">): Message[] {
  const said = turns.flatMap((turn, i) => [...askedBy(turn), ...answeredBy(turn.answer, ((turns[i + 1] ?? next)?.results.length ?? 0) > 0)]);
  return next ? [...said, ...askedBy(next)] : said;
}

export interface Tools {
  /** JSON: an array of tools; empty: none. */
  text: string;
  choice: "auto" | "required" | "none";
}
export const NO_TOOLS: Tools = { text: "", choice: "auto" };
export const EXAMPLE_TOOL = JSON.stringify(
  [{ type: "function", function: { name: "weather", description: "The weather of a city", parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 9 } }, required: ["city", "days"], additionalProperties: false } } }],
  null,
  2,
);

/** The fields of a request, or what is wrong: "json", or "shape" where it is no list of functions. */
export function toolFields({ text, choice }: Tools): { fields: Record<string, unknown>; wrong?: "json" | "shape" } {
  if (!text.trim()) return { fields: {} };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { fields: {}, wrong: "json" };
  }
  // A function by itself, as many documents show it, is taken for a tool.
  const list = (Array.isArray(parsed) ? parsed : [parsed]).map((one: { type?: unknown; name?: unknown } | null) => (one && one.type === undefined && typeof one.name === "string" ? { type: "function", function: one } : one));
  const named = list.every((one) => typeof (one as { function?: { name?: unknown } } | null)?.function?.name === "string");
  return named ? { fields: { tools: list, tool_choice: choice } } : { fields: {}, wrong: "shape" };
}

/** For code that is shown: pictures are megabytes of letters. */
export function withoutPictures(messages: Message[]): Message[] {
  return messages.map((message) =>
    Array.isArray(message.content) ? { ...message, content: message.content.map((part) => (part.type === "image_url" ? { ...part, image_url: { url: part.image_url.url.replace(/^(data:[\w/+.-]+;base64,).*$/s, "$1…") } } : part)) } : message,
  );
}
