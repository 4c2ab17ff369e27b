/** How each VM stands: facts gathered from schedules, restore points, runs and proofs, and what follows from them. */

import { type OrphanedPoints, POSTURES, type VmPosture } from '#contract/protection.ts';
import type { Vm } from '#contract/vms.ts';
import type { KnownPoint } from '#features/backups/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Calendar } from '#platform/calendar.ts';
import type { LastRuns } from '../last-runs.ts';
import { isAhead, type ProtectionFacts, postureOf } from '../posture.ts';
import type { ProofPort } from '../proofs.ts';
import { coverageOf } from '../schedules/coverage.ts';
import type { Schedule } from '../schedules/schedule-store.ts';
import { sentenceOf } from './sentences.ts';

/** A proof counts for so long: a week and a day to be late. */
const PROOF_WINDOW_MS = 8 * 86_400_000;

export interface RepositoryFacts {
  readonly id: string;
  readonly name: string;
  readonly isDefault: boolean;
  readonly readAtMs: number | null;
}

export interface StandingDependencies {
  readonly clock: Clock;
  readonly calendar: Pick<Calendar, 'leap'>;
  readonly lastRuns: Pick<LastRuns, 'of'>;
  readonly proofs: Pick<ProofPort, 'latest'>;
  /** Targets of disks of a VM that somebody said may be left out. */
  acceptedDisks(vmId: string): ReadonlySet<string>;
  schedules(): readonly Schedule[];
  vms(): readonly Vm[];
  points(): readonly KnownPoint[];
  repositories(): readonly RepositoryFacts[];
  /** How its second copy stands; null = none is asked for of these repositories. */
  secondCopy(vmId: string, repositoryIds: readonly string[]): { readonly newestCopiedMs: number | null } | null;
}

export interface Standing {
  /** The worst first, then by name. */
  all(): readonly VmPosture[];
  of(vmId: string): VmPosture | null;
  /** Restore points of VMs that are not there any more. */
  orphans(): readonly OrphanedPoints[];
}

export function createStanding(dependencies: StandingDependencies): Standing {
  const { clock, calendar, lastRuns, proofs } = dependencies;

  const postures = (vms: readonly Vm[]): readonly VmPosture[] => {
    const nowMs = clock.now().getTime();
    const isDateBelieved = calendar.leap() === null;
    const points = byVm(dependencies.points());
    const repositories = dependencies.repositories();
    const covering = new Map<string, Schedule[]>();
    for (const schedule of dependencies.schedules().filter(({ isEnabled }) => isEnabled))
      for (const { id } of coverageOf(schedule.targets, vms).covered)
        covering.set(id, [...(covering.get(id) ?? []), schedule]);
    return vms.map((vm) =>
      postureOfVm({
        vm,
        nowMs,
        isDateBelieved,
        schedules: covering.get(vm.id) ?? [],
        points: points.get(vm.id) ?? [],
        ...proofs.latest(vm.id),
        lastRun: lastRuns.of(vm.id),
        accepted: dependencies.acceptedDisks(vm.id),
        repositories,
        secondCopy: dependencies.secondCopy,
      }),
    );
  };

  return {
    all: () =>
      postures(dependencies.vms()).toSorted(
        (a, b) => POSTURES.indexOf(b.posture) - POSTURES.indexOf(a.posture) || (a.vmName < b.vmName ? -1 : 1),
      ),
    of(vmId) {
      const vm = dependencies.vms().find(({ id }) => id === vmId);
      return vm === undefined ? null : (postures([vm])[0] ?? null);
    },
    orphans() {
      const there = new Set(dependencies.vms().map(({ id }) => id));
      return [...byVm(dependencies.points())]
        .filter(([vmId]) => !there.has(vmId))
        .flatMap(([vmId, points]): OrphanedPoints[] => {
          const newest = points[0];
          if (!newest) return [];
          return [
            {
              vmId,
              vmName: newest.vmName,
              project: newest.project,
              points: points.length,
              newestAt: newest.pointInTime,
              newestPointId: newest.id,
              storedBytes: points.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
            },
          ];
        })
        .toSorted((a, b) => (a.vmName < b.vmName ? -1 : 1));
    },
  };
}

/** Of each VM the newest first. */
function byVm(points: readonly KnownPoint[]): ReadonlyMap<string, readonly KnownPoint[]> {
  const groups = new Map<string, KnownPoint[]>();
  for (const point of points) {
    const group = groups.get(point.vmId);
    if (group) group.push(point);
    else groups.set(point.vmId, [point]);
  }
  for (const group of groups.values()) group.sort((a, b) => (a.pointInTime < b.pointInTime ? 1 : -1));
  return groups;
}

