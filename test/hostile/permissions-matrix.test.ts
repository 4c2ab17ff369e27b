/** The permission matrix, made from the route table: every route × everybody × an object of one's own project, of another's, of the
 *  system's and of nobody's, on a real hyperd with a real libvirtd. What must come out is computed from the permission table; what one may
 *  not see must be answered as what is not there. Row E1. */

import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { allRoutes } from '#contract/api.ts';
import type { AuditRecord } from '#contract/audit.ts';
import type { RouteDefinition } from '#contract/define.ts';
import { mapLimit } from '#kernel/async.ts';
import type { Question, Reply } from '#test/support/asker.ts';
import { type Everybody, type Person, startEverybody, type Thing, ZEBRA } from '#test/support/everybody.ts';
import { missingForLibvirtd } from '#test/support/libvirtd.ts';
import {
  may,
  SYSTEM_PLACE,
  type Verdict,
  verdictOn,
  verdictOnList,
  verdictOnSystem,
} from '#test/support/policy-model.ts';
import { askedBy, EXPECTATIONS, PLAIN_PARAMS } from '#test/support/route-expectations.ts';

const skip = missingForLibvirtd() ?? false;
const AT_ONCE = 12;
/** Refused after all questions of rights and before anything is done. */
const STOPPER = { 'idempotency-key': 'not one word' };

let tenants: Everybody;

before(async () => {
  if (!skip) tenants = await startEverybody();
});
after(() => tenants?.close());

interface Case {
  readonly key: string;
  readonly definition: RouteDefinition;
  readonly person: Person;
  /** Null where the route names none. */
  readonly thing: Thing | null;
  readonly expected: Verdict;
}

interface Outcome extends Case {
  readonly reply: Reply;
}

const nameOf = ({ key, person, thing }: Case): string => `${key} by ${person.name}${thing ? ` on ${thing.whose}` : ''}`;

function casesOf(person: Person): Case[] {
  return allRoutes().flatMap(([key, definition]): Case[] => {
    const { permission, object, project, list } = definition;
    const about = (thing: Thing | null, expected: Verdict): Case => ({ key, definition, person, thing, expected });
    if (permission === undefined) return [about(null, 'allowed')];
    const type = object?.type ?? (project === undefined ? null : 'project');
    if (type !== null)
      return tenants.things[type].map((thing) => about(thing, verdictOn(person, permission, type, thing.place)));
    return [about(null, list === true ? verdictOnList(person, permission) : verdictOnSystem(person, permission))];
  });
}

function questionOf({ key, definition, thing }: Case): Question {
  const [method = 'GET', template = ''] = key.split(' ');
  const { body, query } = EXPECTATIONS[key] ?? {};
  const id = definition.object ? thing?.id : PLAIN_PARAMS[key];
  const path = template.replace(/\{\w+\}/, encodeURIComponent(id ?? 'missing'));
  const named = definition.project === 'body' ? { ...body, project: thing?.id } : body;
  return {
    method,
    path: query === undefined ? path : `${path}?${query}`,
    ...(named === undefined ? {} : { body: named }),
    isUpgrade: definition.raw === 'websocket',
  };
}

/** What an answer says, in the words of the model. */
function verdictOf({ status, json }: Reply): Verdict {
  if (status === 401 && json['code'] === 'not_signed_in') return 'not signed in';
  if (status === 403 && json['code'] === 'forbidden') return 'forbidden';
  if (status === 404 && json['code'] === 'not_found') return 'hidden';
  return 'allowed';
}

/** What a request that was let through comes to with the stopper. */
function stoppedWith({ definition, person }: Case): string {
  if (definition.stepUp === undefined) return 'invalid_input';
  if (person.token !== null) return 'token_cannot';
  // All who are signed in here did so a moment ago; on a local socket nobody signs in.
  const isFresh = definition.stepUp === 'or_fresh_sign_in' && person.userId !== 'local:operator';
  return isFresh ? 'invalid_input' : 'step_up_required';
}

/** Of one address few sign-ins are taken, and refusals beyond ten of them or sixty of others a minute are only counted: each asks from many. */
const OF_ONE_ADDRESS = 10;
const asked = new Map<string, number>();
function addressOf({ person, definition }: Case): { from?: string } {
  const isPublic = definition.permission === undefined;
  const who = isPublic || person.userId === null ? 'public' : person.name;
  const count = asked.get(who) ?? 0;
  asked.set(who, count + 1);
  const index = tenants.people.indexOf(person);
  return { from: `127.${who === 'public' ? 100 : index + 1}.${Math.floor(count / OF_ONE_ADDRESS)}.1` };
}
/** Has no address to ask from another one. */
const isFolded = ({ person }: Case): boolean => person.userId === 'local:operator';

