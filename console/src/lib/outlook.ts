// What is wrong on this platform, the worst first, from the live objects. Pure: the page puts words to it.
import type { Deployment, Device, Worker } from "../api/types.ts";

export interface Concern {
  what: "deployment_error" | "deployment_pending" | "deployment_degraded" | "rollout_reverted" | "worker_unreachable" | "worker_pending" | "device_problem";
  grave: boolean;
  name: string;
  reason: string;
  href: string;
}

export function concernsOf(deployments: Deployment[], workers: Worker[], devices: Device[]): Concern[] {
  const found: Concern[] = [];
  for (const deployment of deployments) {
    const { state, reason, rollout } = deployment.status;
    const href = `/deployments/${encodeURIComponent(deployment.id)}`;
    const add = (what: Concern["what"], grave: boolean, why = reason) => found.push({ what, grave, name: deployment.name, reason: why, href });
    if (state === "error") add("deployment_error", true);
    else if (state === "degraded") add("deployment_degraded", true);
    else if (state === "pending" && reason) add("deployment_pending", false);
    else if (rollout.state === "reverted") add("rollout_reverted", false, rollout.reason);
  }
  for (const worker of workers) {
    const href = `/workers?q=${encodeURIComponent(worker.name)}`;
    if (worker.state === "unreachable") found.push({ what: "worker_unreachable", grave: true, name: worker.name, reason: "", href });
    else if (worker.state === "pending") found.push({ what: "worker_pending", grave: false, name: worker.name, reason: "", href });
  }
  for (const device of devices) {
    if (!device.problem) continue;
    const name = `${device.worker_name}: ${device.name || `${device.vendor}/${device.index}`}`;
    found.push({ what: "device_problem", grave: true, name, reason: device.problem, href: "/workers" });
  }
  return found.sort((a, b) => Number(b.grave) - Number(a.grave));
}