interface Gathered {
  readonly vm: Vm;
  readonly nowMs: number;
  readonly isDateBelieved: boolean;
  readonly schedules: readonly Schedule[];
  /** The newest first. */
  readonly points: readonly KnownPoint[];
  readonly proof: ReturnType<ProofPort['latest']>['proof'];
  readonly passed: ReturnType<ProofPort['latest']>['passed'];
  readonly lastRun: ReturnType<LastRuns['of']>;
  readonly accepted: ReadonlySet<string>;
  readonly repositories: readonly RepositoryFacts[];
  readonly secondCopy: StandingDependencies['secondCopy'];
}

function postureOfVm({
  secondCopy,
  vm,
  nowMs,
  isDateBelieved,
  schedules,
  points,
  proof,
  passed,
  lastRun,
  accepted,
  repositories,
}: Gathered): VmPosture {
  const good = points.filter(({ isGood }) => isGood);
  const newest = good.find(({ pointInTime }) => !isAhead(Date.parse(pointInTime), nowMs)) ?? good[0] ?? null;
  const newestGoodMs = newest === null ? null : Date.parse(newest.pointInTime);
  const intervals = schedules.map(({ runs }) => runs.longestGapMs(nowMs));
  const intervalMs = intervals.length === 0 ? null : Math.min(...intervals);
  const nexts = schedules.flatMap(({ nextMs }) => nextMs ?? []);
  const nextRunMs = nexts.length === 0 ? null : Math.min(...nexts);
  // Where its next restore point will lie, and where the ones lie that are counted on.
  const used = repositoriesOf(schedules, newest, repositories);
  const reads = used.map(({ readAtMs }) => readAtMs);
  const catalogueReadMs = reads.some((at) => at === null) ? null : Math.min(...reads.flatMap((at) => at ?? []));
  const disksLeftOut = newest?.disksLeftOut ?? [];
  const missed = disksLeftOut.filter((target) => !accepted.has(target));
  const lastFailure =
    lastRun?.state === 'failed' ? { detail: lastRun.detail, operationId: lastRun.operation_id } : null;
  const copy = secondCopy(
    vm.id,
    used.map(({ id }) => id),
  );
  const facts: ProtectionFacts = {
    nowMs,
    isDateBelieved,
    intervalMs,
    // A repository that nothing lies in yet need not be read to know that.
    catalogueReadMs: used.length === 0 ? nowMs : catalogueReadMs,
    newestGoodMs,
    lastRun: lastRun?.state ?? null,
    proof: {
      last: proof?.verdict ?? null,
      lastPassMs: passed?.atMs ?? null,
      windowMs: PROOF_WINDOW_MS,
    },
    copy,
    disksLeftOut: missed.length,
    isConsistentEnough: !(newest?.consistency === 'crash' && vm.agent === 'connected'),
  };
  const { posture, reasons } = postureOf(facts);
  const told = reasons.map((code) => ({
    code,
    ...sentenceOf(code, {
      vmName: vm.name,
      nowMs,
      newestGoodMs,
      intervalMs,
      nextRunMs,
      catalogueReadMs,
      repositoryName: used[0]?.name ?? 'default',
      lastFailure,
      lastPassMs: passed?.atMs ?? null,
      lastProofMs: proof?.atMs ?? null,
      newestPointId: newest?.id ?? null,
      disksLeftOut: missed,
    }),
  }));
  return {
    vmId: vm.id,
    vmName: vm.name,
    project: vm.project,
    posture,
    reasons: told.map(({ code, text }) => ({ code, text })),
    next: told[0]?.next ?? null,
    schedules: schedules.map(({ name }) => name),
    nextRunAt: nextRunMs === null ? null : new Date(nextRunMs).toISOString(),
    newestPointId: newest?.id ?? null,
    newestAt: newest?.pointInTime ?? null,
    points: points.length,
    storedBytes: points.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
    lastRun:
      lastRun === null
        ? null
        : { at: lastRun.at, state: lastRun.state, detail: lastRun.detail, operationId: lastRun.operation_id },
    proof:
      proof === null
        ? null
        : {
            at: new Date(proof.atMs).toISOString(),
            verdict: proof.verdict,
            level: proof.level,
            pointId: proof.pointId,
          },
    copiedAt: isoOf(copy?.newestCopiedMs ?? null),
    isCopied: copy !== null,
    provenAt: passed === null ? null : new Date(passed.atMs).toISOString(),
    bootSeconds: passed?.recoverySeconds ?? null,
    disksLeftOut: [...disksLeftOut],
    disksAccepted: disksLeftOut.filter((target) => accepted.has(target)),
  };
}

function repositoriesOf(
  schedules: readonly Schedule[],
  newest: KnownPoint | null,
  repositories: readonly RepositoryFacts[],
): readonly RepositoryFacts[] {
  const ids = new Set(
    schedules.map(({ repository }) => repository ?? repositories.find(({ isDefault }) => isDefault)?.id),
  );
  if (newest !== null) ids.add(newest.repositoryId);
  return repositories.filter(({ id }) => ids.has(id));
}

const isoOf = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
