/** VMs: do they do what their owners want, and how do they fare? */

import type { HealthItem } from '#contract/health.ts';
import { HEALTH_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import { METRICS } from '#contract/metric-catalogue.ts';
import { isSwitchedOff, linkFlagsPath } from '#platform/link-flags.ts';
import {
  conclude,
  DAY_MS,
  type Finding,
  type HealthCheck,
  type HealthContext,
  HOUR_MS,
  levelOf,
  MINUTE_MS,
  unknown,
} from '../check.ts';
import type { Figure } from '../figures.ts';
import { levelCheck } from '../level-check.ts';
import { days, percent, plural } from '../text.ts';

const TEN_MINUTES_MS = 10 * MINUTE_MS;
/** For so long a state must not be the wanted one. */
const PATIENCE_MS = 2 * MINUTE_MS;
const TICK_MS = 10_000;

type State = (typeof METRICS)['vm_state']['values'][number];
type Desired = (typeof METRICS)['vm_state_desired']['values'][number];

/** States that are what the owner wants. A guest that suspended itself does as it likes. */
const WANTED: Readonly<Record<Desired, readonly State[]>> = {
  running: ['running', 'idle', 'shutting_down', 'suspended'],
  off: ['off'],
  paused: ['paused'],
};

const stateName = (value: number): State => METRICS.vm_state.values[value] ?? 'unknown';
const desiredName = (value: number): Desired => METRICS.vm_state_desired.values[value] ?? 'running';

/** Whether something could be said of VMs at all; null = there are none. */
function noFigures(context: HealthContext): Finding | null {
  if (context.facts.vms().length === 0) return null;
  return unknown('There are VMs, and none was measured.', 'See `libvirt.answers`; figures of VMs come from libvirt.');
}

function states(context: HealthContext): Finding | null {
  const { figures } = context;
  const now = figures.fresh('vm_state', 'vm');
  if (now.length === 0) return noFigures(context);
  const of = (metric: 'vm_state_desired' | 'vm_job') =>
    new Map(figures.fresh(metric, 'vm').map((figure) => [figure.owner.id, figure]));
  const desired = of('vm_state_desired');
  const jobs = of('vm_job');
  const items = now.map((figure): HealthItem => {
    const { name, owner } = figure;
    const wish = desired.get(owner.id);
    if (wish === undefined) return { name, status: 'unknown', detail: 'what its owner wants is not known' };
    const state = stateName(figure.value);
    const wanted = desiredName(wish.value);
    const isWanted = (value: number) => WANTED[wanted].includes(stateName(value));
    const isBusy = (jobs.get(owner.id)?.value ?? 0) !== 0;
    if (isWanted(figure.value) || isBusy) return { name, status: 'ok', detail: state };
    const { atMs, values } = figures.samples(figure, PATIENCE_MS);
    const isLong = (atMs.at(-1) ?? 0) - (atMs[0] ?? 0) >= PATIENCE_MS - 2 * TICK_MS && !values.some(isWanted);
    const isNewWish = new Set(figures.values(wish, PATIENCE_MS)).size > 1;
    return { name, status: isLong && !isNewWish ? 'fail' : 'ok', detail: `is ${state}, and should be ${wanted}` };
  });
  return conclude(
    items,
    `${plural(items.length, 'VM')}, all as their owners want them.`,
    'Start it: `hv vm start NAME`. Its last lines: `hv vm serial NAME`; QEMU’s own log lies in /var/log/libvirt/qemu.',
  );
}

function inputOutput(context: HealthContext): Finding | null {
  const reasons = context.figures.fresh('vm_pause_reason', 'vm');
  if (reasons.length === 0) return noFigures(context);
  const items = reasons.map(({ name, value }): HealthItem => {
    const reason = METRICS.vm_pause_reason.values[value] ?? 'other';
    if (reason === 'enospc') return { name, status: 'fail', detail: 'stands still, because its pool is full' };
    if (reason === 'io_error') return { name, status: 'fail', detail: 'stands still, because its disk gives errors' };
    return { name, status: 'ok', detail: 'no trouble with its disks' };
  });
  return conclude(
    items,
    `${plural(items.length, 'VM')}; none stands still for its disks.`,
    'Free space in the pool (`hv pool list`) or mend the disk, then `hv vm resume NAME`: without that it pauses again at once.',
  );
}

function crashes(context: HealthContext): Finding | null {
  const counts = context.figures.fresh('vm_crash_total', 'vm');
  if (counts.length === 0) return noFigures(context);
  const items = counts.map((figure): HealthItem => {
    const grown = context.figures.growth(figure, HOUR_MS);
    return {
      name: figure.name,
      status: levelOf(grown, context.limit('vms.crashes')),
      detail: `crashed ${grown === 1 ? 'once' : `${grown} times`} in the last hour`,
    };
  });
  return conclude(
    items,
    `${plural(items.length, 'VM')}; none crashed in the last hour.`,
    'Look at QEMU’s log in /var/log/libvirt/qemu, at `dmesg` for lack of memory, and at what the guest wrote: `hv vm serial NAME`.',
  );
}

function agents(context: HealthContext): Finding | null {
  const { figures, facts } = context;
  const ups = figures.fresh('vm_agent_up', 'vm');
  if (ups.length === 0) {
    // The channel of a VM that is off says nothing.
    const isAny = facts
      .vms()
      .some(({ agent, state }) => state === 'running' && (agent === 'connected' || agent === 'disconnected'));
    return isAny ? unknown('VMs have a channel for the agent, and none was asked.', 'See `libvirt.answers`.') : null;
  }
  const items = ups.map((figure): HealthItem => {
    const { atMs, values } = figures.samples(figure, TEN_MINUTES_MS);
    const isLong = (atMs.at(-1) ?? 0) - (atMs[0] ?? 0) >= TEN_MINUTES_MS - 2 * MINUTE_MS;
    const isSilent = figure.value === 0 && isLong && !values.includes(1);
    return {
      name: figure.name,
      status: isSilent ? 'warn' : 'ok',
      detail: isSilent ? 'its agent has not answered for ten minutes' : 'its agent answers',
    };
  });
  return conclude(
    items,
    `${plural(items.length, 'VM')} with an agent that answers.`,
    'In the guest: `apt-get install qemu-guest-agent`, `systemctl start qemu-guest-agent`. Without it backups are only as consistent as after a power cut.',
  );
}

function snapshots(context: HealthContext): Finding | null {
  const { figures, limit } = context;
  const chains = figures.fresh('snapshot_chain', 'vm');
  if (chains.length === 0) return noFigures(context);
  const ages = new Map(figures.fresh('snapshot_age', 'vm').map(({ owner, value }) => [owner.id, value]));
  const items = chains.map(({ name, owner, value }: Figure): HealthItem => {
    const byLength = levelOf(value, limit('vms.snapshot-chain'));
    const age = (ages.get(owner.id) ?? 0) / (DAY_MS / 1000);
    const byAge = levelOf(age, limit('vms.snapshot-age'));
    return {
      name,
      status: byLength === 'ok' ? byAge : byLength,
      detail: `${plural(value, 'file')} in the chain of a disk${age > 0 ? `, the oldest snapshot ${days(age)} old` : ''}`,
    };
  });
  return conclude(
    items,
    `${plural(items.length, 'VM')}; no long chains, no old snapshots.`,
    'Merge what is not needed: `virsh snapshot-delete NAME SNAPSHOT`, `virsh blockcommit NAME DISK --active --pivot`.',
  );
}

/** Kinds of NICs whose other end stays switched on as long as the VM runs. */
const BRIDGED: readonly string[] = ['network', 'bridge'];

async function nics({ facts, machine }: HealthContext): Promise<Finding | null> {
  if (facts.vms().length === 0) return null;
  if (!facts.isCurrent())
    return unknown('libvirt does not answer, so it is not known which VMs run.', HEALTH_WAITS_FOR_LIBVIRT);
  const on = facts.vms().filter(({ state }) => state === 'running' || state === 'idle');
  const items: HealthItem[] = [];
  for (const { name, nics: cards } of on) {
    for (const { mac, device, linkUp, sourceType } of cards) {
      // One whose link somebody set down is as it should be.
      if (device === null || !linkUp || !BRIDGED.includes(sourceType)) continue;
      const flags = await machine.readText(linkFlagsPath(device));
      if (flags === null) continue;
      const isOff = isSwitchedOff(flags);
      items.push({
        name,
        status: isOff ? 'fail' : 'ok',
        detail: isOff ? `its NIC ${mac} (${device} on the host) is switched off` : `${device} is on`,
      });
    }
  }
  if (items.length === 0) return null;
  return conclude(
    items,
    `${plural(items.length, 'NIC')} of running VMs, all switched on.`,
    'Stop the VM and start it again. libvirt does that where it learns the address of a guest (filter `mac_ip`) and cannot make its rules, as beside another program that changes the packet filter; there healing mends it without a stop, if hyperd runs as root: `hv heal set nic-up act`. Another NIC was switched off by somebody: `ip link set dev NAME up`.',
  );
}

const whatVmsMeasure = { kind: 'vm', isExpected: false } as const;

export const vmChecks: readonly HealthCheck[] = [
  {
    id: 'vms.state',
    number: 30,
    title: 'States of VMs',
    meaning: 'Whether VMs are as their owners want them. One that an operation works on is left out.',
    failsWhen: 'a VM has been in another state for two minutes',
    limits: [],
    everyMs: MINUTE_MS,
    run: states,
  },
  {
    id: 'vms.input-output',
    number: 31,
    title: 'VMs that stand still for their disks',
    meaning: 'QEMU pauses a VM whose disk gives errors or has no space left.',
    failsWhen: 'a VM is paused for that',
    limits: [],
    everyMs: MINUTE_MS,
    run: inputOutput,
  },
  {
    id: 'vms.crashes',
    number: 32,
    title: 'Crashes of VMs',
    meaning: 'How often VMs crashed in the last hour.',
    limits: ['vms.crashes'],
    everyMs: MINUTE_MS,
    run: crashes,
  },
  {
    id: 'vms.agent',
    number: 33,
    title: 'Guest agents',
    meaning: 'Whether the agent answers in running VMs that have a channel for it.',
    warnsWhen: 'one has been silent for ten minutes',
    limits: [],
    everyMs: MINUTE_MS,
    run: agents,
  },
  levelCheck({
    id: 'vms.file-systems',
    number: 34,
    title: 'File systems in guests',
    meaning: 'How full they are, as guest agents tell.',
    metric: 'disk_usage',
    kind: 'guestfs',
    limit: 'vms.file-systems',
    show: percent,
    what: 'in use',
    hint: 'Free space in the guest, or give it a larger disk: `hv vm edit NAME`.',
    isExpected: false,
  }),
  levelCheck({
    id: 'vms.steal',
    number: 35,
    title: 'Waiting vCPUs',
    meaning: 'How long vCPUs that are ready wait for a processor of the host.',
    metric: 'cpu_steal',
    ...whatVmsMeasure,
    limit: 'vms.steal',
    measure: ({ figures }, figure) => figures.mean(figure, TEN_MINUTES_MS),
    show: percent,
    what: 'of the time waiting for a processor',
    hint: 'There are more busy vCPUs than processors: give VMs fewer, or move some: `hv metrics top cpu_steal`.',
  }),
  {
    id: 'vms.snapshots',
    number: 36,
    title: 'Snapshots',
    meaning: 'Long chains make disks slow, and old snapshots grow.',
    limits: ['vms.snapshot-chain', 'vms.snapshot-age'],
    everyMs: 5 * MINUTE_MS,
    run: snapshots,
  },
  {
    id: 'vms.nics',
    number: 51,
    title: 'NICs of VMs',
    meaning: 'Whether the NICs of running VMs are switched on at their other end, on the host.',
    failsWhen: 'libvirt, or somebody, switched one off: the guest has no network',
    limits: [],
    everyMs: MINUTE_MS,
    isAnnounced: true,
    run: nics,
  },
];
