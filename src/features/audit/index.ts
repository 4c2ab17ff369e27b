/** Audit: an intent record before each change and an outcome record after it, refusals included, in a chain that tells of any later change.
 *  Tables: audit, audit_checkpoint, audit_stub, audit_mark, audit_key. Events out: audit.recorded. Permissions: audit.read, audit.export.
 *  Guide: docs/guides/audit.md */

import { hostname } from 'node:os';
import { join } from 'node:path';
import { type AuditStatus, auditErrors } from '#contract/audit.ts';
import type { Overview } from '#contract/system.ts';
import { nap } from '#kernel/async.ts';
import { messageOf } from '#kernel/errors.ts';
import { defineFeature, type MetricFamily } from '#platform/feature.ts';
import { VERSION } from '#platform/version.ts';
import { adoptOldRecords } from './adoption.ts';
import { type BreakGlass, createBreakGlass } from './break-glass.ts';
import { createCheckpoints } from './checkpoints.ts';
import { evidenceOf } from './evidence.ts';
import { type AuditKeys, openAuditKeys } from './keys.ts';
import type { AuditTables } from './migrations.ts';
import { fileTarget } from './mirrors/file.ts';
import { createMirror, type Mirror, type MirrorTarget } from './mirrors/mirror.ts';
import { syslogTarget } from './mirrors/syslog.ts';
import { auditProblems } from './problems.ts';
import { createRetention } from './retention.ts';
import { createAuditRoutes } from './routes.ts';
import { createSelfCheck, type SelfCheck } from './self-check.ts';
import { type AuditApi, auditMigrations, createAuditStore } from './store.ts';
import { createUnanswered } from './unanswered.ts';

export type { BreakGlass } from './break-glass.ts';
export type { AuditApi, AuditEntry } from './store.ts';

export interface AuditFeatureApi extends AuditApi {
  readonly breakGlass: BreakGlass;
  /** Looks in the background for intents that an earlier life of the daemon left without an outcome; called once the journal knows what
   *  is open. */
  findUnanswered(isOpenOperation: (id: string) => Promise<boolean>): void;
  /** What is wrong with recording, for the overview. */
  problems(): Promise<Overview['problems']>;
}

const TICK_MS = 1000;
const DAY_MS = 86_400_000;
/** After a start there is enough to do. */
const FIRST_CHECK_MS = 300_000;

