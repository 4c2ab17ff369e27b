/** Processors, memory and pressure of the host. */

import { type Finding, type HealthCheck, type HealthContext, levelOf, MINUTE_MS, ok, warn } from '../check.ts';
import { levelCheck, notMeasured } from '../level-check.ts';
import { ask } from '../programs.ts';
import { bytesPerSecond, percent, plural } from '../text.ts';

const TEN_MINUTES_MS = 10 * MINUTE_MS;
const HALF_HOUR_MS = 30 * MINUTE_MS;

const meanOf = (ms: number) => (context: HealthContext, figure: Parameters<HealthContext['figures']['mean']>[0]) =>
  context.figures.mean(figure, ms);

function memory(context: HealthContext): Finding | null {
  const [available] = context.figures.fresh('mem_available', 'host');
  const [used] = context.figures.fresh('mem_used', 'host');
  if (available === undefined || used === undefined) return notMeasured(context, 'mem_available', 'host', true);
  const ratio = available.value / Math.max(1, available.value + used.value);
  const status = levelOf(ratio, context.limit('host.memory'));
  const evidence = `${percent(ratio)} of the memory can still be had without swapping.`;
  return status === 'ok'
    ? ok(evidence)
    : { status, evidence, hint: 'See who has it: `hv metrics top mem_rss`. Stop a VM or give some less.', items: [] };
}

function swap(context: HealthContext): Finding | null {
  const { figures, limit } = context;
  const [usage] = figures.fresh('swap_usage', 'host');
  const [out] = figures.fresh('swap_out', 'host');
  // A machine without swap space has no figure, and nothing that could run full.
  if (usage === undefined) return notMeasured(context, 'swap_usage', 'host', false);
  const rate = out === undefined ? 0 : figures.mean(out, TEN_MINUTES_MS);
  const byUse = levelOf(usage.value, limit('host.swap'));
  const byRate = levelOf(rate, limit('host.swap-out'));
  const evidence = `${percent(usage.value)} of the swap space is in use, ${bytesPerSecond(rate)} are written to it.`;
  if (byUse === 'ok' && byRate === 'ok') return ok(evidence);
  return {
    status: byUse === 'fail' || byRate === 'fail' ? 'fail' : 'warn',
    evidence,
    hint: 'VMs were promised more memory than there is: stop one or give some less (`hv metrics top mem_rss`).',
    items: [],
  };
}

/** As `[ 5012.123456] Out of memory: Killed process 812 (qemu-system-x86) …`: seconds since boot, and the program. */
const KILLED = /^\[\s*(\d+)\.\d+\].*Killed process \d+ \(([^)]+)\)/;

async function outOfMemory(context: HealthContext): Promise<Finding | null> {
  const [count] = context.figures.fresh('oom_kill_total', 'host');
  if (count === undefined) return notMeasured(context, 'oom_kill_total', 'host', true);
  const killed = context.figures.growth(count, HALF_HOUR_MS);
  if (killed === 0) return ok('The kernel ended no program for want of memory in the last half hour.');
  const victims = await victimsOf(context);
  const hint = 'Promise VMs less memory: `hv metrics top mem_rss`; the machine needs some for itself.';
  const evidence = `The kernel ended ${plural(killed, 'program')} for want of memory in the last half hour${victims.length > 0 ? `: ${victims.join(', ')}` : ''}.`;
  return victims.some((name) => name.startsWith('qemu'))
    ? { status: 'fail', evidence: `${evidence} A VM was among them.`, hint, items: [] }
    : warn(evidence, hint);
}

async function victimsOf(context: HealthContext): Promise<readonly string[]> {
  const uptime = Number.parseFloat((await context.machine.readText('/proc/uptime')) ?? '');
  const log = await ask(context, ['dmesg']);
  if (log === null || Number.isNaN(uptime)) return [];
  return log.split('\n').flatMap((line) => {
    const [, at, name] = KILLED.exec(line) ?? [];
    return name !== undefined && uptime - Number(at) <= HALF_HOUR_MS / 1000 ? [name] : [];
  });
}