test('E1: every route is in the reviewed table and asks for what it says there', () => {
  for (const [key, definition] of allRoutes()) {
    const expectation = EXPECTATIONS[key];
    assert.ok(expectation, `${key} has no line in test/support/route-expectations.ts: review it, then add it`);
    assert.equal(askedBy(definition), expectation.asks, key);
    if (definition.body !== undefined) {
      const sample = definition.project === 'body' ? { ...expectation.body, project: 'default' } : expectation.body;
      assert.ok(definition.body.safeParse(sample).success, `${key}: the sample body does not fit its schema`);
    }
    if (definition.params !== undefined && definition.object === undefined) assert.ok(PLAIN_PARAMS[key], key);
  }
  const known = new Set(allRoutes().map(([key]) => String(key)));
  for (const key of Object.keys(EXPECTATIONS)) assert.ok(known.has(key), `${key} is no route any more`);
});

test('E1: everybody gets exactly what the permission table gives him, on every route and object', {
  skip,
}, async () => {
  const cases = tenants.people.flatMap(casesOf);
  const before = await fingerprint();
  const startMs = performance.now();
  const outcomes = await mapLimit(
    cases,
    AT_ONCE,
    async (one): Promise<Outcome> => ({
      ...one,
      reply: await one.person.asker.ask({ ...questionOf(one), headers: STOPPER, ...addressOf(one) }),
    }),
  );
  const wrong = outcomes.flatMap((one) => {
    const { reply, expected } = one;
    const got = verdictOf(reply);
    if (got !== expected)
      return [`${nameOf(one)}: expected ${expected}, got ${reply.status} ${reply.text.slice(0, 200)}`];
    if (got === 'allowed' && reply.json['code'] !== stoppedWith(one))
      return [`${nameOf(one)}: expected ${stoppedWith(one)}, got ${reply.status} ${reply.text.slice(0, 200)}`];
    return [];
  });
  assert.deepEqual(wrong, []);
  // Compared as a whole first: a difference of long texts takes the runner long to print.
  const later = await fingerprint();
  if (later !== before) assert.deepEqual(later.split('\n'), before.split('\n'), 'no domain, no file, no row changed');
  assertHiddenAlike(outcomes);
  assertNoCanary(outcomes);
  await assertRecorded(outcomes);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(
    `# count: permission matrix: ${outcomes.length} answers of ${allRoutes().length} routes to ${tenants.people.length} identities in ${seconds} s; ${outcomes.filter(({ expected }) => expected !== 'allowed').length} refusals, each recorded once, nothing changed`,
  );
});

/** Restore points of the fixture are rows without files, and its repository is the copy of none: let through, and told so. */
const NO_FILES = /"code":"point_not_found"/;
const TOLD_OTHERWISE: Readonly<Record<string, RegExp>> = {
  'GET /restore-points/{id}/volumes': NO_FILES,
  'GET /restore-points/{id}/files': NO_FILES,
  'GET /restore-points/{id}/file': NO_FILES,
  'GET /repositories/{id}/copy': /is no copy of another repository/,
};

test('E1: what may be read is answered, and never names anything of a project without a right there', {
  skip,
}, async () => {
  const cases = tenants.people.flatMap(casesOf).filter(({ key, definition, expected }) => {
    return (
      key.startsWith('GET ') && expected === 'allowed' && definition.raw !== 'websocket' && definition.raw !== 'stream'
    );
  });
  const outcomes = await mapLimit(
    cases,
    AT_ONCE,
    async (one): Promise<Outcome> => ({ ...one, reply: await one.person.asker.ask(questionOf(one)) }),
  );
  const wrong = outcomes.flatMap((one) => {
    // Asked for the picture of a VM that is off, and the like: let through, and told so.
    const isTold = [200, 204, 409].includes(one.reply.status) || TOLD_OTHERWISE[one.key]?.test(one.reply.text) === true;
    return isTold ? [] : [`${nameOf(one)}: ${one.reply.status} ${one.reply.text.slice(0, 200)}`];
  });
  assert.deepEqual(wrong, []);
  assertNoCanary(outcomes);
  console.log(`# count: ${outcomes.length} readings allowed and answered, none with a name of a foreign project`);
});

/** An id of something that one may not see is answered as an id of nothing, but for the id itself. */
function assertHiddenAlike(outcomes: readonly Outcome[]): void {
  const bare = ({ reply, thing }: Outcome): string => {
    const { requestId: _own, ...problem } = reply.json;
    const { 'x-request-id': _id, 'content-length': _length, date: _date, ...headers } = reply.headers;
    const told = JSON.stringify(problem).replaceAll(thing?.id ?? '', '<id>');
    return `${reply.status} ${told} ${JSON.stringify(headers)}`;
  };
  const unknown = new Map(
    outcomes
      .filter(({ thing }) => thing?.whose === 'unknown')
      .map((one) => [`${one.person.name} ${one.key}`, bare(one)]),
  );
  let compared = 0;
  for (const one of outcomes) {
    if (one.expected !== 'hidden' || one.thing?.whose === 'unknown') continue;
    assert.equal(bare(one), unknown.get(`${one.person.name} ${one.key}`), nameOf(one));
    compared += 1;
  }
  assert.ok(compared > 0);
}

