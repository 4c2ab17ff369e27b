/** Disks, temperatures, memory, processors and the UPS. */

import { z } from 'zod';
import type { CheckStatus } from '#contract/common.ts';
import type { HealthItem } from '#contract/health.ts';
import type { LimitName } from '#contract/health-limits.ts';
import { METRICS } from '#contract/metric-catalogue.ts';
import {
  conclude,
  DAY_MS,
  type Finding,
  fail,
  type HealthCheck,
  type HealthContext,
  HOUR_MS,
  levelOf,
  MINUTE_MS,
  ok,
  unknown,
  warn,
} from '../check.ts';
import { notMeasured } from '../level-check.ts';
import { celsius, percent, plural } from '../text.ts';

type RaidState = (typeof METRICS)['raid_state']['values'][number];
const RAID_STATUS: Readonly<Record<RaidState, CheckStatus>> = {
  clean: 'ok',
  rebuilding: 'warn',
  degraded: 'fail',
  failed: 'fail',
  unknown: 'unknown',
};

async function raid(context: HealthContext): Promise<Finding | null> {
  const arrays = context.figures.fresh('raid_state', 'disk');
  if (arrays.length === 0) return notMeasured(context, 'raid_state', 'disk', false);
  const items: HealthItem[] = [];
  for (const { sub, value } of arrays) {
    const state = METRICS.raid_state.values[value] ?? 'unknown';
    const text = (await context.machine.readText(`/sys/block/${sub}/md/mismatch_cnt`)) ?? '';
    const mismatches = Number.parseInt(text, 10);
    const isMismatched =
      !Number.isNaN(mismatches) && levelOf(mismatches, context.limit('disks.raid-mismatch')) !== 'ok';
    items.push({
      name: sub,
      status: RAID_STATUS[state] === 'ok' && isMismatched ? 'warn' : RAID_STATUS[state],
      detail: isMismatched ? `${state}, ${mismatches} sectors differ between the disks` : state,
    });
  }
  return conclude(
    items,
    `${plural(arrays.length, 'array')}, all clean.`,
    'See which disk it is: `mdadm --detail /dev/NAME`. Replace it; for sectors that differ, `echo repair > /sys/block/NAME/md/sync_action`.',
  );
}

/** Disks of a machine that is itself a VM have no health of their own. */
const VIRTUAL_DISK = /^(vd|xvd|nbd|zd|dm-|drbd|rbd|md|zram|loop)/;

/** What a disk counts that is worth a word, the worst first. */
const COUNTED = [
  ['smart_pending', (n: number) => `${plural(n, 'sector')} wait to be replaced`],
  ['smart_uncorrectable', (n: number) => `${plural(n, 'sector')} could not be read`],
  ['smart_media_errors_total', (n: number) => `${plural(n, 'request')} failed for good`],
  ['smart_reallocated_total', (n: number) => `${plural(n, 'sector')} replaced`],
] as const;

async function smart(context: HealthContext): Promise<Finding | null> {
  const disks = context.figures.fresh('smart_state', 'disk').filter(({ sub }) => !VIRTUAL_DISK.test(sub));
  const hint = 'Secure what lies on it now, then replace the disk: `smartctl -a /dev/NAME` says what it counts.';
  if (disks.length === 0) {
    const names = (await context.machine.list('/sys/block')) ?? [];
    const isAny = names.some((name) => /^(sd|nvme|hd)/.test(name));
    return isAny
      ? unknown(
          'What the disks say of themselves is not read.',
          'Install smartmontools; `smartctl --scan` shows what it finds.',
        )
      : null;
  }
  const bySub = (metric: 'wear' | 'smart_self_test' | (typeof COUNTED)[number][0]) =>
    new Map(context.figures.fresh(metric, 'disk').map(({ sub, value }) => [sub, value]));
  const wears = bySub('wear');
  const selfTests = bySub('smart_self_test');
  const counts = COUNTED.map(([metric, words]) => ({ values: bySub(metric), words }));
  const items = disks.map(({ sub, value }): HealthItem => {
    const state = METRICS.smart_state.values[value] ?? 'unknown';
    const wear = wears.get(sub);
    const byState = ({ passed: 'ok', warning: 'warn', failed: 'fail', unknown: 'unknown' } as const)[state];
    const byWear = wear === undefined ? 'ok' : levelOf(wear, context.limit('disks.wear'));
    const isWorn = byWear === 'fail' || (byWear === 'warn' && byState === 'ok');
    return {
      name: sub,
      status: isWorn ? byWear : byState,
      detail: [
        {
          passed: 'passed',
          warning: 'has sectors or cells that failed',
          failed: 'says that it fails',
          unknown: 'tells nothing',
        }[state],
        ...(METRICS.smart_self_test.values[selfTests.get(sub) ?? 0] === 'failed'
          ? ['its newest self-test failed']
          : []),
        ...counts.flatMap(({ values, words }) => {
          const count = values.get(sub) ?? 0;
          return count > 0 ? [words(count)] : [];
        }),
        ...(wear === undefined ? [] : [`${percent(wear)} worn`]),
      ].join(', '),
    };
  });
  return conclude(items, `${plural(disks.length, 'disk')}, all say that they are well.`, hint);
}

