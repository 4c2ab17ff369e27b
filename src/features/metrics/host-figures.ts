/** Figures of the host that the hosts slice measures anyway. */

import type { Host } from '#contract/system.ts';
import type { Collector, Owner } from './sample.ts';

/** @param host as it is now */
export function hostFigures(owner: Owner, host: () => Host): Collector {
  return {
    name: 'host figures',
    collect(sink) {
      const { usage, memoryBytes, state } = host();
      sink.put(owner, 'host', '', 'libvirt_up', state === 'connected' ? 1 : 0);
      if (usage === null) return;
      sink.put(owner, 'host', '', 'cpu_usage', usage.cpuRatio);
      if (usage.memoryUsedBytes !== null && memoryBytes > 0) {
        sink.put(owner, 'host', '', 'mem_used', usage.memoryUsedBytes);
        sink.put(owner, 'host', '', 'mem_available', memoryBytes - usage.memoryUsedBytes);
        sink.put(owner, 'host', '', 'mem_usage', usage.memoryUsedBytes / memoryBytes);
      }
      for (const { mount, sizeBytes, usedBytes } of usage.filesystems) {
        sink.put(owner, 'fs', mount, 'disk_used', usedBytes);
        sink.put(owner, 'fs', mount, 'disk_size', sizeBytes);
        sink.put(owner, 'fs', mount, 'disk_free', sizeBytes - usedBytes);
        sink.put(owner, 'fs', mount, 'disk_usage', sizeBytes > 0 ? usedBytes / sizeBytes : null);
      }
    },
  };
}
