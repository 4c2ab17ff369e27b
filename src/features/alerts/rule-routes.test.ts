import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { accessErrors } from '#contract/access.ts';
import { alertRuleSpecSchema } from '#contract/alert-rule-spec.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import type { FoundObject, ObjectRef } from '#platform/feature.ts';
import { createFakeMachine, type FakeDaemon, hostSample, startFakeDaemon, stateSample } from './fake-host.ts';
import { alertAsSeen } from './objects.ts';
import { removeOrphans } from './rule-changes.ts';
import { createRuleRoutes } from './rule-routes.ts';

registerErrors(accessErrors);

const AT = new Date(0);
const ofProject = (name: string, project: string | null) =>
  alertRuleSpecSchema.parse({ name, condition: 'vm_state != running', project });

async function withDaemon(
  work: (daemon: FakeDaemon, web1: string, again: () => Promise<FakeDaemon>) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-rules-'));
  const databaseFile = join(folder, 'state.db');
  const machine = createFakeMachine(['web1']);
  const open: FakeDaemon[] = [];
  const start = async () => {
    await open.at(-1)?.close();
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules: [] });
    open.push(daemon);
    return daemon;
  };
  try {
    await work(await start(), [...machine.vms.keys()][0] ?? '', start);
  } finally {
    await open.at(-1)?.close();
    await rm(folder, { recursive: true });
  }
}

/** The routes for somebody who holds all permissions in one project only. */
function routesOf({ rules, engine, store, commit }: FakeDaemon, mine: string) {
  const handlers = createRuleRoutes({
    registry: rules,
    engine,
    store,
    commit,
    channelExists: () => true,
    past: {
      figures: { read: () => assert.fail(), labelsOf: () => ({}) },
      masksWithin: async () => [],
      projectOf: () => undefined,
    },
    projects: { get: (id) => ({ id, name: id, number: 1, color: null, description: null }) as never },
    clock: { now: () => AT } as never,
    events: { emit: () => undefined } as never,
  });
  const holds = ({ project }: ObjectRef) => project === mine;
  return async (key: 'PATCH /rules/{id}' | 'DELETE /rules/{id}', id: string, body?: object) =>
    handlers[key]?.({
      params: { id },
      body,
      identity: { user: 'ann' },
      may: (_permission: string, object: ObjectRef) => holds(object),
      reach: () => ({ projects: [mine], vms: [] }),
      require(_permission: string, object: FoundObject) {
        if (!holds(object)) throw new AppError('forbidden');
      },
    } as never);
}

test('who may change the rules of a project does not move them to everywhere, nor to another project', () =>
  withDaemon(async (daemon) => {
    const { id } = await daemon.rules.create(ofProject('mine', 'p1'), 'ann', AT);
    const ask = routesOf(daemon, 'p1');
    await assert.rejects(ask('PATCH /rules/{id}', id, { project: null }), { code: 'forbidden' });
    await assert.rejects(ask('PATCH /rules/{id}', id, { project: 'p2' }), { code: 'forbidden' });
    assert.equal(daemon.rules.get(id)?.spec.project, 'p1');
    await ask('PATCH /rules/{id}', id, { project: 'p1', severity: 'critical' });
    assert.equal(daemon.rules.get(id)?.spec.severity, 'critical');
  }));

test('a rule that comes with the program and was given to a project is not put back everywhere by its members', () =>
  withDaemon(async (daemon) => {
    await daemon.rules.change('vm_down', { project: 'p1' }, 'root', AT, daemon.commit);
    await assert.rejects(routesOf(daemon, 'p1')('DELETE /rules/{id}', 'default:vm_down'), { code: 'forbidden' });
    assert.equal(daemon.rules.get('vm_down')?.spec.project, 'p1');
  }));

