/** Verification: proofs that restore points restore, up to a started guest that answers, with evidence that is kept.
 *  Tables: proof, proof_setting, proof_part. Events out: proof.recorded. Permissions: backup.verify, backup.read, backup.files.
 *  What is proven comes from `backups`; when, from who calls `proveDue`. Guide: docs/guides/verification.md */

import { FINAL_STATES } from '#contract/operations.ts';
import { type ProofSummary, verificationErrors } from '#contract/verification.ts';
import { audit } from '#features/audit/index.ts';
import { backupFiles } from '#features/backup-files/index.ts';
import { backups } from '#features/backups/index.ts';
import { health, qemuUserOf } from '#features/health/index.ts';
import { hosts } from '#features/hosts/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { operations } from '#features/operations/index.ts';
import { nap } from '#kernel/async.ts';
import { MIB } from '#kernel/units.ts';
import { defineFeature } from '#platform/feature.ts';
import { backupPoints } from './backup-points.ts';
import { createEvidenceFiles } from './evidence-files.ts';
import { createIsolation } from './isolation.ts';
import { createCleanUp, removeLeftovers } from './leftovers.ts';
import { proofMetrics } from './metrics.ts';
import { proofMigrations } from './migrations.ts';
import { proofOperation } from './operation.ts';
import { createPlaces } from './places.ts';
import { type ProveDependencies, prove } from './prove.ts';
import { createRecorder } from './record.ts';
import { createProofRoutes, proofObject } from './routes.ts';
import { createProveDue, createStartProof, type ProveDue, type StartProof } from './start-proof.ts';
import { createProofStore, summaryOf } from './store.ts';
import { workFolders } from './work-folder.ts';

export interface VerificationApi {
  readonly startProof: StartProof;
  /** Proves the newest point of each of these VMs whose last proof is older. The round names every VM. */
  readonly proveDue: ProveDue;
  /** Of a VM: its newest proof, and the newest one that passed. Never waits. */
  latest(vmId: string): { readonly proof: ProofSummary | null; readonly passed: ProofSummary | null };
  /** Proofs of a VM in a row, up to the newest, that showed nothing. Never waits. */
  inconclusiveInRow(vmId: string): number;
}

/** Leftovers are looked for until libvirt has answered once. */
const LOOK_AGAIN_MS = 10_000;

export const verification = defineFeature<VerificationApi>({
  name: 'verification',
  needs: ['audit', 'backup-files', 'backups', 'health', 'hosts', 'inventory', 'operations'],
  migrations: proofMigrations,
  errors: verificationErrors,
  setup({ config, db, libvirt, clock, calendar, events, log, space, use }) {
    const journal = use(operations);
    const known = use(inventory);
    const settings = config.verification;
    const store = createProofStore(db);
    const files = createEvidenceFiles(config.state.root);
    const folders = workFolders(config.state.root);
    const isolation = createIsolation(libvirt);
    const cleanUp = createCleanUp({ libvirt, isolation, folders });
    const points = backupPoints(use(backups));
    const recorder = createRecorder({ db, store, files, audit: use(audit), events, clock, calendar, log });
    const parts: ProveDependencies = {
      libvirt,
      isolation,
      folders,
      store,
      points,
      files,
      space,
      clock,
      log,
      state: config.state,
      qemuUser: async () => qemuUserOf(await libvirt.node.capabilities()),
      qemuVersion: async () => use(hosts).local().qemuVersion,
      accel: use(health).accel,
      limits: { maxMemoryBytes: settings.maxMemoryMib * MIB, maxVcpus: settings.maxVcpus },
      checkFilesystems: settings.checkFilesystems ? use(backupFiles).checkFilesystems : null,
      rereadDays: settings.rereadDays,
      firstTimeoutMs: settings.firstTimeoutSeconds === null ? null : settings.firstTimeoutSeconds * 1000,
      stallMs: settings.stallSeconds * 1000,
    };
    const kind = journal.register(
      proofOperation({
        store,
        places: createPlaces(settings.parallel),
        cleanUp,
        clock,
        prove: (order, context) => prove(parts, order, context),
        record: recorder.record,
      }),
    );
    const starting = { operations: journal, kind, points, store, now: () => clock.now() };
    const startProof = createStartProof(starting);
    let sweeping: Promise<void> = Promise.resolve();
    const stopping = new AbortController();

    const isOpen = async (operationId: string) => {
      const operation = await journal.get(operationId);
      return operation !== null && !FINAL_STATES.includes(operation.state);
    };
    const sweep = async (signal: AbortSignal) => {
      while (!signal.aborted) {
        try {
          const removed = await removeLeftovers({ libvirt, isolation, folders }, cleanUp, isOpen, log);
          if (removed > 0) log.info({ removed }, 'what earlier proofs left was taken away');
          return;
        } catch (error) {
          log.debug({ err: error }, 'leftovers of proofs are looked for again');
          await nap(clock, LOOK_AGAIN_MS, signal);
        }
      }
    };

    return {
      api: {
        startProof,
        proveDue: createProveDue(startProof, starting),
        latest(vmId) {
          const { proof, passed } = recorder.latest(vmId);
          return { proof: proof && summaryOf(proof), passed: passed && summaryOf(passed) };
        },
        inconclusiveInRow: recorder.inconclusiveInRow,
      },
      handlers: createProofRoutes({ store, files, known, startProof }),
      resolvers: {
        async proof(id) {
          const row = await store.row(id);
          return row === null ? null : proofObject(row);
        },
      },
      metrics: () => proofMetrics(recorder.figures()),
      start: recorder.load,
      async resume(signal) {
        sweeping = Promise.all([
          sweep(AbortSignal.any([signal, stopping.signal])),
          recorder.forgetOld(AbortSignal.any([signal, stopping.signal])),
        ]).then(() => undefined);
      },
      async stop() {
        stopping.abort(new Error('the daemon stops'));
        await sweeping;
      },
    };
  },
});
