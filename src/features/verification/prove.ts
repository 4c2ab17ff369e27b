/** The ladder: bytes, structure, start, agent, probe; then the verdict and its record. Failures of ours end in a record too: a proof that
 *  was begun always says how it ended. */

import { createHash } from 'node:crypto';
import { freemem, loadavg } from 'node:os';
import { type Proof, type ProofEvidence, type ProofLevel, proofEvidenceSchema } from '#contract/verification.ts';
import type { BackupFilesApi } from '#features/backup-files/index.ts';
import type { Accel } from '#features/health/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { MIB } from '#kernel/units.ts';
import { readDomain } from '#libvirt/index.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import { type BootParts, type BootReport, bootPoint } from './boot-point.ts';
import { checkData } from './check-data.ts';
import type { EvidenceFile, EvidenceFiles } from './evidence-files.ts';
import type { ProofRow } from './migrations.ts';
import type { OpenPoint, PointImage, ProofPoints, ProvablePoint } from './points.ts';
import { REMEMBERED_PROOFS, waitLimits } from './progress.ts';
import type { ProofStore } from './store.ts';
import { type DiskStructure, inspectDisk } from './structure/index.ts';
import { isToBeRepeated, judge, type ProofObservations } from './verdict.ts';

export interface ProveOrder {
  readonly proofId: string;
  readonly operationId: string;
  readonly vmId: string;
  readonly vmName: string;
  readonly project: string;
  /** Null = there is none: that is what is found then. */
  readonly point: ProvablePoint | null;
  /** Asked for this once; null = what the settings or the point say. */
  readonly level: ProofLevel | null;
}

export interface ProveDependencies extends BootParts {
  readonly store: ProofStore;
  readonly points: ProofPoints;
  readonly files: EvidenceFiles;
  readonly space: Pick<SpaceLedger, 'look'>;
  readonly accel: () => Accel | 'unknown';
  readonly qemuVersion: () => Promise<string | null>;
  /** Null = the configuration says not to. */
  readonly checkFilesystems: BackupFilesApi['checkFilesystems'] | null;
  /** Bytes are read again after so many days. */
  readonly rereadDays: number;
  /** How long the first start of a VM is waited for; null = by its accelerator. */
  readonly firstTimeoutMs: number | null;
  readonly stallMs: number;
  readonly log: Logger;
  readonly clock: Clock;
}

export interface ProveContext {
  readonly signal: AbortSignal;
  progress(progress: { doneBytes?: number; totalBytes?: number; note?: string }): void;
}

const DAY_MS = 86_400_000;
/** Left for everything else on the host. */
const SPARE_MEMORY_BYTES = 256 * MIB;
/** QEMU itself, beside the guest's memory. */
const OVERHEAD_BYTES = 200 * MIB;
/** What a guest writes while it starts. */
const OVERLAY_BYTES = 512 * MIB;

/** What is gathered while the ladder is climbed. */
interface Climb {
  observations: ProofObservations;
  evidence: ProofEvidence;
  bootSeconds: number | null;
  recoverySeconds: number | null;
  required: ProofLevel | null;
}

/** @returns the record, not yet written down. @throws only the signal's reason */
export async function prove(parts: ProveDependencies, order: ProveOrder, context: ProveContext): Promise<ProofRow> {
  const { clock, log } = parts;
  const startedAt = clock.now();
  const accel = parts.accel() === 'kvm' ? 'kvm' : 'tcg';
  const climb: Climb = {
    observations: {
      manifest: null,
      data: 'unread',
      structure: 'unread',
      filesystems: 'unread',
      required: order.level,
      boots: [],
      hindrance: null,
    },
    evidence: {
      notes: [],
      disks: [],
      filesystems: [],
      data: { checkedBytes: 0, checkedAt: null, problem: null },
      attempts: [],
      guest: { hostname: null, os: null, machineId: null, probe: null },
      host: {
        accel,
        qemu: await parts.qemuVersion().catch(() => null),
        load: Math.round((loadavg()[0] ?? 0) * 100) / 100,
        network: 'none',
        networkNote: null,
      },
      files: [],
    },
    bootSeconds: null,
    recoverySeconds: null,
    required: order.level,
  };
  try {
    await climbLadder(parts, order, context, climb, accel);
  } catch (error) {
    if (context.signal.aborted) throw error;
    const isFull = error instanceof AppError && error.code === 'no_space';
    log.warn({ vm: order.vmId, point: order.point?.id, err: error }, 'a proof could not be carried out');
    note(climb, `It could not be carried out: ${messageOf(error)}`);
    see(climb, { hindrance: isFull ? 'no_space' : 'own_error' });
  }
  return recordOf(order, climb, accel, startedAt, clock.now());
}

