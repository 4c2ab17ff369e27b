import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { metricsErrors } from '#contract/metrics.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { createReader } from '../query/read.ts';
import { type FakeMachine, fakeMachine, HOST, type Sample, vmOwner } from './fake-machine.ts';
import { openMetricsFile } from './file.ts';

registerErrors(metricsErrors);
const HOUR_MS = 3_600_000;
const cpu = (value: number | null, n = 1): Sample => ({ owner: vmOwner(n), kind: 'vm', metric: 'cpu_usage', value });

/** All samples of a figure of a VM as they were measured, from disk and memory. */
async function samples(
  machine: FakeMachine,
  metric: Sample['metric'] = 'cpu_usage',
  n = 1,
): Promise<[number, number | null][]> {
  const read = createReader(machine.history);
  const owner = machine.history.book.recall(vmOwner(n));
  const { series } = await read({ metric, owners: owner === null ? [] : [owner], fromMs: 0, toMs: 9e12 });
  return series.flatMap(({ atMs, avg }) => atMs.map((at, n): [number, number | null] => [at, avg[n] ?? null]));
}

/** Ticks with a value that says which tick it was. */
async function run(
  machine: FakeMachine,
  ticks: number,
  value = (n: number) => (n % 1000) / 1000,
): Promise<[number, number][]> {
  const expected: [number, number][] = [];
  for (let n = 0; n < ticks; n += 1) {
    await machine.tick([cpu(value(n))]);
    expected.push([machine.clock.now().getTime(), value(n)]);
  }
  return expected;
}

test('what was measured comes back as it was, over hours and restarts', async () => {
  using machine = await fakeMachine();
  const expected = await run(machine, 400);
  await machine.restart();
  expected.push(...(await run(machine, 100)));
  await machine.restart('crash');
  expected.push(...(await run(machine, 450)));
  assert.deepEqual(await samples(machine), expected);
  assert.deepEqual(machine.warnings, []);
});

test('a window holds the last hour after a restart too, and older time from the disk', async () => {
  using machine = await fakeMachine();
  const expected = await run(machine, 800);
  await machine.restart('crash');
  const [series] = machine.history.book.ofMetric('cpu_usage');
  assert.ok(series);
  for (const hours of [0.5, 1, 2]) {
    const { atMs, values } = machine.memory.window(series.id, hours * HOUR_MS);
    const wanted = expected.slice(-Math.min(hours * 360 + 1, 800));
    assert.deepEqual(
      values.slice(-hours * 360),
      wanted.slice(-hours * 360).map(([, value]) => value),
    );
    assert.deepEqual(
      atMs.slice(-hours * 360),
      wanted.slice(-hours * 360).map(([at]) => at),
    );
  }
  assert.equal(machine.memory.latest(series.id)?.value, expected.at(-1)?.[1]);
});

test('a figure that was not measured is missing, never 0', async () => {
  using machine = await fakeMachine();
  for (let n = 0; n < 400; n += 1) await machine.tick([cpu(n % 3 === 0 ? null : 0.5), cpu(Number.NaN, 2)]);
  assert.ok((await samples(machine)).every(([, value]) => value === 0.5));
  assert.equal((await samples(machine)).length, 266);
  assert.deepEqual(await samples(machine, 'cpu_usage', 2), []);
});

