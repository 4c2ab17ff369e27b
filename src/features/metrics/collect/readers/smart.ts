/** What disks say of themselves, by `smartctl -j`. A disk that sleeps is not woken, and then nothing is said. */

import type { KernelFiles } from '../kernel-files.ts';
import type { Owner } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { Programs } from '../programs.ts';
import { enumNumber } from '../sinks.ts';
import type { SlowReader } from '../slow-reader.ts';
import { wholeDisks } from './host-disks.ts';
import { DISK_COUNTS, type DiskHealth, diskHealth } from './smart-report.ts';

export interface SmartPorts {
  readonly files: KernelFiles;
  readonly programs: Programs;
  /** Whether somebody else tells the temperature of a disk, and more often. */
  isTemperatureKnown(disk: string): boolean;
}

export function smartReader(
  host: Owner,
  { files, programs, isTemperatureKnown }: SmartPorts,
): SlowReader<ReadonlyMap<string, DiskHealth>> {
  return {
    name: 'SMART',
    periodMs: 1_800_000,
    async read(signal) {
      const found = new Map<string, DiskHealth>();
      for (const disk of await wholeDisks(files)) {
        // Disks of software RAID are asked one by one; the array itself has nothing to say.
        if (disk.startsWith('md')) continue;
        const result = await programs.ask(['smartctl', '-j', '-n', 'standby', '-a', `/dev/${disk}`], signal);
        if (result === null) return null;
        const health = diskHealth(result.stdout, result.code);
        if (health !== null) found.set(disk, health);
      }
      return found;
    },
    put(sink, found) {
      for (const [disk, { state, celsius, wearRatio, selfTest, counts }] of found) {
        const sub = labelOf(disk);
        sink.put(host, 'disk', sub, 'smart_state', enumNumber('smart_state', state));
        sink.put(host, 'disk', sub, 'wear', wearRatio);
        sink.put(
          host,
          'disk',
          sub,
          'smart_self_test',
          selfTest === null ? null : enumNumber('smart_self_test', selfTest),
        );
        for (const name of DISK_COUNTS) sink.put(host, 'disk', sub, name, counts[name] ?? null);
        if (!isTemperatureKnown(disk)) sink.put(host, 'disk', sub, 'temperature', celsius);
      }
    },
  };
}
