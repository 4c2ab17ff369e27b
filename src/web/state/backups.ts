/** Postures, restore points, proofs, schedules and repositories, kept current by events. */

import { computed } from '@preact/signals';
import type { Operation } from '#contract/operations.ts';
import type { OrphanedPoints, Posture, VmPosture } from '#contract/protection.ts';
import type { ProofSummary } from '#contract/verification.ts';
import { api } from './api.ts';
import { createResource, readAllPages } from './collection.ts';
import { onEvent } from './live.ts';
import { isOpen, operationList } from './operations.ts';

interface Postures {
  /** The worst first. */
  readonly vms: readonly VmPosture[];
  readonly worst: Posture;
  readonly counts: Readonly<Record<Posture, number>>;
  readonly orphans: readonly OrphanedPoints[];
}

/** How well each VM is protected. Ages are part of it, so an open page reads it again now and then by the events of runs. */
export const postures = createResource(
  async (): Promise<Postures> => {
    const vms: VmPosture[] = [];
    let cursor: string | undefined;
    for (;;) {
      const page = await api('GET /backup-posture', { query: { cursor } });
      vms.push(...page.items);
      if (page.next === null) return { vms, worst: page.worst, counts: page.counts, orphans: page.orphans };
      cursor = page.next;
    }
  },
  ['backup.changed', 'proof.recorded', 'schedule.changed', 'repository.changed', 'vm.removed'],
  600,
);

onEvent('vm.changed', ({ id }) => {
  // One that nobody has asked about yet.
  const known = postures.data.peek();
  if (known !== null && !known.vms.some(({ vmId }) => vmId === id)) void postures.reload();
});

export const schedules = createResource(
  async () => (await api('GET /backup-schedules')).items,
  ['schedule.changed', 'repository.changed'],
);

export const repositories = createResource(
  () => readAllPages((cursor) => api('GET /repositories', { query: { cursor } })),
  ['repository.changed', 'backup.changed'],
  600,
);

const MOST_PROOFS = 1000;

/** The newest proofs. */
export const proofs = createResource(
  async () => (await api('GET /proofs', { query: { limit: MOST_PROOFS } })).items,
  ['proof.recorded'],
);

/** The newest proof of each restore point. */
export const proofOfPoint = computed<ReadonlyMap<string, ProofSummary>>(() => {
  const newest = new Map<string, ProofSummary>();
  for (const proof of proofs.data.value ?? [])
    if (proof.pointId !== null && !newest.has(proof.pointId)) newest.set(proof.pointId, proof);
  return newest;
});

/** What the next cleaning would keep and why. */
export const retention = createResource(
  () => api('GET /backup-retention', { query: {} }),
  ['backup.changed', 'proof.recorded', 'schedule.changed'],
  1000,
);

/** Why each restore point stays; empty = the next cleaning takes it. */
export const reasonsToStay = computed<ReadonlyMap<string, readonly string[]>>(
  () => new Map((retention.data.value?.items ?? []).map(({ pointId, reasons }) => [pointId, reasons])),
);

export const isPointProtected = (pointId: string): boolean =>
  reasonsToStay.value.get(pointId)?.includes('protected') ?? false;

/** Checks of repositories, the newest first. */
export const checks = createResource(
  async () => (await api('GET /operations', { query: { kind: 'repository.check', limit: 200 } })).items,
  ['repository.changed'],
  600,
);
onEvent('operation.changed', (operation) => {
  if (operation.kind === 'repository.check' && !isOpen(operation) && checks.data.peek() !== null) void checks.reload();
});

/** Repositories of this host that VMs can be backed up to. */
export const homes = computed(() =>
  (repositories.data.value ?? []).filter(({ isCopy, kind }) => !isCopy && kind !== 'sftp' && kind !== 's3'),
);

/** Copies of repositories at other places, and how they stand. */
export const copies = createResource(
  () => readAllPages((cursor) => api('GET /backup-copies', { query: { cursor } })),
  ['repository.changed', 'backup.changed'],
  600,
);

const COPY_KIND = 'repository.copy';

/** Runs of copies, the newest first. */
export const copyRuns = createResource(
  async () => (await api('GET /operations', { query: { kind: COPY_KIND, limit: 200 } })).items,
);

/** What goes on now with one copy. */
export const copyWork = (repositoryId: string): Operation | null =>
  openBackupWork.value.find(({ kind, objectId }) => kind === COPY_KIND && objectId === repositoryId) ?? null;

/** The states of this host, and where they lie. */
export const stateBackups = createResource(() => api('GET /system/state-backups'), ['repository.changed'], 600);
onEvent('operation.changed', (operation) => {
  const { kind } = operation;
  if (kind === COPY_KIND && copies.data.peek() !== null) {
    void copies.reload();
    if (!isOpen(operation) && copyRuns.data.peek() !== null) void copyRuns.reload();
  }
  if (kind === 'system.backup' && !isOpen(operation) && stateBackups.data.peek() !== null) void stateBackups.reload();
});

/** VMs that run from a restore point while their data is copied. */
export const instantRestores = createResource(
  () => readAllPages((cursor) => api('GET /instant-restores', { query: { cursor } })),
  ['backup.changed', 'vm.removed'],
);

const PROOF_KIND = 'backup.verify';
const KINDS = /^(backup|repository)\.|^system\.backup$/;

export const isBackupKind = ({ kind }: Pick<Operation, 'kind'>): boolean => KINDS.test(kind);

/** What goes on now with backups. */
export const openBackupWork = computed(() => operationList.value.filter((one) => isOpen(one) && isBackupKind(one)));

/** What goes on now with the backups of one VM. */
export function workOn(vm: { readonly id: string; readonly name: string }): readonly Operation[] {
  return openBackupWork.value.filter(
    (one) => one.objectId === vm.id || (one.kind === PROOF_KIND && one.objectName === vm.name),
  );
}