const limitOfDisk = (name: string): LimitName =>
  name.startsWith('nvme') ? 'hardware.temperature-nvme' : 'hardware.temperature-disk';

function temperature(context: HealthContext): Finding | null {
  const all = context.figures.fresh('temperature');
  if (all.length === 0) return notMeasured(context, 'temperature', undefined, false);
  const items = all.map(
    ({ kind, sub, value }): HealthItem => ({
      name: sub,
      status: levelOf(value, context.limit(kind === 'disk' ? limitOfDisk(sub) : 'hardware.temperature-host')),
      detail: celsius(value),
    }),
  );
  const most = all.toSorted((a, b) => b.value - a.value)[0];
  return conclude(
    items,
    `${plural(all.length, 'sensor')}, ${most?.sub ?? ''} is the warmest with ${celsius(most?.value ?? 0)}.`,
    'Look at fans, dust and the temperature of the room; move load away meanwhile.',
  );
}

function memoryErrors(context: HealthContext): Finding | null {
  const [corrected] = context.figures.fresh('ecc_correctable_total', 'host');
  const [uncorrected] = context.figures.fresh('ecc_uncorrectable_total', 'host');
  if (corrected === undefined || uncorrected === undefined)
    return notMeasured(context, 'ecc_correctable_total', 'host', false);
  const hint = 'Find the module: `ras-mc-ctl --errors` or the log of the board. Replace it.';
  if (uncorrected.value > 0)
    return fail(`The memory had ${plural(uncorrected.value, 'error')} since boot that could not be repaired.`, hint);
  return corrected.value > 0
    ? warn(`The memory had ${plural(corrected.value, 'error')} since boot, all repaired.`, hint)
    : ok('The memory had no errors since boot.');
}

function ups(context: HealthContext): Finding | null {
  const [state] = context.figures.fresh('ups_state', 'host');
  const [charge] = context.figures.fresh('ups_charge', 'host');
  if (state === undefined) return notMeasured(context, 'ups_state', 'host', false);
  const name = METRICS.ups_state.values[state.value] ?? 'unknown';
  const byCharge = charge === undefined ? 'ok' : levelOf(charge.value, context.limit('hardware.ups-charge'));
  const level = charge === undefined ? '' : `, its battery holds ${percent(charge.value)}`;
  const hint = 'Bring power back, or shut VMs down in good time: `hv vm shutdown NAME`.';
  if (name === 'low_battery' || byCharge === 'fail')
    return fail(`The UPS is ${name === 'online' ? 'on line' : 'on battery'}${level}.`, hint);
  if (name === 'unknown') return unknown('The UPS does not tell its state.', 'Run `upsc -l` and `upsc NAME`.');
  if (name === 'on_battery' || byCharge === 'warn')
    return warn(`The UPS is ${name === 'online' ? 'on line' : 'on battery'}${level}.`, hint);
  return ok(`The UPS is on line${level}.`);
}

const VULNERABILITIES = '/sys/devices/system/cpu/vulnerabilities';
/** For so long a change is told. */
const TOLD_MS = DAY_MS;

const processorSchema = z.object({
  facts: z.record(z.string(), z.string()).describe('by name, as spectre_v2; and whether VMs may run VMs'),
  hadKvm: z.boolean(),
  changedAtMs: z.number().nullable(),
  changes: z.array(z.string()),
});
type Processor = z.infer<typeof processorSchema>;

