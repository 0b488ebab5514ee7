// Draws at most once a frame however often it is asked, so that six fast streams leave the page its time.
import { useEffect, useMemo, useReducer } from "react";

export function useFrames(): () => void {
  const [, draw] = useReducer((n: number) => n + 1, 0);
  const frames = useMemo(() => {
    let asked = 0;
    return {
      ask: () => {
        asked ||= requestAnimationFrame(() => {
          asked = 0;
          draw();
        });
      },
      stop: () => {
        cancelAnimationFrame(asked);
        asked = 0;
      },
    };
  }, []);
  useEffect(() => frames.stop, [frames]);
  return frames.ask;
}