/** The record of a proof that was broken off. */
export function cancelledProof(order: ProveOrder, reason: string, at: Date): ProofRow {
  const evidence: ProofEvidence = {
    notes: [reason],
    disks: [],
    filesystems: [],
    data: { checkedBytes: 0, checkedAt: null, problem: null },
    attempts: [],
    guest: { hostname: null, os: null, machineId: null, probe: null },
    host: { accel: 'tcg', qemu: null, load: 0, network: 'none', networkNote: null },
    files: [],
  };
  const observations = {
    manifest: null,
    data: 'unread',
    structure: 'unread',
    filesystems: 'unread',
    required: order.level,
    boots: [],
    hindrance: 'cancelled',
  } as const;
  const climb = { observations, evidence, bootSeconds: null, recoverySeconds: null, required: order.level };
  return recordOf(order, climb, 'tcg', at, at);
}

const see = (climb: Climb, seen: Partial<ProofObservations>) => {
  climb.observations = { ...climb.observations, ...seen };
};
const note = (climb: Climb, ...notes: readonly string[]) => {
  climb.evidence = { ...climb.evidence, notes: [...new Set([...climb.evidence.notes, ...notes])] };
};

async function climbLadder(
  parts: ProveDependencies,
  order: ProveOrder,
  context: ProveContext,
  climb: Climb,
  accel: 'kvm' | 'tcg',
): Promise<void> {
  if (order.point === null) return;
  const settings = await parts.store.settings(order.vmId);
  let point: OpenPoint;
  try {
    point = await parts.points.open(order.point);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'point_damaged') {
      // Not its fault that it cannot be opened: it is there, and nothing is known of it.
      see(climb, { manifest: 'good' });
      throw error;
    }
    note(climb, error.message);
    see(climb, { manifest: 'damaged' });
    return;
  }
  try {
    const required = order.level ?? settings.level ?? (settings.probe !== null ? 5 : point.guest !== null ? 4 : null);
    climb.required = required;
    see(climb, { manifest: 'good', required });
    if (required === 0) return;

    const readBefore = await parts.store.readParts(
      order.point.repositoryId,
      new Date(parts.clock.now().getTime() - parts.rereadDays * DAY_MS),
    );
    const data = await checkData(point, readBefore, {
      signal: context.signal,
      now: () => parts.clock.now(),
      progress: (doneBytes, totalBytes) => context.progress({ doneBytes, totalBytes, note: 'reading' }),
    });
    climb.evidence = {
      ...climb.evidence,
      data: {
        checkedBytes: data.checkedBytes,
        checkedAt: data.checkedAt?.toISOString() ?? null,
        problem: data.problem,
      },
    };
    see(climb, { data: data.state });
    if (data.state === 'damaged' || required === 1) return;

    await inspectDisks(point, climb);
    if (climb.observations.structure === 'broken') return;
    await checkDisks(parts, order, context, climb, point);
    if (climb.observations.filesystems === 'damaged' || required === 2) return;

    const hindrance = await hindranceOf(parts, point);
    if (hindrance !== null) {
      note(climb, hindrance.detail);
      see(climb, { hindrance: hindrance.kind });
      return;
    }
    const goodSeconds = await parts.store.goodSeconds(order.vmId, accel, REMEMBERED_PROOFS);
    const limits = waitLimits(goodSeconds, accel, parts);
    do {
      context.progress({ note: climb.observations.boots.length === 0 ? 'starting' : 'starting again' });
      const report = await bootPoint(parts, {
        operationId: order.operationId,
        accel,
        point,
        required,
        guest: point.guest,
        probe: required === 5 ? settings.probe : null,
        marker: settings.marker,
        hasNetwork: settings.hasNetwork,
        limits,
        signal: context.signal,
        progress: (text) => context.progress({ note: text }),
      });
      await keepReport(parts, order, climb, report);
    } while (isToBeRepeated(climb.observations.boots));
  } finally {
    await point.close();
  }
}

async function inspectDisks(point: OpenPoint, climb: Climb): Promise<void> {
  const found: (DiskStructure & { readonly target: string; readonly sizeBytes: number })[] = [];
  for (const { target, sizeBytes } of point.disks) {
    const image = await point.openDisk(target);
    try {
      found.push({ ...(await inspectDisk(image)), target, sizeBytes });
    } finally {
      await image.close();
    }
  }
  climb.evidence = {
    ...climb.evidence,
    disks: found.map(({ target, sizeBytes, text }) => ({ target, sizeBytes, structure: text })),
  };
  const has = (state: DiskStructure['state']) => found.some((each) => each.state === state);
  see(climb, { structure: has('broken') ? 'broken' : has('known') ? 'known' : 'unknown' });
}

