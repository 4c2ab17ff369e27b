import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { LibvirtError } from '#libvirt/index.ts';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import { dirtyRateOf, dirtyRatesReader } from './dirty-rates.ts';
import type { Control } from './monitor-watch.ts';
import type { Values } from './stat-values.ts';

/** As libvirt 9.0 gave them. */
const record = (status: number, mebibytes: number | null): Values =>
  new Map<string, number | string>([
    ['dirtyrate.calc_status', status],
    ['dirtyrate.calc_start_time', 48_211],
    ['dirtyrate.calc_period', 1],
    ['dirtyrate.calc_mode', 'page-sampling'],
    ...(mebibytes === null ? [] : ([['dirtyrate.megabytes_per_second', mebibytes]] as const)),
  ]);

test('a rate is there when it was measured; while it is, before, and without QEMU there is none', () => {
  assert.equal(dirtyRateOf(record(2, 12)), 12 * 2 ** 20);
  assert.equal(dirtyRateOf(record(2, 0)), 0);
  assert.equal(dirtyRateOf(record(1, null)), null);
  assert.equal(dirtyRateOf(record(0, 0)), null);
  assert.equal(dirtyRateOf(record(2, -1)), null);
  assert.equal(dirtyRateOf(new Map()), null);
});

const GIB = 2 ** 30;

function world(vms: readonly { readonly id: string; readonly memoryBytes: number }[]) {
  const clock = new TestClock();
  const seen = { started: [] as string[], most: 0, asked: [] as string[] };
  const counting = new Set<string>();
  const free = new Set(vms.map(({ id }) => id));
  const control = new Map<string, Control>();
  const refusing = new Set<string>();
  const slow = new Set<string>();
  const stop = new AbortController();
  const reader = dirtyRatesReader({
    clock,
    log: silentLogger,
    vms: () => vms,
    isFree: (uuid) => free.has(uuid),
    control: async (uuid) => control.get(uuid) ?? { control: 'ok', sinceMs: 0 },
    async start(uuid) {
      seen.started.push(uuid);
      if (refusing.has(uuid)) throw new LibvirtError('libvirt_failed', { procedure: 'DOMAIN_START_DIRTY_RATE_CALC' });
      counting.add(uuid);
      seen.most = Math.max(seen.most, counting.size);
    },
    async stats(uuids) {
      seen.asked.push(...uuids);
      return new Map(
        uuids.map((uuid) => {
          if (slow.has(uuid)) return [uuid, record(1, null)];
          counting.delete(uuid);
          return [uuid, record(2, 3)];
        }),
      );
    },
  });
  /** Lets a round come to its end. */
  const round = async () => {
    let found: ReadonlyMap<string, number> | null | undefined;
    const reading = reader.read(stop.signal).then((rates) => {
      found = rates;
    });
    while (found === undefined) await clock.advance(1_000);
    await reading;
    return found;
  };
  return { clock, reader, seen, free, control, refusing, slow, stop, round };
}

const guests = (count: number) => Array.from({ length: count }, (_, n) => ({ id: `vm-${n}`, memoryBytes: GIB }));

test('few are measured at a time and in a minute, each once in 15 minutes, those that wait longest first', async () => {
  const { seen, round, clock } = world(guests(70));
  const sizes: (number | undefined)[] = [];
  for (let minute = 0; minute < 15; minute += 1) {
    const fromMs = clock.monotonicMs();
    sizes.push((await round())?.size);
    assert.ok(clock.monotonicMs() - fromMs < 30_000, `${clock.monotonicMs() - fromMs} ms`);
    await clock.advance(60_000 - (clock.monotonicMs() - fromMs));
  }
  assert.deepEqual(sizes.slice(0, 4), [32, 32, 6, 0]);
  assert.equal(seen.started.length, 70);
  assert.equal(seen.most, 4);
  await round();
  assert.equal(seen.started.length, 102);
  assert.equal(seen.started[70], 'vm-0');
});

test('left alone are VMs that are not free, hang, have a job of another program, or are too large', async () => {
  const { seen, free, control, round } = world([...guests(5), { id: 'huge', memoryBytes: 2 ** 40 }]);
  free.delete('vm-0');
  control.set('vm-1', { control: 'job', sinceMs: 0 });
  control.set('vm-2', { control: 'occupied', sinceMs: 5_000 });
  // The figures of this tick are being asked for.
  control.set('vm-4', { control: 'occupied', sinceMs: 40 });
  const rates = await round();
  assert.deepEqual(seen.started, ['vm-3', 'vm-4']);
  assert.deepEqual([...(rates ?? [])].sort(), [
    ['vm-3', 3 * 2 ** 20],
    ['vm-4', 3 * 2 ** 20],
  ]);
});

test('one that refuses or never ends costs its own figure and is tried again in the next round', async () => {
  const { seen, refusing, slow, round, reader, clock } = world(guests(3));
  refusing.add('vm-0');
  slow.add('vm-1');
  const rates = await round();
  assert.deepEqual([...(rates?.keys() ?? [])], ['vm-2']);
  assert.equal(seen.asked.filter((uuid) => uuid === 'vm-1').length, 3);
  assert.deepEqual([reader.rateOf('vm-1'), reader.rateOf('vm-2')], [null, 3 * 2 ** 20]);
  refusing.clear();
  slow.clear();
  await clock.advance(60_000);
  assert.deepEqual([...((await round())?.keys() ?? [])].sort(), ['vm-0', 'vm-1']);
  const sink = createRecordingSink();
  reader.put(sink, rates ?? new Map());
  assert.equal(sink.periodsMs.get('vm-2:dirty_rate'), 900_000);
});

test('a stop of hyperd ends the round', async () => {
  const { seen, stop, reader, clock } = world(guests(50));
  const reading = reader.read(stop.signal);
  await clock.advance(1_300);
  const begun = seen.started.length;
  stop.abort(new Error('over'));
  await assert.rejects(reading, /over/);
  assert.ok(begun > 0 && seen.started.length === begun, `${begun} and ${seen.started.length}`);
});