test('rollups say what the samples came to', async () => {
  using machine = await fakeMachine();
  await run(machine, 3 * 360, (n) => (n % 360) / 1000);
  const read = createReader(machine.history);
  const owners = [machine.history.book.owner(vmOwner(1))];
  const [fromMs, toMs] = [Date.parse('2026-03-01T11:00:00Z'), Date.parse('2026-03-01T11:59:59.999Z')];
  const raw = await read({ metric: 'cpu_usage', owners, fromMs, toMs });
  const wide = await read({ metric: 'cpu_usage', owners, fromMs: fromMs - HOUR_MS, toMs: toMs + 1, points: 24 });
  assert.equal(wide.tier, '5m');
  const fives = wide.series[0]?.avg.slice(12, 24) ?? [];
  for (const [n, value] of fives.entries()) {
    const within = raw.series[0]?.avg.slice(n * 30, n * 30 + 30) ?? [];
    const mean = within.reduce((sum: number, each) => sum + (each ?? 0), 0) / within.length;
    assert.ok(Math.abs((value ?? -1) - mean) < 1e-4, `bucket ${n}: ${value} for ${mean}`);
    assert.equal(wide.series[0]?.max[12 + n], Math.max(...within.map((each) => each ?? 0)));
  }
  const hours = await read({ metric: 'cpu_usage', owners, fromMs: fromMs - HOUR_MS, toMs: toMs + HOUR_MS, points: 2 });
  assert.equal(hours.tier, '1h');
  assert.equal(hours.series[0]?.max[1], 0.359);
});

test('days are put together and hold the same', async () => {
  using machine = await fakeMachine(new Date('2026-03-01T22:00:00Z'));
  await run(machine, 2 * 360 + 10);
  const count = () => {
    const file = new DatabaseSync(machine.path, { readOnly: true });
    const rows = file.prepare('SELECT tier, hours, count(*) AS n FROM rollup GROUP BY tier, hours').all();
    file.close();
    return rows.map((row) => [row['tier'], row['hours'], row['n']]);
  };
  assert.deepEqual(count(), [
    [300, 24, 1],
    [3600, 24, 1],
  ]);
  const read = createReader(machine.history);
  const [fromMs, toMs] = [Date.parse('2026-03-01T00:00:00Z'), Date.parse('2026-03-02T00:00:00Z')];
  const result = await read({
    metric: 'cpu_usage',
    owners: [machine.history.book.owner(vmOwner(1))],
    fromMs,
    toMs,
    points: 24,
  });
  assert.equal(result.tier, '1h');
  assert.deepEqual(result.series[0]?.max.slice(22, 24), [0.358, 0.718]);
});

test('a clock that is set back stores nothing twice and loses nothing that was measured first', async () => {
  using machine = await fakeMachine();
  const first = await run(machine, 700);
  machine.clock.jumpWall(-HOUR_MS);
  await run(machine, 400, () => 0.9);
  await machine.restart('crash');
  const found = await samples(machine);
  const times = found.map(([at]) => at);
  assert.deepEqual(
    times,
    [...new Set(times)].sort((a, b) => a - b),
  );
  const byTime = new Map(found);
  for (const [at, value] of first) assert.equal(byTime.get(at), value);
  // 400 ticks, an hour back: forty of them are new.
  assert.equal(found.length, first.length + 40);
});

test('what an earlier life wrote of the present hour stays first, when the clock was set back before the start too', async () => {
  for (const later of ['the hour goes on', 'the clock is set right']) {
    using machine = await fakeMachine();
    const first = await run(machine, 300);
    machine.clock.jumpWall(-HOUR_MS / 2);
    await machine.restart('crash');
    await run(machine, 10, () => 0.999);
    if (later === 'the clock is set right') machine.clock.jumpWall(HOUR_MS);
    await run(machine, 300, () => 0.999);
    await machine.restart('crash');
    const found = new Map(await samples(machine));
    for (const [at, value] of first) assert.equal(found.get(at), value, later);
  }
});

test('a start that could not read the disk loses nothing of the hour', async () => {
  using machine = await fakeMachine();
  const expected = await run(machine, 100);
  machine.settings.diskAnswers = () => Promise.reject(new AppError('unavailable', { detail: 'the disk is silent' }));
  await machine.restart('crash');
  machine.settings.diskAnswers = async () => undefined;
  expected.push(...(await run(machine, 400)));
  await machine.restart('crash');
  assert.deepEqual(await samples(machine), expected);
});

