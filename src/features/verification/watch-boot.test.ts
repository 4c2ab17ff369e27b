import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { watchSerial } from './serial-watch.ts';
import { type WatchedBoot, type WatchedVm, type WatchOrder, watchBoot } from './watch-boot.ts';

const LIMITS = { timeoutMs: 60_000, stallMs: 20_000, capMs: 300_000 };
const HELLO = { hostname: 'hello', machineId: null, os: null };

/** A guest by what it does at which second. */
interface Script {
  readonly prints?: Readonly<Record<number, string>>;
  /** It reads this many bytes each second, until then. */
  readonly readsUntil?: number;
  readonly agentFrom?: number;
  readonly hostname?: string;
  readonly exitCode?: number;
  readonly offAt?: number;
  readonly panicAt?: number;
  readonly badAt?: number;
}

async function watch(script: Script, order: Partial<WatchOrder> = {}): Promise<WatchedBoot & { pictures: string[] }> {
  const clock = new TestClock();
  const second = () => Math.floor(clock.monotonicMs() / 1000);
  const serial = watchSerial(order.hasMarker ? 'MARKER' : null);
  const pictures: string[] = [];
  const vm: WatchedVm = {
    serial,
    readBytes: () => Math.min(second(), script.readsUntil ?? 0) * 1000,
    badData: () => (script.badAt !== undefined && second() >= script.badAt ? 'disk vda at byte 5' : null),
    async state() {
      if (script.panicAt !== undefined && second() >= script.panicAt) return 'panicked';
      return script.offAt !== undefined && second() >= script.offAt ? 'off' : 'running';
    },
    async agent(json) {
      if (script.agentFrom === undefined || second() < script.agentFrom) throw new Error('not connected');
      if (json.includes('host-name')) return JSON.stringify({ return: { 'host-name': script.hostname ?? 'hello' } });
      if (json.includes('exec-status'))
        return JSON.stringify({ return: { exited: true, exitcode: script.exitCode ?? 0 } });
      return json.includes('guest-exec') ? '{"return":{"pid":7}}' : '{"return":{}}';
    },
    address: async () => null,
    async takePicture(which) {
      pictures.push(which);
    },
  };
  let result: WatchedBoot | null = null;
  const watching = watchBoot(vm, {
    required: 4,
    guest: HELLO,
    hasMarker: false,
    probe: null,
    limits: LIMITS,
    clock,
    signal: new AbortController().signal,
    progress: () => undefined,
    ...order,
  }).then((ended) => {
    result = ended;
    return ended;
  });
  for (let n = 0; n < 4000 && result === null; n += 1) {
    const text = clock.monotonicMs() % 1000 === 0 ? script.prints?.[second()] : undefined;
    if (text !== undefined) serial.feed(Buffer.from(text));
    await clock.advance(500);
  }
  return { ...(await watching), pictures };
}

test('an agent that answers as the right guest is level 4, with the times of each sign', async () => {
  const seen = await watch({ prints: { 2: 'Linux version 6', 9: 'hello login: ' }, readsUntil: 20, agentFrom: 15 });
  assert.deepEqual([seen.end, seen.isStarted, seen.isRightGuest], ['reached', true, true]);
  const { kernelSeconds, startedSeconds, agentSeconds } = seen.timings;
  assert.ok(kernelSeconds !== null && startedSeconds !== null && agentSeconds !== null);
  assert.ok(kernelSeconds < startedSeconds && startedSeconds < agentSeconds);
  assert.deepEqual(seen.pictures, ['first', 'last']);
});

test('each bad end is told apart', async () => {
  const rows: readonly (readonly [Script, Partial<WatchOrder>, WatchedBoot['end']])[] = [
    [{ prints: { 3: 'Kernel panic - not syncing: x' } }, {}, 'kernel_panic'],
    [{ panicAt: 5 }, {}, 'kernel_panic'],
    [{ prints: { 3: 'You are in emergency mode' } }, {}, 'emergency_mode'],
    [{ prints: { 1: 'No bootable device.' } }, {}, 'no_boot_device'],
    [{ offAt: 7 }, {}, 'stopped'],
    [{ badAt: 4 }, {}, 'bad_data'],
    [{ readsUntil: 10 }, {}, 'stalled'],
    [{ readsUntil: 1000 }, {}, 'timed_out'],
    [{ agentFrom: 5, hostname: 'other' }, {}, 'wrong_guest'],
    [
      { agentFrom: 5, exitCode: 1 },
      { required: 5, probe: { kind: 'script', program: '/x', args: [] } },
      'probe_failed',
    ],
    [{ agentFrom: 5 }, { required: 5, probe: { kind: 'tcp', port: 1 } }, 'probe_unreachable'],
    // Quiet for long, and late: that it runs is known, and its probe has as much time as that of a fast one.
    [
      { readsUntil: 10, agentFrom: 55, exitCode: 1 },
      { required: 5, probe: { kind: 'script', program: '/x', args: [] } },
      'probe_failed',
    ],
    [{ agentFrom: 5 }, { required: 5, probe: { kind: 'script', program: '/x', args: [] } }, 'reached'],
  ];
  for (const [script, order, end] of rows) assert.equal((await watch(script, order)).end, end, JSON.stringify(script));
});

test('a hung agent: the guest was seen to start, and it is not the right guest', async () => {
  const seen = await watch({ prints: { 9: 'hello login: ' }, readsUntil: 12 });
  assert.deepEqual([seen.end, seen.isStarted, seen.isRightGuest], ['stalled', true, false]);
  assert.ok(seen.seconds >= LIMITS.timeoutMs / 1000);
});

test('what a guest prints once it runs is no sign of a bad start', async () => {
  const prints = { 3: 'hello login: ', 5: 'You are in emergency mode', 6: 'No bootable device' };
  assert.equal((await watch({ prints, readsUntil: 10, agentFrom: 20 })).end, 'reached');
});

test('with a marker of the owner a login prompt is not enough', async () => {
  const order = { required: 3, guest: null, hasMarker: true } as const;
  assert.equal((await watch({ prints: { 3: 'hello login: ' }, readsUntil: 10 }, order)).end, 'stalled');
  const seen = await watch({ prints: { 3: 'hello login: ', 30: 'MARKER' }, readsUntil: 10 }, order);
  assert.equal(seen.end, 'reached');
  const { startedSeconds } = seen.timings;
  assert.ok(startedSeconds !== null && startedSeconds >= 30 && startedSeconds <= 31);
});

test('a guest that gets on slowly is waited for beyond its time', async () => {
  const seen = await watch({ readsUntil: 200, agentFrom: 200 });
  assert.equal(seen.end, 'reached');
  assert.ok(seen.seconds > LIMITS.timeoutMs / 1000);
});
