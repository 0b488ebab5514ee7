// The one watch stream of all tabs.
import { WatchConnection } from "./connection.ts";

const ports = new Set<MessagePort>();
const connection = new WatchConnection((message) => {
  for (const port of ports) port.postMessage(message);
});

// A tab says "start" when it comes and after each login, and "stop" when it goes.
addEventListener("connect", (event) => {
  const port = (event as MessageEvent).ports[0];
  if (!port) return;
  ports.add(port);
  port.onmessage = (message: MessageEvent<"start" | "stop">) => {
    if (message.data === "stop") {
      ports.delete(port);
      return;
    }
    connection.start();
    for (const missed of connection.now()) port.postMessage(missed);
  };
});