async function cpuFeatures(context: HealthContext): Promise<Finding | null> {
  const { machine, facts, nowMs } = context;
  const names = await machine.list(VULNERABILITIES);
  if (names === null || names.length === 0)
    return unknown('The kernel does not tell which weaknesses the processor has.', `Look at ${VULNERABILITIES}.`);
  const now: Record<string, string> = {};
  for (const name of names) now[name] = ((await machine.readText(`${VULNERABILITIES}/${name}`)) ?? '').trim();
  for (const module of ['kvm_intel', 'kvm_amd']) {
    const nested = await machine.readText(`/sys/module/${module}/parameters/nested`);
    if (nested !== null) now['nesting'] = nested.trim();
  }
  const before = context.memory === null ? null : (processorSchema.safeParse(JSON.parse(context.memory)).data ?? null);
  const changed = Object.keys({ ...now, ...before?.facts }).flatMap((name) => {
    const [was, is] = [before?.facts[name], now[name]];
    return before === null || was === is ? [] : [`${name}: ${was ?? 'not there'} → ${is ?? 'not there'}`];
  });
  const isRecent = before !== null && before.changedAtMs !== null && nowMs - before.changedAtMs < TOLD_MS;
  const accel = facts.accel();
  const hadKvm = (before?.hadKvm ?? false) || accel === 'kvm';
  const changes = changed.length > 0 ? changed : isRecent ? before.changes : [];
  const memory = JSON.stringify({
    facts: now,
    hadKvm,
    changedAtMs: changed.length > 0 ? nowMs : isRecent ? before.changedAtMs : null,
    changes,
  } satisfies Processor);
  if (hadKvm && accel === 'tcg')
    return {
      ...fail(
        'VMs ran with KVM on this machine, and KVM does not work any more.',
        '`hv preflight` says why; look at firmware settings and the kernel.',
      ),
      memory,
    };
  if (changes.length > 0)
    return {
      ...warn(
        `Within a day the processor changed: ${changes.slice(0, 3).join('; ')}.`,
        'Firmware or kernel are others than before. When that was meant nothing needs doing.',
      ),
      memory,
    };
  const open = Object.entries(now)
    .filter(([, text]) => text.startsWith('Vulnerable'))
    .map(([name]) => name);
  return {
    ...ok(
      `${names.length} known weaknesses, the same as before${open.length > 0 ? `; without protection: ${open.join(', ')}` : ''}.`,
    ),
    memory,
  };
}

export const hardwareChecks: readonly HealthCheck[] = [
  {
    id: 'disks.raid',
    number: 20,
    title: 'Software RAID',
    meaning: 'Whether arrays have all their disks. Only where there are some.',
    warnsWhen: 'an array is being rebuilt',
    failsWhen: 'an array is degraded or failed',
    limits: ['disks.raid-mismatch'],
    everyMs: MINUTE_MS,
    run: raid,
  },
  {
    id: 'disks.smart',
    number: 21,
    title: 'Disks',
    meaning: 'What disks say of themselves, what their newest self-test found, and how worn flash is.',
    warnsWhen: 'a disk has sectors that cannot be read, or requests to it failed for good',
    failsWhen: 'a disk says that it fails, its newest self-test failed, or it has no spare cells',
    limits: ['disks.wear'],
    everyMs: 5 * MINUTE_MS,
    run: smart,
  },
  {
    id: 'hardware.temperature',
    number: 22,
    title: 'Temperatures',
    meaning: 'Of disks, processors and boards, where something measures them.',
    limits: ['hardware.temperature-nvme', 'hardware.temperature-disk', 'hardware.temperature-host'],
    everyMs: MINUTE_MS,
    run: temperature,
  },
  {
    id: 'hardware.memory-errors',
    number: 23,
    title: 'Memory errors',
    meaning: 'What memory with error correction had to correct since boot.',
    warnsWhen: 'errors were repaired',
    failsWhen: 'an error could not be repaired',
    limits: [],
    everyMs: 5 * MINUTE_MS,
    run: memoryErrors,
  },
  {
    id: 'hardware.cpu-features',
    number: 43,
    title: 'Processor',
    meaning: 'Whether weaknesses of the processor, nesting and KVM are as before. A change is told for a day.',
    warnsWhen: 'a weakness or nesting changed within a day',
    failsWhen: 'VMs ran with KVM before, and now KVM does not work',
    limits: [],
    everyMs: HOUR_MS,
    isAnnounced: true,
    run: cpuFeatures,
  },
  {
    id: 'hardware.ups',
    number: 45,
    title: 'UPS',
    meaning: 'State and charge of the uninterruptible power supply. Only where there is one.',
    warnsWhen: 'it runs on battery',
    failsWhen: 'its battery is low',
    limits: ['hardware.ups-charge'],
    everyMs: MINUTE_MS,
    run: ups,
  },
];
