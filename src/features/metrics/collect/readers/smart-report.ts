/** What `smartctl -j -a` prints, as figures. Shapes: smartctl(8) 7.3, attributes of ATA by their usual numbers, the log of NVMe by its
 *  specification. What a disk does not count is missing. */

import { z } from 'zod';
import type { METRICS } from '#contract/metric-catalogue.ts';

export type SmartState = (typeof METRICS)['smart_state']['values'][number];
export type SelfTest = (typeof METRICS)['smart_self_test']['values'][number];

export interface DiskHealth {
  readonly state: SmartState;
  readonly celsius: number | null;
  /** Used part of the life of a flash disk, 0 to 1 and beyond. */
  readonly wearRatio: number | null;
  /** null for a disk that does not tell of tests. */
  readonly selfTest: SelfTest | null;
  readonly counts: DiskCounts;
}

/** Figures that only some disks count. */
export const DISK_COUNTS = [
  'smart_reallocated_total',
  'smart_pending',
  'smart_uncorrectable',
  'smart_media_errors_total',
  'smart_timeouts_total',
  'smart_link_errors_total',
  'smart_start_stops_total',
  'smart_power_cycles_total',
  'smart_unsafe_shutdowns_total',
  'smart_power_on',
  'smart_spare',
] as const satisfies readonly (keyof typeof METRICS)[];
type DiskCounts = Readonly<Partial<Record<(typeof DISK_COUNTS)[number], number>>>;

const COULD_NOT_READ = 0b11;
/** Of these figures anything but zero is sectors or cells that failed. */
const FAILED_PLACES = ['smart_pending', 'smart_uncorrectable', 'smart_media_errors_total'] as const;
/** Attributes whose value counts down from 100 as flash wears out; makers chose different ones. */
const WEAR_ATTRIBUTES = [233, 231, 202, 177, 173];
const WARN_WEAR = 0.9;
/** Makers put more counters into the upper bytes of this attribute; the lowest two hold the commands. */
const TIMEOUTS = { id: 188, modulo: 65_536 } as const;

const selfTestStatus = z.object({ value: z.number() });
const reportSchema = z.object({
  smart_status: z.object({ passed: z.boolean() }).optional(),
  temperature: z.object({ current: z.number() }).optional(),
  rotation_rate: z.number().optional(),
  power_on_time: z.object({ hours: z.number() }).optional(),
  power_cycle_count: z.number().optional(),
  endurance_used: z.object({ current_percent: z.number() }).optional(),
  scsi_grown_defect_list: z.number().optional(),
  ata_smart_attributes: z
    .object({ table: z.array(z.object({ id: z.number(), value: z.number(), raw: z.object({ value: z.number() }) })) })
    .optional(),
  ata_smart_data: z.object({ self_test: z.object({ status: selfTestStatus }).optional() }).optional(),
  ata_smart_self_test_log: z
    .object({ standard: z.object({ table: z.array(z.object({ status: selfTestStatus })).optional() }).optional() })
    .optional(),
  nvme_smart_health_information_log: z
    .object({
      critical_warning: z.number(),
      available_spare: z.number(),
      available_spare_threshold: z.number(),
      percentage_used: z.number(),
      media_errors: z.number(),
      power_cycles: z.number().optional(),
      power_on_hours: z.number().optional(),
      unsafe_shutdowns: z.number().optional(),
    })
    .optional(),
  nvme_self_test_log: z
    .object({
      current_self_test_operation: selfTestStatus.optional(),
      table: z.array(z.object({ self_test_result: selfTestStatus })).optional(),
    })
    .optional(),
});

type Report = z.infer<typeof reportSchema>;

const UNKNOWN: DiskHealth = { state: 'unknown', celsius: null, wearRatio: null, selfTest: null, counts: {} };

/** @param exitStatus a set of bits: the lowest two say that the disk could not be read at all, the others are told in the JSON too
 *  @returns null for a disk that sleeps. @throws SyntaxError, ZodError for what is no report */
