// Server-sent events from a fetch: EventSource can send no POST, and says nothing of why it was refused.

export interface ServerEvent {
  event: string;
  data: string;
}

/** Takes a stream's text piece by piece and gives the events that are whole. The server ends lines with LF. */
export class EventReader {
  #rest = "";

  feed(text: string): ServerEvent[] {
    const frames = (this.#rest + text).split("\n\n");
    this.#rest = frames.pop() ?? "";
    const events: ServerEvent[] = [];
    for (const frame of frames) {
      let event = "message";
      const data: string[] = [];
      for (const line of frame.split("\n")) {
        if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
        else if (line.startsWith("event:")) event = line.slice(6).trim();
      }
      if (data.length > 0) events.push({ event, data: data.join("\n") });
    }
    return events;
  }
}

/** Calls `take` with the events of each piece that arrives, in order, until the stream ends. */
export async function readEvents(answer: Response, take: (events: ServerEvent[]) => void): Promise<void> {
  if (answer.body === null) return;
  const reader = new EventReader();
  const decoder = new TextDecoder();
  const body = answer.body.getReader();
  for (;;) {
    const { done, value } = await body.read();
    if (done) return;
    const events = reader.feed(decoder.decode(value, { stream: true }));
    if (events.length > 0) take(events);
  }
}
