/** The policy function over a large directory, and the check of a session, each beside the least that any answer would cost. */

import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUILT_IN_ROLE_NAMES, PERMISSIONS } from '#contract/permissions.ts';
import { createDirectory, directoryMigration, FIRST_ADMIN, type Snapshot } from '#features/access/directory.ts';
import { decideBy } from '#features/access/policy.ts';
import { createRights } from '#features/access/rights.ts';
import { createSessions, sessionMigration } from '#features/access/sessions.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import { type ObjectRef, SYSTEM } from '#platform/feature.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { median } from './figures.ts';

const USERS = 1000;
const PROJECTS = 200;
const GROUPS = 100;
const GRANTS_OF_A_USER = 5;
const ROUNDS = 40;
const QUESTIONS = 10_000;
const SESSIONS = 1000;

/** Microseconds that one call takes: the median of many rounds. */
function microseconds(calls: number, rounds: number, call: (n: number) => unknown): number {
  const samples: number[] = [];
  let answers = 0;
  for (let round = 0; round < rounds; round += 1) {
    const startMs = performance.now();
    for (let n = 0; n < calls; n += 1) if (call(n + round * calls) !== undefined) answers += 1;
    samples.push(((performance.now() - startMs) * 1000) / calls);
  }
  if (answers === 0) throw new Error('nothing was answered');
  return median(samples);
}

/** A thousand users, each with roles of his own and by a group, on two hundred projects. */
function largeDirectory(version: number): Snapshot {
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
  const grant = (subjectType: 'user' | 'group', subjectId: string, n: number) => ({
    id: `grant-${subjectId}-${n}`,
    subjectType,
    subjectId,
    role: BUILT_IN_ROLE_NAMES[1 + (n % (BUILT_IN_ROLE_NAMES.length - 1))] ?? 'operator',
    scope: `project:prj-${(n * 7) % PROJECTS}`,
    project: `prj-${(n * 7) % PROJECTS}`,
    source: 'local',
    createdAt: '',
    createdBy: 'root',
  });
  const grants = [
    ...numbers(USERS).flatMap((user) => numbers(GRANTS_OF_A_USER).map((n) => grant('user', `usr-${user}`, user + n))),
    ...numbers(GROUPS).map((group) => grant('group', `grp-${group}`, group)),
  ];
  return {
    version,
    users: new Map(
      numbers(USERS).map((n) => [
        `usr-${n}`,
        {
          id: `usr-${n}`,
          name: `user${n}`,
          title: null,
          isDisabled: false,
          source: 'local',
          idleMinutes: null,
          createdAt: '',
          lastSignInAt: null,
        },
      ]),
    ),
    userIds: new Map(),
    groups: new Map(numbers(GROUPS).map((n) => [`grp-${n}`, { id: `grp-${n}`, name: `group${n}`, title: null }])),
    roles: new Map(),
    grants: new Map(grants.map((one) => [one.id, one])),
    groupsOf: new Map(numbers(USERS).map((n) => [`usr-${n}`, new Set([`grp-${n % GROUPS}`])])),
  };
}

export function measureDecisions(): Measurement[] {
  let snapshot = largeDirectory(1);
  const rights = createRights(() => snapshot, true);
  const objects: ObjectRef[] = Array.from({ length: 1000 }, (_, n) => ({
    type: 'vm',
    id: `vm-${n}`,
    vmId: `vm-${n}`,
    project: `prj-${n % PROJECTS}`,
  }));
  const decide = (n: number) => {
    const user = `usr-${n % USERS}`;
    const permission = PERMISSIONS[n % PERMISSIONS.length] ?? 'vm.read';
    return decideBy(user, rights.of(user), null, permission, objects[(n * 13) % objects.length] ?? SYSTEM);
  };
  for (let n = 0; n < USERS * 20; n += 1) decide(n);
  const ours = microseconds(QUESTIONS, ROUNDS, decide);
  // The least that an answer could take: all answers made beforehand, and looked up by one text.
  const answers = new Map<string, boolean>();
  const keyOf = (n: number) =>
    `usr-${n % USERS} ${PERMISSIONS[n % PERMISSIONS.length]} vm-${(n * 13) % objects.length}`;
  for (let n = 0; n < QUESTIONS * ROUNDS; n += 1) answers.set(keyOf(n), true);
  const rival = microseconds(QUESTIONS, ROUNDS, (n) => answers.get(keyOf(n)));

  // After a change everything that was known of users is worked out anew, when they ask.
  const fresh: number[] = [];
  for (let round = 0; round < 50; round += 1) {
    snapshot = { ...snapshot, version: snapshot.version + 1 };
    const startMs = performance.now();
    decide(round);
    fresh.push((performance.now() - startMs) * 1000);
  }
  const size = `${USERS} users and ${snapshot.grants.size} grants`;
  return [
    {
      name: `policy decision with ${size} | a look-up of answers made beforehand`,
      ours,
      rival,
      ratio: ours / rival,
      bar: '≤ 20 µs',
      unit: 'µs',
    },
    {
      name: `first decision for a user after a change of grants, ${size}`,
      ours: median(fresh),
      rival: null,
      ratio: null,
      bar: '–',
      unit: 'µs',
    },
  ];
}

export async function measureSessions(): Promise<Measurement[]> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-bench-access-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('access', [sessionMigration, directoryMigration]);
  const directory = createDirectory(
    db,
    () => undefined,
    () => undefined,
  );
  await directory.load();
  const sessions = createSessions({
    db,
    clock: systemClock,
    log: silentLogger,
    directory,
    rights: createRights(directory.snapshot, true),
  });
  try {
    const secrets: string[] = [];
    for (let n = 0; n < SESSIONS; n += 1) {
      const from = { address: '192.0.2.1', userAgent: 'bench' };
      secrets.push((await sessions.begin({ userId: FIRST_ADMIN, method: 'link' }, from)).secret);
    }
    const secretOf = (n: number) => secrets[n % SESSIONS] ?? '';
    const ours = microseconds(QUESTIONS, ROUNDS, (n) => sessions.authenticate(secretOf(n), '192.0.2.1') ?? undefined);
    const rival = microseconds(QUESTIONS, ROUNDS, (n) => createHash('sha256').update(secretOf(n)).digest('hex'));
    return [
      {
        name: `session check among ${SESSIONS} | SHA-256 of its secret`,
        ours: ours / 1000,
        rival: rival / 1000,
        ratio: ours / rival,
        bar: '≤ 0.2 ms',
        unit: 'ms',
      },
    ];
  } finally {
    await sessions.stop();
    await db.close();
    await rm(dir, { recursive: true, maxRetries: 20, retryDelay: 100 });
  }
}
