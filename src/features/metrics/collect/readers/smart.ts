/** What disks say of themselves, by `smartctl -j`. Its exit status is a set of bits (smartctl(8)): the lowest two say that the disk could
 *  not be read at all; the others are told in the JSON too. A disk that sleeps is not woken, and then nothing is said. */

import { z } from 'zod';
import type { METRICS } from '#contract/metric-catalogue.ts';
import type { KernelFiles } from '../kernel-files.ts';
import type { Owner } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { Programs } from '../programs.ts';
import { enumNumber } from '../sinks.ts';
import type { SlowReader } from '../slow-reader.ts';
import { wholeDisks } from './host-disks.ts';

export type SmartState = (typeof METRICS)['smart_state']['values'][number];

export interface DiskHealth {
  readonly state: SmartState;
  readonly celsius: number | null;
  /** Used part of the life of a flash disk, 0 to 1 and beyond. */
  readonly wearRatio: number | null;
}

const COULD_NOT_READ = 0b11;
/** Of these attributes of ATA disks anything but zero means sectors that cannot be read (197, 198). */
const UNREADABLE_SECTORS = [197, 198];
/** Attributes whose value counts down from 100 as flash wears out; makers chose different ones. */
const WEAR_ATTRIBUTES = [233, 231, 202, 177, 173];
const WARN_WEAR = 0.9;

const reportSchema = z.object({
  smart_status: z.object({ passed: z.boolean() }).optional(),
  temperature: z.object({ current: z.number() }).optional(),
  rotation_rate: z.number().optional(),
  endurance_used: z.object({ current_percent: z.number() }).optional(),
  ata_smart_attributes: z
    .object({ table: z.array(z.object({ id: z.number(), value: z.number(), raw: z.object({ value: z.number() }) })) })
    .optional(),
  nvme_smart_health_information_log: z
    .object({
      critical_warning: z.number(),
      available_spare: z.number(),
      available_spare_threshold: z.number(),
      percentage_used: z.number(),
      media_errors: z.number(),
    })
    .optional(),
});

const UNKNOWN: DiskHealth = { state: 'unknown', celsius: null, wearRatio: null };

/** null for a disk that sleeps. @throws SyntaxError, ZodError for what is no report */
export function diskHealth(output: string, exitStatus: number): DiskHealth | null {
  if (/STANDBY mode|SLEEP mode/.test(output)) return null;
  if ((exitStatus & COULD_NOT_READ) !== 0) return UNKNOWN;
  const report = reportSchema.parse(JSON.parse(output));
  const wearRatio = wearOf(report);
  return { state: stateOf(report, wearRatio), celsius: report.temperature?.current ?? null, wearRatio };
}

type Report = z.infer<typeof reportSchema>;

function wearOf({ endurance_used, ata_smart_attributes, nvme_smart_health_information_log: nvme, ...rest }: Report) {
  if (nvme) return nvme.percentage_used / 100;
  if (endurance_used) return endurance_used.current_percent / 100;
  // Turning disks use some of the same numbers for other things.
  if (rest.rotation_rate !== 0) return null;
  for (const id of WEAR_ATTRIBUTES) {
    const attribute = ata_smart_attributes?.table.find((one) => one.id === id);
    if (attribute && attribute.value <= 100) return 1 - attribute.value / 100;
  }
  return null;
}

function stateOf(report: Report, wearRatio: number | null): SmartState {
  const { smart_status, ata_smart_attributes, nvme_smart_health_information_log: nvme } = report;
  if (smart_status === undefined) return 'unknown';
  if (!smart_status.passed || (wearRatio !== null && wearRatio >= 1)) return 'failed';
  if (nvme && (nvme.critical_warning !== 0 || nvme.available_spare <= nvme.available_spare_threshold)) return 'failed';
  const hasUnreadable = ata_smart_attributes?.table.some(
    ({ id, raw }) => UNREADABLE_SECTORS.includes(id) && raw.value > 0,
  );
  if (hasUnreadable || (nvme && nvme.media_errors > 0) || (wearRatio !== null && wearRatio >= WARN_WEAR))
    return 'warning';
  return 'passed';
}

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
      for (const [disk, { state, celsius, wearRatio }] of found) {
        const sub = labelOf(disk);
        sink.put(host, 'disk', sub, 'smart_state', enumNumber('smart_state', state));
        sink.put(host, 'disk', sub, 'wear', wearRatio);
        if (!isTemperatureKnown(disk)) sink.put(host, 'disk', sub, 'temperature', celsius);
      }
    },
  };
}