export function diskHealth(output: string, exitStatus: number): DiskHealth | null {
  if (/STANDBY mode|SLEEP mode/.test(output)) return null;
  if ((exitStatus & COULD_NOT_READ) !== 0) return UNKNOWN;
  const report = reportSchema.parse(JSON.parse(output));
  const wearRatio = wearOf(report);
  const selfTest = selfTestOf(report);
  const counts = countsOf(report);
  const state = stateOf(report, { wearRatio, selfTest, counts });
  return { state, celsius: report.temperature?.current ?? null, wearRatio, selfTest, counts };
}

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

function countsOf(report: Report): DiskCounts {
  const nvme = report.nvme_smart_health_information_log;
  const raw = (id: number) => report.ata_smart_attributes?.table.find((one) => one.id === id)?.raw.value;
  const timeouts = raw(TIMEOUTS.id);
  const hours = report.power_on_time?.hours ?? nvme?.power_on_hours;
  const all = {
    smart_reallocated_total: raw(5) ?? report.scsi_grown_defect_list,
    smart_pending: raw(197),
    smart_uncorrectable: raw(198),
    smart_media_errors_total: nvme?.media_errors ?? raw(187),
    smart_timeouts_total: timeouts === undefined ? undefined : timeouts % TIMEOUTS.modulo,
    smart_link_errors_total: raw(199),
    smart_start_stops_total: raw(4),
    smart_power_cycles_total: report.power_cycle_count ?? nvme?.power_cycles ?? raw(12),
    smart_unsafe_shutdowns_total: nvme?.unsafe_shutdowns ?? raw(192),
    smart_power_on: hours === undefined ? undefined : hours * 3600,
    smart_spare: nvme === undefined ? undefined : nvme.available_spare / 100,
  } satisfies Record<(typeof DISK_COUNTS)[number], number | undefined>;
  const counts: { -readonly [Name in keyof DiskCounts]: DiskCounts[Name] } = {};
  for (const name of DISK_COUNTS) {
    const value = all[name];
    if (value !== undefined) counts[name] = value;
  }
  return counts;
}

/** The upper half of the byte: 0 ended well, 1 and 2 were ended from outside, 15 runs; the others found something. */
function ataSelfTest(status: number): SelfTest {
  const code = status >> 4;
  if (code === 0) return 'passed';
  if (code <= 2) return 'aborted';
  return code === 15 ? 'running' : 'failed';
}

const NVME_FAILED: readonly number[] = [5, 6, 7];

function selfTestOf(report: Report): SelfTest | null {
  const { ata_smart_data, ata_smart_self_test_log, nvme_self_test_log } = report;
  if (nvme_self_test_log !== undefined) {
    if ((nvme_self_test_log.current_self_test_operation?.value ?? 0) !== 0) return 'running';
    const newest = nvme_self_test_log.table?.[0]?.self_test_result.value;
    if (newest === undefined) return 'none';
    if (newest === 0) return 'passed';
    return NVME_FAILED.includes(newest) ? 'failed' : 'aborted';
  }
  const now = ata_smart_data?.self_test?.status.value;
  if (now !== undefined && ataSelfTest(now) === 'running') return 'running';
  // A disk that never tested itself has the status of one that passed; its log is empty.
  if (ata_smart_self_test_log?.standard === undefined) return null;
  const newest = ata_smart_self_test_log.standard.table?.[0]?.status.value;
  return newest === undefined ? 'none' : ataSelfTest(newest);
}

function stateOf(
  { smart_status, nvme_smart_health_information_log: nvme }: Report,
  { wearRatio, selfTest, counts }: Pick<DiskHealth, 'wearRatio' | 'selfTest' | 'counts'>,
): SmartState {
  if (smart_status === undefined) return 'unknown';
  if (!smart_status.passed || selfTest === 'failed' || (wearRatio !== null && wearRatio >= 1)) return 'failed';
  if (nvme && (nvme.critical_warning !== 0 || nvme.available_spare <= nvme.available_spare_threshold)) return 'failed';
  const hasFailedPlaces = FAILED_PLACES.some((name) => (counts[name] ?? 0) > 0);
  return hasFailedPlaces || (wearRatio !== null && wearRatio >= WARN_WEAR) ? 'warning' : 'passed';
}