/** That they could not be checked is told, and concludes nothing. */
async function checkDisks(
  { checkFilesystems, log }: ProveDependencies,
  { operationId }: ProveOrder,
  { signal, progress }: ProveContext,
  climb: Climb,
  point: OpenPoint,
): Promise<void> {
  if (checkFilesystems === null) return;
  const stack = new AsyncDisposableStack();
  try {
    const disks = new Map<string, PointImage>();
    for (const { target } of point.disks) {
      const image = await point.openDisk(target);
      stack.defer(() => image.close());
      disks.set(target, image);
    }
    const onVolume = (id: string) => progress({ note: `checking ${id}` });
    const filesystems = [...(await checkFilesystems({ id: operationId, disks, signal, onVolume }))];
    climb.evidence = { ...climb.evidence, filesystems };
    if (filesystems.some(({ state }) => state === 'damaged')) see(climb, { filesystems: 'damaged' });
    else if (filesystems.some(({ state }) => state !== 'unchecked')) see(climb, { filesystems: 'good' });
  } catch (error) {
    signal.throwIfAborted();
    log.info({ operation: operationId, err: error }, 'the file systems of a restore point were not checked');
    note(climb, `The file systems were not checked: ${messageOf(error)}`);
  } finally {
    await stack.disposeAsync();
  }
}

async function hindranceOf(
  parts: ProveDependencies,
  point: OpenPoint,
): Promise<{ readonly kind: 'no_memory' | 'no_space'; readonly detail: string } | null> {
  const wantedBytes = (readDomain(point.definition).memoryKib ?? 0) * 1024;
  const needBytes = Math.min(wantedBytes, parts.limits.maxMemoryBytes) + OVERHEAD_BYTES + SPARE_MEMORY_BYTES;
  const freeBytes = freemem();
  const mib = (bytes: number) => `${Math.round(bytes / MIB)} MiB`;
  if (freeBytes < needBytes)
    return {
      kind: 'no_memory',
      detail: `${mib(freeBytes)} of memory are free, ${mib(needBytes)} are needed.`,
    };
  const room = await parts.space.look(parts.state.root);
  if (room.freeBytes - room.floorBytes < OVERLAY_BYTES)
    return {
      kind: 'no_space',
      detail: `${mib(Math.max(0, room.freeBytes - room.floorBytes))} are free in the state folder, ${mib(OVERLAY_BYTES)} are needed.`,
    };
  return null;
}

async function keepReport(
  parts: ProveDependencies,
  order: ProveOrder,
  climb: Climb,
  report: BootReport,
): Promise<void> {
  const { watched, timings } = report;
  const n = climb.observations.boots.length + 1;
  const files: EvidenceFile[] = [];
  files.push(await parts.files.keep(order.proofId, `serial-${n}.log`, Buffer.from(report.serial.text)));
  for (const [which, picture] of report.pictures)
    files.push(await parts.files.keep(order.proofId, `screen-${n}-${which}.png`, picture));
  const { evidence } = climb;
  note(climb, ...report.notes);
  climb.evidence = {
    ...climb.evidence,
    attempts: [
      ...evidence.attempts,
      {
        end: watched.end,
        detail: watched.detail,
        seconds: watched.seconds,
        timings,
        serialBytes: report.serial.totalBytes,
        readBytes: report.readBytes,
      },
    ],
    guest: {
      hostname: watched.who?.hostname ?? null,
      os: watched.who?.os ?? null,
      machineId: watched.who?.machineId ?? null,
      probe: watched.probe?.text ?? null,
    },
    host: { ...evidence.host, network: report.network, networkNote: report.networkNote },
    files: [...evidence.files, ...files],
  };
  see(climb, { boots: [...climb.observations.boots, watched] });
  if (watched.end === 'reached') {
    climb.bootSeconds = watched.seconds;
    climb.recoverySeconds =
      Math.round(((timings.exportSeconds ?? 0) + (timings.defineSeconds ?? 0) + watched.seconds) * 10) / 10;
  }
}

function recordOf(order: ProveOrder, climb: Climb, accel: 'kvm' | 'tcg', startedAt: Date, finishedAt: Date): ProofRow {
  const { verdict, reason, level } = judge(climb.observations);
  const evidence = JSON.stringify(proofEvidenceSchema.parse(climb.evidence));
  return {
    id: order.proofId,
    vm_id: order.vmId,
    vm_name: order.vmName,
    project: order.project,
    point_id: order.point?.id ?? null,
    repository: order.point?.repository ?? null,
    point_time: order.point?.pointInTime ?? null,
    operation_id: order.operationId,
    started_at: startedAt.toISOString(),
    finished_at: finishedAt.toISOString(),
    verdict,
    reason,
    level,
    required_level: climb.required,
    accel,
    boot_seconds: climb.bootSeconds,
    recovery_seconds: climb.recoverySeconds,
    evidence,
    evidence_digest: digestOf(order.proofId, verdict, evidence),
  };
}

/** Over everything that the verdict rests on; files are in it by their own digests. */
export function digestOf(proofId: string, verdict: Proof['verdict'], evidence: string): string {
  return createHash('sha256').update(`${proofId}\n${verdict}\n${evidence}`).digest('hex');
}
