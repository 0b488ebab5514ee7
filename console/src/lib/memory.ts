// Who holds a device's memory: what is booked by instances, and what is measured beside it. Pure.
import type { Device, Instance } from "../api/types.ts";

export interface Holder {
  instance: Instance;
  bytes: number;
}
export interface DeviceMemory {
  total: number;
  /** Booked, by instance. */
  holders: Holder[];
  booked: number;
  /** Measured as in use by the whole device. */
  used: number;
}

export function memoryOf(device: Device, instances: Iterable<Instance>): DeviceMemory {
  const name = `${device.vendor}/${device.index}`;
  const holders: Holder[] = [];
  for (const instance of instances) {
    for (const claim of instance.placement.claims) {
      if (claim.worker_id === device.worker_id && claim.device === name && claim.bytes > 0) holders.push({ instance, bytes: claim.bytes });
    }
  }
  holders.sort((a, b) => b.bytes - a.bytes);
  return {
    total: device.memory_total_bytes,
    holders,
    booked: holders.reduce((sum, holder) => sum + holder.bytes, 0),
    used: Math.max(0, device.memory_total_bytes - device.memory_free_bytes),
  };
}