export const audit = defineFeature<AuditFeatureApi>({
  name: 'audit',
  migrations: auditMigrations,
  errors: auditErrors,
  setup({ db, clock, calendar, config, events, log: parentLog }) {
    const log = parentLog.child({ feature: 'audit' });
    const settings = config.audit;
    let opened: AuditKeys | null = null;
    const keys = () => {
      opened ??= openAuditKeys(join(config.state.root, 'audit'));
      return opened;
    };
    let mirrors: readonly Mirror[] = [];
    let headSeq = 0;

    const gate = async (phase: 'intent' | 'outcome') => {
      if (!settings.requireMirror || phase !== 'intent') return;
      const late = mirrors.find((mirror) => !mirror.isCurrent());
      if (late)
        throw new Error(`the mirror ${late.view().target} does not have all records, and audit.requireMirror is on`);
    };
    const store = createAuditStore({
      db,
      clock,
      events,
      log,
      digest: (secret) => keys().digest(secret),
      gate,
      onCommit({ seq }) {
        headSeq = seq;
        for (const mirror of mirrors) mirror.wake();
      },
    });
    const { writer, reader, fold } = store;
    const unanswered = createUnanswered({ db, clock, writer });
    const breakGlass = createBreakGlass({ isOn: settings.breakGlass, writer, log });
    let check: SelfCheck | null = null;
    let lifetime: AbortSignal = AbortSignal.abort();
    let work: Promise<unknown> = Promise.resolve();
    let searching: Promise<void> = Promise.resolve();
    let signHead: () => Promise<unknown> = async () => undefined;

    const status = async (): Promise<AuditStatus> => {
      const [head, { first }, newest] = await Promise.all([writer.head(), reader.bounds(), reader.newestCheckpoint()]);
      const point: unknown = newest === null ? null : JSON.parse(newest.body);
      const isPoint = typeof point === 'object' && point !== null && 'hash' in point && 'at' in point;
      return {
        state: writer.trouble === null ? 'recording' : 'unavailable',
        reason: writer.trouble,
        head: { seq: head.seq, hash: head.hash },
        firstSeq: first,
        chain: keys().chain,
        publicKey: keys().publicKey,
        checkpoint:
          newest !== null && isPoint
            ? { seq: newest.seq, hash: String(point.hash), at: String(point.at), signature: newest.signature }
            : null,
        verification: check?.last ?? null,
        isVerifying: check?.isRunning ?? false,
        mirrors: mirrors.map((mirror) => mirror.view()),
        settings: {
          retentionDays: settings.retentionDays,
          legalHold: settings.legalHold,
          requireMirror: settings.requireMirror,
          mirrorAlarm: settings.mirrorAlarm,
          breakGlass: settings.breakGlass,
          configFile: config.configFile,
        },
      };
    };

    /** Work that has its own time; what fails is tried again at the next one. */
    const every = async (ms: number, firstMs: number, signal: AbortSignal, act: () => Promise<unknown>) => {
      for (let waitMs = firstMs; !signal.aborted; waitMs = ms) {
        await nap(clock, waitMs, signal);
        if (signal.aborted) return;
        await act().catch((error: unknown) => log.warn({ err: error }, `audit upkeep failed: ${messageOf(error)}`));
      }
    };

    const metrics = (): MetricFamily[] => {
      const of = (name: string, type: MetricFamily['type'], help: string, value: number): MetricFamily => ({
        name,
        type,
        help,
        samples: [{ value }],
      });
      const views = mirrors.map((mirror) => mirror.view());
      return [
        of('hyper_audit_records_total', 'counter', 'Audit records written since the start.', writer.counts.recorded),
        of(
          'hyper_audit_groups_total',
          'counter',
          'Commits that took records of several requests.',
          writer.counts.groups,
        ),
        of(
          'hyper_audit_late_total',
          'counter',
          'Records that could not be written when they were due.',
          writer.counts.late,
        ),
        of(
          'hyper_audit_folded_total',
          'counter',
          'Refusals that were counted instead of recorded one by one.',
          fold.folded,
        ),
        of('hyper_audit_recording', 'gauge', '1 = what is done can be recorded.', writer.trouble === null ? 1 : 0),
        of('hyper_audit_head_seq', 'gauge', 'Number of the newest record.', headSeq),
        {
          name: 'hyper_audit_mirror_behind',
          type: 'gauge',
          help: 'Records that a mirror still has to get.',
          samples: views.map(({ name, behind }) => ({ labels: { mirror: name }, value: behind })),
        },
        {
          name: 'hyper_audit_mirror_up',
          type: 'gauge',
          help: '1 = the mirror takes records.',
          samples: views.map(({ name, error }) => ({ labels: { mirror: name }, value: error === null ? 1 : 0 })),
        },
      ];
    };

    return {
      api: {
        write: store.write,
        record: store.record,
        isCounting: store.isCounting,
        list: store.list,
        breakGlass,
        findUnanswered(isOpenOperation) {
          const search = async () => {
            const count = await unanswered.find(isOpenOperation);
            if (count > 0)
              log.error(
                { count },
                'changes were begun whose outcome is not known: hyperd ended before it was recorded',
              );
          };
          searching = search().catch((error: unknown) =>
            log.error({ err: error }, `changes without an outcome could not be looked for: ${messageOf(error)}`),
          );
        },
        problems: async () => auditProblems(await status(), await unanswered.recent()),
      },
      handlers: createAuditRoutes({
        reader,
        record: store.record,
        status,
        startCheck: () => void check?.run(lifetime),
        publicKey: () => keys().publicKey,
        version: VERSION,
        evidence: async () => {
          // The head that the report names is signed by itself too.
          await signHead();
          const { listen, trash, console: screens } = config;
          return evidenceOf(
            await status(),
            {
              listen,
              trashDays: trash.days,
              operatorSeesScreens: screens.operatorSeesScreens,
              mirrorFile: settings.mirrorFile,
              syslogTarget: settings.syslog === null ? null : `${settings.syslog.host}:${settings.syslog.port}`,
            },
            { at: clock.now(), host: hostname(), version: VERSION, keys: keys() },
          );
        },
      }),
      metrics,
      async start(signal) {
        const { publicKey } = keys();
        const targets: MirrorTarget[] = [
          ...(settings.mirrorFile === null ? [] : [fileTarget(settings.mirrorFile, publicKey)]),
          ...(settings.syslog === null ? [] : [syslogTarget(settings.syslog, db)]),
        ];
        if (settings.requireMirror && targets.length === 0)
          throw new Error('audit.requireMirror is on, but neither audit.mirrorFile nor audit.syslog is set.');
        const taken = await adoptOldRecords(db, writer);
        if (taken > 0) log.info({ taken }, 'older audit records were taken into the chain');
        await db
          .tables<AuditTables>()
          .insertInto('audit_key')
          .values({ id: 1, public_key: publicKey })
          .onConflict((conflict) => conflict.column('id').doUpdateSet({ public_key: publicKey }))
          .execute();
        headSeq = (await writer.head()).seq;
        mirrors = targets.map((target) =>
          createMirror({ target, reader, clock, log, headSeq: () => headSeq, alarmAt: settings.mirrorAlarm }),
        );
        lifetime = signal;
        const selfCheck = createSelfCheck({ reader, clock, log, publicKey });
        check = selfCheck;
        const wakeAll = () => {
          for (const mirror of mirrors) mirror.wake();
        };
        const checkpoints = createCheckpoints({ db, clock, log, keys: keys(), onMade: wakeAll });
        const retention = createRetention({ db, clock, calendar, log, keys: keys(), writer, settings });
        signHead = async () => checkpoints.final(await writer.head());
        const daily = async () => {
          await retention.run();
          await selfCheck.run(signal);
        };
        work = Promise.all([
          ...mirrors.map((mirror) => mirror.run(signal)),
          every(TICK_MS, TICK_MS, signal, async () => {
            await writer.tick();
            await checkpoints.due(await writer.head());
          }),
          every(DAY_MS, FIRST_CHECK_MS, signal, daily),
        ]);
      },
      async stop() {
        await work;
        await searching;
        // What the chain was when the daemon ended is signed too; a disk that fails now is no reason to stay.
        await signHead().catch((error: unknown) => log.warn({ err: error }, `no last checkpoint: ${messageOf(error)}`));
      },
    };
  },
});