test('an hour that the ring lost, while the clock was back in it, comes from the log', async () => {
  using machine = await fakeMachine(new Date('2026-03-01T11:00:00Z'));
  const first = await run(machine, 300);
  machine.settings.diskAnswers = () => Promise.reject(new AppError('unavailable', { detail: 'the disk is silent' }));
  machine.clock.jumpWall(-HOUR_MS);
  await run(machine, 160, () => 0.999);
  machine.settings.diskAnswers = async () => undefined;
  machine.clock.jumpWall(-HOUR_MS / 4);
  await run(machine, 150, () => 0.999);
  machine.clock.jumpWall(HOUR_MS);
  await run(machine, 5, () => 0.999);
  await machine.restart('crash');
  const found = new Map(await samples(machine));
  for (const [at, value] of first) assert.equal(found.get(at), value);
});

test('an hour into which the clock is set back while it is written stays in the log', async () => {
  using machine = await fakeMachine();
  const expected = await run(machine, 300);
  machine.clock.jumpWall(HOUR_MS / 4);
  machine.settings.diskAnswers = () => Promise.reject(new AppError('unavailable', { detail: 'the disk is silent' }));
  await machine.restart('crash');
  machine.settings.diskAnswers = async () => undefined;
  const take = async () => {
    const { sink, close } = machine.intake.open();
    sink.put(vmOwner(1), 'vm', '', 'cpu_usage', 0.5);
    const tick = Math.round(machine.clock.now().getTime() / 10_000);
    machine.history.take(close(), tick, machine.clock.monotonicMs());
    await machine.history.persist();
    expected.push([tick * 10_000, 0.5]);
  };
  await machine.clock.advance(60_000);
  await take();
  const work = machine.history.maintain(true);
  machine.clock.jumpWall(-HOUR_MS / 5);
  await take();
  await work;
  await machine.restart('crash');
  const found = new Map(await samples(machine));
  for (const [at, value] of expected) assert.equal(found.get(at), value);
});

test('while hours cannot be written that is told until they can, though ticks are', async () => {
  using machine = await fakeMachine();
  await run(machine, 350);
  const other = new DatabaseSync(machine.path);
  other.exec('BEGIN IMMEDIATE');
  const expected = await run(machine, 15);
  for (let n = 0; n < 3; n += 1) {
    expected.push(...(await run(machine, 1)));
    assert.equal(machine.history.troubles()[0]?.kind, 'not_written');
  }
  assert.equal(machine.warnings.length, 1);
  other.exec('ROLLBACK');
  other.close();
  expected.push(...(await run(machine, 12)));
  assert.deepEqual(machine.history.troubles(), []);
  assert.deepEqual((await samples(machine)).slice(-30), expected);
});

test('durations do not care for a clock that is set', async () => {
  using machine = await fakeMachine();
  await run(machine, 30, () => 0.1);
  const [series] = machine.history.book.ofMetric('cpu_usage');
  assert.ok(series);
  for (const jumpMs of [-HOUR_MS, 365 * 24 * HOUR_MS, -365 * 24 * HOUR_MS]) {
    machine.clock.jumpWall(jumpMs);
    await run(machine, 3, () => 0.2);
    assert.equal(machine.memory.window(series.id, 5 * 60_000).values.length, 30);
    assert.equal(machine.memory.latest(series.id)?.ageMs, 0);
  }
});

test('a year ahead and back again deletes nothing, and what was written there goes', async () => {
  using machine = await fakeMachine();
  const before = await run(machine, 400);
  machine.clock.jumpWall(365 * 24 * HOUR_MS);
  machine.settings.isDateBelieved = false;
  await run(machine, 400, () => 0.7);
  machine.clock.jumpWall(-365 * 24 * HOUR_MS);
  await run(machine, 10, () => 0.8);
  assert.ok((await samples(machine)).some(([at]) => at > Date.parse('2027-01-01')));
  machine.settings.isDateBelieved = true;
  await run(machine, 1, () => 0.8);
  const after = await samples(machine);
  assert.deepEqual(after.slice(0, before.length), before);
  assert.ok(after.every(([at]) => at < Date.parse('2027-01-01')));
});

