// One streamed answer: its text, and when each token came, by the page's own clock. Pure but for the times, which are given.
import type { Sample } from "./statistics.ts";

export interface ToolCall {
  id: string;
  name: string;
  /** JSON, as far as it has come. */
  arguments: string;
}
interface CallDelta {
  index?: number;
  id?: string;
  function?: { name?: string; arguments?: string | null };
}
interface Delta {
  content?: string | null;
  reasoning_content?: string | null;
  tool_calls?: CallDelta[] | null;
}
export interface Chunk {
  /** `text` is that of /v1/completions. */
  choices?: { delta?: Delta; text?: string; finish_reason?: string | null }[];
  usage?: { prompt_tokens: number; completion_tokens: number; prompt_tokens_details?: { cached_tokens?: number } } | null;
  timings?: { queue_ms?: number; prefill_ms?: number; decode_ms?: number };
  error?: { message?: string };
}

export class Answer {
  text = "";
  reasoning = "";
  readonly calls: ToolCall[] = [];
  finish = "";
  error = "";
  ended = false;
  readonly #sentAt: number;
  readonly #tokenMs: number[] = [];
  #usage: Chunk["usage"] = null;
  #timings: Chunk["timings"];

  constructor(sentAt: number) {
    this.#sentAt = sentAt;
  }

  take(chunk: Chunk, now: number): void {
    if (chunk.error) this.fail(chunk.error.message ?? "");
    if (chunk.usage) this.#usage = chunk.usage;
    if (chunk.timings) this.#timings = chunk.timings;
    for (const choice of chunk.choices ?? []) {
      const content = choice.delta?.content ?? choice.text ?? "";
      const reasoning = choice.delta?.reasoning_content ?? "";
      this.text += content;
      this.reasoning += reasoning;
      const called = this.#call(choice.delta?.tool_calls ?? []);
      if (content !== "" || reasoning !== "" || called) this.#tokenMs.push(now - this.#sentAt);
      if (choice.finish_reason) this.finish = choice.finish_reason;
    }
  }

  // A call comes in pieces: its name first, then its arguments. Whether a piece said anything.
  #call(pieces: CallDelta[]): boolean {
    let said = false;
    for (const piece of pieces) {
      const at = piece.index ?? 0;
      const call = (this.calls[at] ??= { id: "", name: "", arguments: "" });
      call.id ||= piece.id ?? "";
      call.name ||= piece.function?.name ?? "";
      call.arguments += piece.function?.arguments ?? "";
      said ||= Boolean(piece.function?.name || piece.function?.arguments);
    }
    return said;
  }

  fail(message: string): void {
    this.error = message;
  }

  sample(): Sample {
    const timings = this.#timings;
    return {
      ok: this.error === "",
      error: this.error,
      tokenMs: [...this.#tokenMs],
      e2eMs: this.#tokenMs.at(-1) ?? 0,
      outputTokens: this.#usage?.completion_tokens ?? this.#tokenMs.length,
      promptTokens: this.#usage?.prompt_tokens ?? 0,
      cachedTokens: this.#usage?.prompt_tokens_details?.cached_tokens ?? 0,
      counted: Boolean(this.#usage),
      server: timings ? { queueMs: timings.queue_ms ?? 0, prefillMs: timings.prefill_ms ?? 0, decodeMs: timings.decode_ms ?? 0 } : null,
    };
  }
}
