// Messages that say how something went, and go by themselves.
import { CircleAlert, CircleCheck, X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { t } from "../i18n/index.ts";
import { Button, classes, problemText } from "./basics.tsx";

interface Toast {
  id: number;
  bad: boolean;
  text: string;
}
let toasts: Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

function setToasts(next: Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

export function say(text: string, bad = false): void {
  const toast = { id: ++last, bad, text };
  setToasts([...toasts.slice(-3), toast]);
  setTimeout(() => setToasts(toasts.filter((one) => one !== toast)), bad ? 10_000 : 4_000);
}

/** Runs what a click asks for, and says when it failed. */
export function attempt(work: Promise<unknown>, done?: string): void {
  work.then(() => done !== undefined && say(done)).catch((problem: unknown) => say(problemText(problem), true));
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((toast) => (
        <div key={toast.id} className={classes("toast", toast.bad && "bad")}>
          {toast.bad ? <CircleAlert size={17} aria-hidden /> : <CircleCheck size={17} aria-hidden />}
          <span>{toast.text}</span>
          <Button look="quiet" small label={t("close")} icon={<X size={14} aria-hidden />} onClick={() => setToasts(toasts.filter((one) => one !== toast))} />
        </div>
      ))}
    </div>
  );
}