test('each tier forgets what is older than its time', async () => {
  using machine = await fakeMachine();
  machine.settings.limits = { rawDays: 1, fiveMinuteDays: 2, hourDays: 3, maxBytes: 2 ** 32 };
  const oldest = () => {
    const file = new DatabaseSync(machine.path, { readOnly: true });
    const hour = (sql: string) => Number(file.prepare(sql).get()?.['hour']);
    const found = [
      hour('SELECT min(hour) AS hour FROM chunk'),
      hour('SELECT min(hour) AS hour FROM rollup WHERE tier = 300'),
      hour('SELECT min(hour) AS hour FROM rollup WHERE tier = 3600'),
    ];
    file.close();
    return found;
  };
  // Few ticks an hour make the same hours.
  for (let hour = 0; hour < 5 * 24; hour += 1) {
    await run(machine, 2);
    await machine.clock.advance(HOUR_MS - 20_000);
  }
  const now = Math.floor(machine.clock.now().getTime() / HOUR_MS) - 1;
  const [raw = 0, five = 0, hours = 0] = oldest();
  assert.equal(raw, now - 24);
  // Rows of a whole day go when their last hour does.
  assert.ok(now - five >= 48 && now - five < 72, `${now - five}`);
  assert.ok(now - hours >= 72 && now - hours < 96, `${now - hours}`);
  machine.settings.limits = { ...machine.settings.limits, rawDays: 1, fiveMinuteDays: 1, hourDays: 1 };
  machine.settings.isDateBelieved = false;
  await run(machine, 2);
  assert.deepEqual(oldest(), [raw, five, hours]);
});

test('a file that gets too large loses its oldest samples first, and shrinks', async () => {
  using machine = await fakeMachine();
  const wide = Array.from({ length: 60 }, (_, n) => n + 1);
  const noisy = () =>
    wide.flatMap((n) => [
      cpu(Math.random(), n),
      { ...cpu(null, n), metric: 'mem_used' as const, value: Math.floor(Math.random() * 1e12) },
    ]);
  for (let n = 0; n < 3 * 360; n += 1) await machine.tick(noisy());
  const { usedBytes: whole } = usedOf(machine);
  assert.ok(whole > 300_000, `${whole}`);
  machine.settings.limits = { ...machine.settings.limits, maxBytes: whole / 2 };
  // It is looked after once an hour.
  for (let n = 0; n < 360; n += 1) await machine.tick([cpu(0.5)]);
  const { usedBytes } = usedOf(machine);
  assert.ok(usedBytes <= whole / 2, `${usedBytes} of ${whole}`);
  const raw = await samples(machine);
  assert.ok(raw.length > 0 && (raw[0]?.[0] ?? 0) > Date.parse('2026-03-01T10:59:00Z'));
});

