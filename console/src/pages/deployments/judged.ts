// What the server says of a form while it is filled in, and what of the form its suggestions change.
import { useEffect, useState } from "react";
import { api, ApiError } from "../../api/client.ts";
import type { Evaluation } from "../../api/types.ts";
import { cataloguedIn } from "../../lib/catalogue.ts";
import { asApiError } from "../../lib/fetched.ts";
import { problemText } from "../../ui/basics.tsx";
import { evaluationOf, type Form } from "./form.ts";

const TYPING_MS = 300;

export interface Evaluated {
  value?: Evaluation;
  error?: ApiError;
  busy: boolean;
}

/** Asks again when what is asked has changed, and typing has paused. A name of the catalogue is none of the server's sources. */
export function useEvaluation(form: Form): Evaluated {
  const [state, setState] = useState<Evaluated>({ busy: false });
  const asked = form.source.trim() && !cataloguedIn(form.source) ? JSON.stringify(evaluationOf(form)) : "";
  useEffect(() => {
    if (!asked) {
      setState({ busy: false });
      return;
    }
    const stop = new AbortController();
    setState((before) => ({ ...before, busy: true }));
    const timer = setTimeout(() => {
      api<Evaluation>("POST", "/api/v1/evaluations", JSON.parse(asked), stop.signal)
        .then((value) => setState({ value, busy: false }))
        .catch((problem: unknown) => {
          if (!stop.signal.aborted) setState({ error: asApiError(problem), busy: false });
        });
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [asked]);
  return state;
}

/** What is wrong with a field: what it was refused for when it was sent, else what the evaluation says. */
export function wrongOf(refused: ApiError | undefined, evaluated: ApiError | undefined): (field: string) => string | undefined {
  return (field) => {
    const error = [refused, evaluated].find((one) => one?.param === field);
    return error && problemText(error);
  };
}

/** What of the form a suggestion changes; those that change something else are only read. */
export function suggested(change: string, value: string): Partial<Form> {
  switch (change) {
    case "context_tokens": return { context: value };
    case "max_sequences": return { sequences: value };
    case "kv_type": return { kvType: value };
    case "device_count": return { deviceCount: value };
    case "cpu_offload": return { cpuOffload: value === "true" };
    case "source": return { source: value };
    case "backend": return { backend: value as Form["backend"] };
    default: return {};
  }
}