/** Whether somebody may know of the other project. */
const knowsZebra = ({ grants, token }: Person): boolean =>
  [...grants, ...(token ? [token] : [])].every(
    ({ scope }) => scope === 'all' || scope === `project:${tenants.zebra}`,
  ) && grants.length > 0;

function assertNoCanary(outcomes: readonly Outcome[]): void {
  const leaks = outcomes.flatMap((one) => {
    if (knowsZebra(one.person)) return [];
    // The id of the request is random letters, which may come to spell anything.
    const ownWords = [one.thing?.id ?? '\0', String(one.reply.json['requestId'] ?? '\0')];
    const text = ownWords.reduce((rest, word) => rest.replaceAll(word, ''), one.reply.text);
    const at = text.indexOf(ZEBRA);
    return at < 0 ? [] : [`${nameOf(one)}: …${text.slice(Math.max(0, at - 80), at + 40)}…`];
  });
  assert.deepEqual(leaks, []);
}

/** Every denied request has one record, and no other has one that says so. */
async function assertRecorded(outcomes: readonly Outcome[]): Promise<void> {
  const records = new Map<string, AuditRecord[]>();
  let cursor: string | undefined;
  do {
    const page = await tenants.daemon.admin('GET /audit', {
      query: { outcome: 'denied', ...(cursor === undefined ? {} : { cursor }) },
    });
    for (const record of page.items)
      if (record.requestId !== null) records.set(record.requestId, [...(records.get(record.requestId) ?? []), record]);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  const wrong = outcomes.flatMap((one) => {
    const found = records.get(String(one.reply.json['requestId'])) ?? [];
    const wanted = isDenied(one) ? 1 : 0;
    if (isFolded(one) && found.length <= wanted) return [];
    if (found.length !== wanted) return [`${nameOf(one)}: ${found.length} records instead of ${wanted}`];
    return found.every(
      ({ action, actor }) => action === one.key && (one.person.userId !== null || actor === 'stranger'),
    )
      ? []
      : [`${nameOf(one)}: ${JSON.stringify(found)}`];
  });
  assert.deepEqual(wrong, []);
  const folded = outcomes.filter((one) => isFolded(one) && records.has(String(one.reply.json['requestId'])));
  assert.ok(folded.length > 0, `${folded.length} refusals of the local socket are recorded`);
}

function isDenied({ reply, person, definition }: Outcome): boolean {
  if (reply.status === 401 || reply.status === 403) return true;
  if (reply.status !== 404 || definition.permission === undefined) return false;
  // For somebody who may do it everywhere an unknown id is a mistake; to anybody else it might be hidden.
  const everywhere = definition.permission === 'self.manage' ? 'access.manage' : definition.permission;
  return !may(person, everywhere, SYSTEM_PLACE);
}

/** Columns that tell when somebody or something was last seen. */
const VOLATILE = ['last_seen_at', 'last_used_at', 'seen_at', 'hits'];

const OF_THE_DAEMON =
  /^(audit|sqlite_|health_|calendar|usage|metric_count$|heal_(clock|case|act)$|alert$|alert_event|alert_mark|announced|notice_group|told_alert|delivery)/;

/** Everything that a request could change but the audit log: libvirt's objects, our files, our rows. */
async function fingerprint(): Promise<string> {
  const { libvirtd, daemon } = tenants;
  const names = (await libvirtd.virsh('list', '--all', '--name')).split('\n').filter((name) => name !== '');
  const definitions = await Promise.all(names.sort().map((name) => libvirtd.virsh('dumpxml', '--inactive', name)));
  const others = await Promise.all(
    [
      ['net-list', '--all'],
      ['pool-list', '--all'],
      ['vol-list', 'alpha-pool'],
    ].map((words) => libvirtd.virsh(...words)),
  );
  const files = (await readdir(daemon.stateDir, { recursive: true }))
    // Preflight makes its own guest in the scratch folder meanwhile, and figures are measured.
    .filter((name) => !/^(state\.db|metrics\.db|metrics-ticks|audit|log|scratch)/.test(name))
    .sort();
  const sizes = await Promise.all(
    files.map(async (name) => `${name} ${(await stat(join(daemon.stateDir, name))).size}`),
  );
  return JSON.stringify(
    { names, definitions, others, sizes, rows: rowsOf(join(daemon.stateDir, 'state.db')) },
    null,
    1,
  );
}

function rowsOf(file: string): Record<string, unknown[]> {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
    return Object.fromEntries(
      tables
        .map(({ name }) => String(name))
        // What the daemon notes of itself as time goes by is of no request; so are alerts, as that many sign-ins are refused here.
        .filter((name) => !OF_THE_DAEMON.test(name))
        .map((name) => [
          name,
          db
            .prepare(`SELECT * FROM "${name}" ORDER BY 1`)
            .all()
            .map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => !VOLATILE.includes(column)))),
        ]),
    );
  } finally {
    db.close();
  }
}