test('a changed rule and the end of its alerts are on the disk together or not at all', () =>
  withDaemon(async (daemon, web1, again) => {
    const { id } = await daemon.rules.create(ofProject('down', null), 'ann', AT);
    for (let n = 0; n < 3; n += 1) await daemon.tick([hostSample('libvirt_up', 1), stateSample(web1, 'crashed')]);
    assert.deepEqual(
      daemon.engine.all().map(({ state }) => state),
      ['firing'],
    );
    // The process ends between the two.
    await assert.rejects(
      daemon.rules.change(id, { condition: 'vm_state == paused' }, 'ann', AT, (before, after, write) =>
        daemon.commit(before, after, async (tx) => {
          await write(tx);
          throw new Error('killed');
        }),
      ),
    );
    assert.equal(daemon.rules.get(id)?.spec.condition, 'vm_state != running');
    const next = await again();
    assert.equal(next.rules.get(id)?.spec.condition, 'vm_state != running');
    assert.deepEqual(
      next.engine.all().map(({ state }) => state),
      ['firing'],
    );
    await next.rules.change(id, { condition: 'vm_state == paused' }, 'ann', AT, next.commit);
    assert.deepEqual(
      next.engine.all().filter(({ state }) => state !== 'ok'),
      [],
    );
    const last = await again();
    assert.equal(last.rules.get(id)?.spec.condition, 'vm_state == paused');
    assert.deepEqual(
      last.engine.all().filter(({ state }) => state !== 'ok'),
      [],
    );
  }));

test('rules of projects that are gone go with their alerts; others stay', () =>
  withDaemon(async (daemon) => {
    await daemon.rules.create(ofProject('gone', 'p1'), 'ann', AT);
    await daemon.rules.create(ofProject('kept', 'p2'), 'ann', AT);
    await daemon.rules.create(ofProject('everywhere', null), 'ann', AT);
    await daemon.rules.change('vm_down', { project: 'p1' }, 'root', AT, daemon.commit);
    const gone = await removeOrphans(daemon.rules, (id) => id === 'p2', daemon.commit);
    assert.deepEqual(gone.map(({ spec }) => spec.name).sort(), ['gone', 'vm_down']);
    assert.equal(daemon.rules.get('gone'), null);
    assert.equal(daemon.rules.get('kept')?.spec.project, 'p2');
    assert.equal(daemon.rules.get('vm_down')?.origin, 'default');
  }));

test('the condition is shown to those who see the rule: of their project, or one that comes with the program', () =>
  withDaemon(async (daemon, web1) => {
    await daemon.rules.create(ofProject('of_project', 'default'), 'ann', AT);
    await daemon.rules.create(ofProject('of_system', null), 'ann', AT);
    for (let n = 0; n < 3; n += 1) await daemon.tick([hostSample('libvirt_up', 1), stateSample(web1, 'crashed')]);
    const seen = daemon.engine
      .all()
      .map((alert) => alertAsSeen(alert, (_permission, { project }) => project === 'default').rule)
      .map(({ name, condition }) => `${name} ${condition === null ? 'hidden' : 'shown'}`);
    assert.deepEqual(seen.sort(), ['of_project shown', 'of_system hidden']);
    const [alert] = daemon.engine.all();
    const shipped = daemon.rules.get('vm_down');
    assert.ok(alert !== undefined && shipped !== null);
    const ofShipped = {
      ...alert,
      rule: { ...alert.rule, name: 'vm_down', condition: shipped.spec.condition, project: null },
    };
    assert.notEqual(alertAsSeen(ofShipped, (_permission, { sharedWith }) => sharedWith === 'all').rule.condition, null);
  }));

test('backtests come one after the other, and one whose client went away is not begun', async () => {
  const waiting: (() => void)[] = [];
  const handlers = createRuleRoutes({
    registry: {} as never,
    engine: { all: () => [] },
    store: { lastFiredMs: async () => null },
    commit: () => assert.fail('nothing changes'),
    channelExists: () => true,
    past: {
      figures: {
        read: () => new Promise((resolve) => waiting.push(() => resolve({ stepMs: 10_000, tier: 'raw', series: [] }))),
        labelsOf: () => ({}),
      },
      masksWithin: async () => [],
      projectOf: () => undefined,
    },
    projects: { get: () => null },
    clock: { now: () => new Date(86_400_000) } as never,
    events: { emit: () => undefined } as never,
  });
  const gone = new AbortController();
  const ask = async (signal: AbortSignal) =>
    handlers['POST /rules/backtest']?.({ body: { rule: ofProject('down', null) }, signal } as never);
  const first = ask(new AbortController().signal);
  const second = ask(gone.signal);
  const third = ask(new AbortController().signal);
  gone.abort(new Error('went away'));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await turn();
  let most = 0;
  const done = Promise.all([first, assert.rejects(second, { message: 'went away' }), third]);
  let isOver = false;
  const over = done.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    most = Math.max(most, waiting.length);
    waiting.shift()?.();
    await turn();
  }
  await over;
  assert.equal(most, 1);
});