function usedOf(machine: FakeMachine): { usedBytes: number } {
  const file = new DatabaseSync(machine.path, { readOnly: true });
  const pragma = (name: string) => Number(file.prepare(`PRAGMA ${name}`).get()?.[name]);
  const usedBytes = (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
  file.close();
  return { usedBytes };
}

test('a damaged block loses only itself, and is told of', async () => {
  using machine = await fakeMachine();
  const expected = await run(machine, 3 * 360);
  for (let n = 0; n < 1; n += 1) await machine.tick([cpu(0.5), cpu(0.5, 2)]);
  machine.history.close();
  const file = new DatabaseSync(machine.path);
  const row = file.prepare('SELECT id, hour, bytes FROM chunk ORDER BY hour LIMIT 1 OFFSET 1').get();
  assert.ok(row?.['bytes'] instanceof Uint8Array);
  const bytes = Uint8Array.from(row['bytes']);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
  file.prepare('UPDATE chunk SET bytes = ? WHERE id = ?').run(bytes, Number(row['id']));
  file.close();
  await machine.restart('crash');
  const hour = Number(row['hour']) * HOUR_MS;
  const found = new Map(await samples(machine));
  for (const [at, value] of expected)
    assert.equal(found.get(at), at >= hour && at < hour + HOUR_MS ? undefined : value);
  assert.ok(machine.warnings.some((text) => /damaged/.test(text)));
  assert.deepEqual(machine.history.troubles(), [{ kind: 'damaged', blocks: 1 }]);
});

test('a log of another file is not taken for ours: the numbers of its series mean something else', async () => {
  using machine = await fakeMachine();
  await machine.tick([cpu(0.1, 1), cpu(0.2, 2)]);
  machine.history.close();
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${machine.path}${suffix}`, { force: true });
  // As if the daemon that made the new one was killed before it did anything else.
  openMetricsFile(machine.path).close();
  await machine.restart('crash');
  assert.deepEqual(await samples(machine, 'cpu_usage', 1), []);
  await machine.tick([cpu(0.3, 2)]);
  await machine.restart('crash');
  assert.deepEqual(
    (await samples(machine, 'cpu_usage', 2)).map(([, value]) => value),
    [0.3],
  );
  assert.deepEqual(await samples(machine, 'cpu_usage', 1), []);
});

test('a file of version 1, which held the log, goes on with all that is in blocks', async () => {
  using machine = await fakeMachine();
  const expected = await run(machine, 400);
  const hour = Math.floor(machine.clock.now().getTime() / HOUR_MS) * HOUR_MS;
  machine.history.close();
  const file = new DatabaseSync(machine.path);
  file.exec(
    'CREATE TABLE tick(at INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT; ALTER TABLE meta DROP COLUMN id; UPDATE meta SET version = 1',
  );
  file.close();
  await machine.restart('crash');
  assert.deepEqual(
    await samples(machine),
    expected.filter(([at]) => at < hour),
  );
  assert.deepEqual(machine.history.troubles(), []);
  const after = await run(machine, 5);
  await machine.restart('crash');
  assert.deepEqual((await samples(machine)).slice(-5), after);
});

test('a file that is no history is put aside, and figures go on', async () => {
  using machine = await fakeMachine();
  await run(machine, 20);
  machine.history.close();
  writeFileSync(machine.path, Buffer.alloc(100_000, 0x5a));
  await machine.restart('crash');
  assert.ok(existsSync(`${machine.path}.bad`));
  assert.equal(machine.history.troubles()[0]?.kind, 'aside');
  const after = await run(machine, 20);
  assert.deepEqual(await samples(machine), after);
});

test('a file that gets damaged while it is used is put aside; memory and its series stay', async () => {
  using machine = await fakeMachine();
  await run(machine, 100);
  const [before] = machine.history.book.ofMetric('cpu_usage');
  assert.ok(before);
  damagePage(machine.path, 'chunk');
  await run(machine, 300);
  assert.equal(machine.history.troubles()[0]?.kind, 'aside');
  assert.equal(machine.history.book.ofMetric('cpu_usage')[0]?.id, before.id);
  assert.equal(machine.memory.window(before.id, HOUR_MS).values.length, 360);
  await machine.restart('crash');
  assert.equal(machine.history.book.ofMetric('cpu_usage')[0]?.id, before.id);
  assert.ok((await samples(machine)).length >= 298);
});

/** Overwrites the first page of a table, as a disk does that goes bad, and makes others forget what they know of the file. */
function damagePage(path: string, table: string): void {
  const other = new DatabaseSync(path);
  const page = Number(other.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').get(table)?.['rootpage']);
  const bytes = Number(other.prepare('PRAGMA page_size').get()?.['page_size']);
  other.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(bytes, 0x5a), 0, bytes, (page - 1) * bytes);
  closeSync(file);
  other.exec('UPDATE meta SET version = version');
  other.close();
}

test('while nothing can be written memory goes on; afterwards the hour is whole', async () => {
  using machine = await fakeMachine();
  const expected = await run(machine, 100);
  machine.settings.diskAnswers = () => Promise.reject(new AppError('unavailable', { detail: 'the disk is silent' }));
  expected.push(...(await run(machine, 200)));
  assert.equal(machine.history.troubles()[0]?.kind, 'not_written');
  const [series] = machine.history.book.ofMetric('cpu_usage');
  assert.equal(machine.memory.window(series?.id ?? 0, HOUR_MS).values.length, 300);
  machine.settings.diskAnswers = async () => undefined;
  expected.push(...(await run(machine, 100)));
  assert.deepEqual(machine.history.troubles(), []);
  assert.deepEqual(await samples(machine), expected);
});

test('figures that hold are repeated each minute, and known after a restart', async () => {
  using machine = await fakeMachine();
  const crash: Sample = { owner: vmOwner(1), kind: 'vm', metric: 'vm_crash_total', value: 2 };
  await machine.tick([crash]);
  await run(machine, 30);
  const [series] = machine.history.book.ofMetric('vm_crash_total');
  assert.ok(series);
  assert.ok((machine.memory.latest(series.id)?.ageMs ?? 1e9) < 60_000);
  assert.equal(machine.memory.window(series.id, 300_000).values.length, 5);
  await machine.restart('crash');
  await run(machine, 12);
  assert.equal(machine.memory.latest(series.id)?.value, 2);
  assert.ok((machine.memory.latest(series.id)?.ageMs ?? 1e9) < 60_000);
});

test('a guest that shows ever new file systems gets no more than its share, and one warning', async () => {
  using machine = await fakeMachine();
  for (let n = 0; n < 50; n += 1)
    await machine.tick([
      cpu(0.5),
      cpu(0.5, 2),
      ...Array.from(
        { length: 20 },
        (_, each): Sample => ({
          owner: vmOwner(1),
          kind: 'guestfs',
          sub: `/mnt/${n}/${each}`,
          metric: 'disk_used',
          value: 1,
        }),
      ),
    ]);
  assert.equal(machine.history.book.owner(vmOwner(1)).entries.length, 200);
  assert.equal(machine.intake.counts.dropped, 50 * 20 - 199);
  assert.equal(machine.warnings.length, 1);
  assert.equal((await samples(machine, 'cpu_usage', 2)).length, 50);
});

test('numbers that cannot be kept exactly are refused and counted', async () => {
  using machine = await fakeMachine();
  const one = (metric: Sample['metric'], value: number): Sample => ({ owner: vmOwner(1), kind: 'vm', metric, value });
  await machine.tick([
    one('mem_used', 2 ** 53),
    one('mem_rss', 2 ** 53 - 1),
    one('vm_state', 99),
    one('mem_balloon', Number.POSITIVE_INFINITY),
    one('swap_out', -0),
  ]);
  assert.equal(machine.intake.counts.rejected, 2);
  assert.deepEqual(
    (await samples(machine, 'mem_rss')).map(([, value]) => value),
    [2 ** 53 - 1],
  );
  assert.deepEqual(
    (await samples(machine, 'swap_out')).map(([, value]) => value),
    [0],
  );
  assert.throws(() => machine.intake.open().sink.put(HOST, 'host', '', 'vm_state', 1), /host has no figure vm_state/);
});

test('two samples of one figure in one moment count once, and what comes too late not at all', async () => {
  using machine = await fakeMachine();
  await machine.tick([cpu(0.1), cpu(0.2)]);
  assert.deepEqual(
    (await samples(machine)).map(([, value]) => value),
    [0.1],
  );
  const late = machine.intake.open();
  late.close();
  late.sink.put(vmOwner(1), 'vm', '', 'cpu_usage', 0.5);
  assert.equal(late.close().ids.length, 0);
});

test('VMs that are gone leave memory after an hour, not the history', async () => {
  using machine = await fakeMachine();
  await run(machine, 30);
  machine.settings.gone.add(vmOwner(1).id);
  for (let n = 0; n < 900; n += 1) await machine.tick([cpu(0.5, 2)]);
  assert.deepEqual(
    [...machine.history.book.owners()].map(({ owner }) => owner.id),
    [vmOwner(2).id],
  );
  assert.equal((await samples(machine)).length, 30);
});
