// Parts of the page that come when they are first shown. Not React.lazy: that waits for a turn even for what is here already, and then
// holds back what it shows for 300 ms, so that nothing flashes.
import { type ComponentType, useEffect, useReducer } from "react";
import { Loading } from "./basics.tsx";

export interface Lazily {
  (): React.ReactNode;
  /** Begins to fetch it. */
  load: () => Promise<void>;
}

export function lazily(fetch: () => Promise<{ default: ComponentType }>): Lazily {
  let view: ComponentType | undefined;
  let failed: unknown;
  let asked: Promise<void> | undefined;
  const load = () =>
    (asked ??= fetch().then(
      (module) => {
        view = module.default;
      },
      (problem: unknown) => {
        failed = problem; // until the page is loaded again, as the message advises: the server has another version's parts by now
      },
    ));
  function Part() {
    const [, draw] = useReducer((n: number) => n + 1, 0);
    useEffect(() => {
      let here = true; // it may have come between the drawing and this
      void load().then(() => here && draw());
      return () => {
        here = false;
      };
    }, []);
    const View = view;
    if (View) return <View />;
    if (failed) throw failed;
    return <Loading />;
  }
  return Object.assign(Part, { load });
}