export const hostChecks: readonly HealthCheck[] = [
  levelCheck({
    id: 'host.cpu',
    number: 1,
    title: 'Processors of the host',
    meaning: 'Whether the processors have room for more.',
    metric: 'cpu_usage',
    kind: 'host',
    limit: 'host.cpu',
    measure: meanOf(TEN_MINUTES_MS),
    show: percent,
    what: 'of the processors were in use over ten minutes',
    hint: 'See who uses them: `hv metrics top cpu_usage`. Move, stop or limit a VM.',
    isExpected: true,
  }),
  levelCheck({
    id: 'host.cpu-pressure',
    number: 2,
    title: 'Waiting for processors',
    meaning: 'Whether programs have to wait for a processor, whatever the use of processors says.',
    metric: 'cpu_psi_some',
    kind: 'host',
    limit: 'host.cpu-pressure',
    measure: meanOf(MINUTE_MS),
    show: percent,
    what: 'of the last minute something waited for a processor',
    hint: 'VMs have more vCPUs than the host can serve: `hv metrics top cpu_psi_some` shows which wait most.',
    isExpected: false,
  }),
  levelCheck({
    id: 'host.memory-pressure',
    number: 3,
    title: 'Waiting for memory',
    meaning: 'Whether everything stands still while the kernel looks for memory.',
    metric: 'mem_psi_full',
    kind: 'host',
    limit: 'host.memory-pressure',
    measure: meanOf(MINUTE_MS),
    show: percent,
    what: 'of the last minute everything waited for memory',
    hint: 'Give VMs less memory, or stop one: `hv metrics top mem_rss`.',
    isExpected: false,
  }),
  levelCheck({
    id: 'host.io-pressure',
    number: 4,
    title: 'Waiting for disks',
    meaning: 'Whether everything stands still while disks work.',
    metric: 'io_psi_full',
    kind: 'host',
    limit: 'host.io-pressure',
    measure: meanOf(MINUTE_MS),
    show: percent,
    what: 'of the last minute everything waited for disks',
    hint: 'Find who writes most: `hv metrics top disk_write`.',
    isExpected: false,
  }),
  levelCheck({
    id: 'host.iowait',
    number: 5,
    title: 'Idle processors that wait for disks',
    meaning: 'A slow or failing disk shows here before it shows anywhere else.',
    metric: 'cpu_iowait',
    kind: 'host',
    limit: 'host.iowait',
    measure: meanOf(TEN_MINUTES_MS),
    show: percent,
    what: 'of the processors waited for a disk over ten minutes',
    hint: 'Look for a slow or failing disk: `hv metrics show disk_latency --of host`, `smartctl -a`.',
    isExpected: true,
  }),
  {
    id: 'host.memory',
    number: 6,
    title: 'Memory of the host',
    meaning: 'How much memory programs can still get without swapping.',
    limits: ['host.memory'],
    everyMs: MINUTE_MS,
    run: memory,
  },
  {
    id: 'host.swap',
    number: 7,
    title: 'Swap space',
    meaning: 'Whether swap space runs out, and whether memory is written to it all the time.',
    limits: ['host.swap', 'host.swap-out'],
    everyMs: MINUTE_MS,
    run: swap,
  },
  {
    id: 'host.out-of-memory',
    number: 8,
    title: 'Programs ended for want of memory',
    meaning: 'Whether the kernel had to end programs in the last half hour, and whether a VM was among them.',
    warnsWhen: 'a program was ended',
    failsWhen: 'the program was a VM',
    limits: [],
    everyMs: MINUTE_MS,
    run: outOfMemory,
  },
  levelCheck({
    id: 'host.load',
    number: 9,
    title: 'Load',
    meaning: 'How many programs want to run or wait for a disk, by processor.',
    metric: 'load15_per_core',
    kind: 'host',
    limit: 'host.load',
    show: (value) => String(Math.round(value * 100) / 100),
    what: 'is the load of 15 minutes by processor',
    hint: 'See `host.cpu-pressure` and `host.io-pressure`, which say what is waited for.',
    isExpected: true,
  }),
];
