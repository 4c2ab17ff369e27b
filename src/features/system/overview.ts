/** The first page in one answer: what is wrong, what runs, what happened. Pure: everything comes in as it was last seen. */

import { PREFLIGHT_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import type { Operation } from '#contract/operations.ts';
import { QUOTA_FACTS, type QuotaResource } from '#contract/quota-facts.ts';
import type { Check, Host, Overview, Preflight } from '#contract/system.ts';
import type { TrashItem, Vm } from '#contract/vms.ts';
import { formatBytes, formatDuration, GIB } from '#kernel/units.ts';

type ProblemItem = Overview['problems'][number];

export interface OverviewInput {
  /** Null for those who may not see it. */
  readonly host: Host | null;
  readonly vms: readonly Vm[];
  /** Newest first. */
  readonly operations: readonly Operation[];
  readonly preflight: Preflight | null;
  readonly trash: readonly TrashItem[];
  /** Disk files that no VM uses. */
  readonly ownerlessFiles: readonly { readonly path: string; readonly sizeBytes: number }[];
  /** What was wrong in the books of quotas within the last day, and is right now. */
  readonly quotaRepairs: readonly { readonly project: string; readonly resource: QuotaResource; readonly at: Date }[];
  /** For which the date is not believed, and how long still, in milliseconds; null = it is. */
  readonly leap: { readonly byMs: number; readonly leftMs: number } | null;
  /** What is wrong with the history of figures. */
  readonly metrics: readonly ProblemItem[];
  /** What is wrong with recording. */
  readonly audit: readonly ProblemItem[];
  readonly now: Date;
}

/** States in which a VM holds memory and a QEMU process. */
const ON_STATES: readonly Vm['state'][] = ['running', 'idle', 'paused', 'shutting_down', 'suspended'];

export function overviewOf(input: OverviewInput): Overview {
  const { host, vms, operations, preflight } = input;
  const byState: Record<string, number> = {};
  for (const { state } of vms) byState[state] = (byState[state] ?? 0) + 1;
  return {
    host,
    vms: {
      total: vms.length,
      byState,
      running: vms
        .filter(({ state }) => state === 'running' || state === 'idle')
        .map(({ id, name, startedAt, usage, memoryBytes }) => ({
          id,
          name,
          startedAt,
          cpuRatio: usage?.cpuRatio ?? null,
          memoryBytes,
        })),
    },
    operations: operations.slice(0, 20),
    problems: problemsOf(input),
    checkedAt: preflight?.checkedAt ?? null,
  };
}

/** How many VMs run, for the status. */
export function runningCount(vms: readonly Vm[]): number {
  return vms.filter(({ state }) => ON_STATES.includes(state)).length;
}

/** All that is wrong now, the worst first. */
function problemsOf(input: OverviewInput): ProblemItem[] {
  const problems = [
    ...hostProblems(input),
    ...vmProblems(input.vms),
    ...trashProblems(input.trash),
    ...ownerlessProblems(input.ownerlessFiles),
    ...operationProblems(input),
    ...filesystemProblems(input.host),
    ...leapProblems(input.leap),
    ...quotaProblems(input.quotaRepairs),
    ...input.metrics,
    ...input.audit,
    ...preflightProblems(input),
  ];
  const badness = { fail: 0, warn: 1 } as const;
  return problems.sort((a, b) => badness[a.severity] - badness[b.severity]);
}

/** Lines of the preflight that could find nothing out without libvirt. */
const waitingForLibvirt = (preflight: Preflight | null): readonly Check[] =>
  (preflight?.checks ?? []).filter(({ status, hint }) => status === 'unknown' && hint === PREFLIGHT_WAITS_FOR_LIBVIRT);

const countText = (checks: readonly Check[]): string =>
  `${checks.length} ${checks.length === 1 ? 'check' : 'checks'} not known`;

function hostProblems({ host, now, preflight }: OverviewInput): ProblemItem[] {
  if (host === null || host.state === 'connected') return [];
  const age = formatDuration(now.getTime() - Date.parse(host.since));
  const waiting = waitingForLibvirt(preflight);
  const names = waiting.length === 0 ? '' : ` Not known meanwhile: ${waiting.map(({ title }) => title).join(', ')}.`;
  return [
    {
      id: 'host.disconnected',
      severity: 'fail',
      title: `libvirt does not answer${waiting.length === 0 ? '' : `: ${countText(waiting)}`}`,
      detail: `For ${age}. VMs go on running; what is shown of them is that old, and nothing can be changed.${names}`,
      hint: 'Start it: `systemctl start libvirtd`, or run `./hv up` which does. hyperd connects again by itself.',
      link: '/hosts',
    },
  ];
}

function vmProblems(vms: readonly Vm[]): ProblemItem[] {
  return vms.flatMap((vm): ProblemItem[] => {
    const about = { link: `/vms/${vm.id}`, severity: 'fail' as const };
    if (vm.state === 'crashed' || (vm.state === 'off' && vm.stateReason === 'crashed')) {
      return [
        {
          ...about,
          id: `vm.crashed:${vm.id}`,
          title: `${vm.name} crashed`,
          detail: 'The guest, or the QEMU process that ran it, ended by itself.',
          hint: 'Read the end of its serial console, then start it again.',
        },
      ];
    }
    if (vm.state === 'paused' && vm.stateReason === 'io_error') {
      return [
        {
          ...about,
          id: `vm.io-error:${vm.id}`,
          title: `${vm.name} stands still`,
          detail: 'Writing to one of its disks failed, so it was paused before anything was lost.',
          hint: 'Free space where its disks lie, then resume it.',
        },
      ];
    }
    return [];
  });
}

function trashProblems(trash: readonly TrashItem[]): ProblemItem[] {
  return trash
    .filter(({ isTakenAway }) => isTakenAway)
    .map(({ vmId, name, disks, sizeBytes }) => ({
      id: `vm.taken-away:${vmId}`,
      severity: 'warn',
      title: `${name} was taken from libvirt by another program`,
      detail:
        disks.length === 0
          ? 'It can be defined again as it was.'
          : `It can be defined again as it was; its disks (${formatBytes(sizeBytes)}) lie where they were.`,
      hint: 'Restore it from the trash, or delete it there for good.',
      link: '/trash',
    }));
}

function ownerlessProblems(files: OverviewInput['ownerlessFiles']): ProblemItem[] {
  if (files.length === 0) return [];
  const names = files.slice(0, 3).map(({ path }) => path);
  const size = formatBytes(files.reduce((sum, file) => sum + file.sizeBytes, 0));
  return [
    {
      id: 'disks.ownerless',
      severity: 'warn',
      title: files.length === 1 ? 'A disk belongs to no VM' : `${files.length} disks belong to no VM`,
      detail: `${names.join(', ')}${files.length > 3 ? ` and ${files.length - 3} more` : ''} (${size}).`,
      hint: 'Nothing here deletes them. Give them to a VM again, or remove the files on the host.',
      link: '/storage',
    },
  ];
}

/** An operation that failed longer ago is history. */
const RECENT_MS = 24 * 3600_000;

function operationProblems({ operations, now }: OverviewInput): ProblemItem[] {
  return operations.flatMap((operation): ProblemItem[] => {
    const { id, title, state, error, finishedAt } = operation;
    const link = `/operations/${id}`;
    if (state === 'attention') {
      return [
        {
          id: `operation.attention:${id}`,
          severity: 'fail',
          title: `${title}: it could not be undone`,
          detail: error?.detail ?? 'It waits for a person.',
          hint: error?.hint ?? 'Look at the operation.',
          link,
        },
      ];
    }
    if (state !== 'failed' || operation.isDismissed || error === null || finishedAt === null) return [];
    if (now.getTime() - Date.parse(finishedAt) > RECENT_MS || wasDoneLater(operation, operations)) return [];
    return [
      {
        id: `operation.failed:${id}`,
        severity: 'warn',
        title: `${title}: failed`,
        detail: error.detail,
        hint: error.hint,
        link,
      },
    ];
  });
}

/** Whether the same thing was tried again afterwards with success; then the failure is over. */
function wasDoneLater(failed: Operation, operations: readonly Operation[]): boolean {
  return operations.some(
    (other) =>
      other.state === 'done' &&
      other.kind === failed.kind &&
      other.objectName === failed.objectName &&
      other.createdAt > failed.createdAt,
  );
}

const FULL_RATIO = 0.05;
const NEARLY_FULL_RATIO = 0.1;
const LEAST_FREE_BYTES = 2 * GIB;

function filesystemProblems(host: Host | null): ProblemItem[] {
  return (host?.usage?.filesystems ?? []).flatMap(({ mount, purpose, sizeBytes, usedBytes }): ProblemItem[] => {
    const freeBytes = sizeBytes - usedBytes;
    const isFull = freeBytes < Math.max(sizeBytes * FULL_RATIO, LEAST_FREE_BYTES);
    if (!isFull && freeBytes >= sizeBytes * NEARLY_FULL_RATIO) return [];
    return [
      {
        id: `disk.low:${mount}`,
        severity: isFull ? 'fail' : 'warn',
        title: `${mount} is ${isFull ? 'full' : 'nearly full'}`,
        detail: `${formatBytes(freeBytes)} of ${formatBytes(sizeBytes)} are free (${purpose}).${isFull ? ' New disks and images are refused.' : ''}`,
        hint: 'Purge what is in the trash, delete images that no VM uses, or add space.',
        link: '/storage',
      },
    ];
  });
}

function leapProblems(leap: OverviewInput['leap']): ProblemItem[] {
  if (leap === null) return [];
  return [
    {
      id: 'clock.leapt',
      severity: 'warn',
      title: `The clock went ${formatDuration(Math.abs(leap.byMs))} ${leap.byMs > 0 ? 'ahead' : 'back'} at once`,
      detail: `Until it has run true for ${formatDuration(leap.leftMs)} more, nothing is deleted for its age: trash, broken uploads and old operations stay.`,
      hint: 'Check the date of this machine (`timedatectl`). After a long time off there is nothing to do.',
      link: null,
    },
  ];
}

function quotaProblems(repairs: OverviewInput['quotaRepairs']): ProblemItem[] {
  const last = repairs.at(-1);
  if (last === undefined) return [];
  const places = [...new Set(repairs.map(({ project, resource }) => `${QUOTA_FACTS[resource].title} of ${project}`))];
  return [
    {
      id: 'quota.repaired',
      severity: 'warn',
      title: 'The books of quotas were wrong',
      detail: `${places.slice(0, 3).join(', ')}${places.length > 3 ? ` and ${places.length - 3} more` : ''} did not say what exists, and ${repairs.length === 1 ? 'was' : 'were'} repaired at ${last.at.toISOString()}.`,
      hint: 'Nothing is left to do; the log of hyperd says what differed. This line goes after a day. Report it if it comes again.',
      link: null,
    },
  ];
}

/** Lines that are told from fresher figures above. */
const TOLD_ELSEWHERE = ['libvirt.connection', 'disk.free'];

function preflightProblems({ preflight, host }: OverviewInput): ProblemItem[] {
  const waiting = waitingForLibvirt(preflight);
  const bad = (preflight?.checks ?? []).filter(
    (check) => check.status !== 'ok' && !TOLD_ELSEWHERE.includes(check.id) && !waiting.includes(check),
  );
  // While libvirt is away its own line counts them.
  const isToldAbove = host !== null && host.state !== 'connected';
  return [...bad.map(problemOfCheck), ...(waiting.length === 0 || isToldAbove ? [] : [waitedProblem(waiting)])];
}

function waitedProblem(waiting: readonly Check[]): ProblemItem {
  return {
    id: 'preflight:libvirt',
    severity: 'warn',
    title: `libvirt did not answer: ${countText(waiting)}`,
    detail: `When the machine was checked last, these needed it: ${waiting.map(({ title }) => title).join(', ')}.`,
    hint: 'Run `hv preflight` again.',
    link: '/hosts',
  };
}

function problemOfCheck({ id, title, status, detail, hint }: Check): ProblemItem {
  return {
    id: `preflight:${id}`,
    severity: status === 'fail' ? 'fail' : 'warn',
    title: status === 'unknown' ? `${title}: not known` : title,
    detail,
    hint: hint ?? 'Run `hv preflight` again.',
    link: '/hosts',
  };
}
