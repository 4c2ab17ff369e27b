import assert from 'node:assert/strict';
import { type Duplex, duplexPair } from 'node:stream';
import { test } from 'node:test';
import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createFakeSocket, type FakeSocket } from './fake-socket.ts';
import { createSerialHub, SCROLL_BACK_BYTES, type SerialHubOptions } from './serial-hub.ts';
import type { ConsoleMode } from './tickets.ts';

/** A hub on a guest that the test plays. */
function createStage(overrides: Partial<SerialHubOptions> = {}) {
  const clock = new TestClock();
  const guests: Duplex[] = [];
  const stage = {
    clock,
    isActive: true,
    idleCalls: 0,
    /** The guest's ends of the streams opened so far. */
    guests,
    get guest(): Duplex {
      const newest = guests.at(-1);
      assert.ok(newest, 'no stream was opened');
      return newest;
    },
    hub: createSerialHub({
      isActive: (): boolean => stage.isActive,
      openStream: async () => {
        const [ours, theirs] = duplexPair();
        theirs.setEncoding('utf8');
        guests.push(theirs);
        return ours;
      },
      readLog: async () => null,
      clock,
      log: silentLogger,
      onIdle: () => {
        stage.idleCalls += 1;
      },
      ...overrides,
    }),
    attach(mode: ConsoleMode = 'control'): FakeSocket {
      const socket = createFakeSocket();
      stage.hub.attach(socket, mode, () => undefined);
      return socket;
    },
  };
  return stage;
}

const tick = () => new Promise((resolve) => setTimeout(resolve, 5));

async function opened(stage: { guests: readonly Duplex[] }, count = 1): Promise<void> {
  while (stage.guests.length < count) await tick();
  await tick();
}

test('all viewers share one stream; input comes from those in control only', async () => {
  const stage = createStage();
  const [control, view] = [stage.attach('control'), stage.attach('view')];
  await opened(stage);
  stage.guest.write('login: ');
  await Promise.all([control.waitFor(/login: /), view.waitFor(/login: /)]);
  view.receive('rm -rf /\n');
  control.receive('root\n');
  await tick();
  assert.equal(stage.guest.read(), 'root\n');
  assert.equal(stage.guests.length, 1);
});

test('who joins later gets the scroll-back first, then what is new', async () => {
  const stage = createStage();
  stage.attach();
  await opened(stage);
  stage.guest.write('panic: something\r\n');
  await tick();
  const late = stage.attach('view');
  await late.waitFor(/^panic: something\r\n$/);
  stage.guest.write('more');
  await late.waitFor(/something\r\nmore$/);
  assert.match(stage.hub.captured().toString(), /panic: something\r\nmore/);
});

test("libvirt's log comes first, and what log and stream both hold is shown once", async () => {
  const [ours, theirs] = duplexPair();
  const stage = createStage({
    openStream: async () => {
      theirs.write('two three');
      await tick();
      return ours;
    },
    readLog: async (since) =>
      since
        ? { bytes: Buffer.from('one two'), mark: since }
        : { bytes: Buffer.from('zero '), mark: { inode: 1n, offset: 5 } },
  });
  const viewer = stage.attach();
  await viewer.waitFor(/^zero one two three$/);
});

test('a slow viewer skips ahead and holds up nobody', async () => {
  const stage = createStage();
  const [fast, slow] = [stage.attach(), stage.attach()];
  await opened(stage);
  slow.isStalled = true;
  const line = Buffer.alloc(SCROLL_BACK_BYTES, 'x');
  for (let count = 0; count < 6; count += 1) {
    stage.guest.write(line);
    while (fast.sent.length < (count + 1) * line.length) {
      await stage.clock.advance(1000);
      await tick();
    }
  }
  assert.ok(slow.bufferedBytes() <= 3 * SCROLL_BACK_BYTES, 'memory for a slow viewer is bounded');
  slow.drain();
  await slow.waitFor(/\[hyper: \d+ bytes skipped\]/);
  assert.equal(slow.closed, null);
  assert.equal(fast.sent.length, 6 * line.length);
});

test('a viewer that takes nothing for half a minute is let go', async () => {
  const stage = createStage();
  const slow = stage.attach();
  await opened(stage);
  slow.isStalled = true;
  for (let count = 0; count < 3; count += 1) {
    stage.guest.write(Buffer.alloc(SCROLL_BACK_BYTES, 'x'));
    await stage.clock.advance(1000);
    await tick();
  }
  await stage.clock.advance(31_000);
  await slow.waitForClose();
  assert.equal(slow.closed?.code, CONSOLE_CLOSE.tooSlow);
});

test('a flooding guest is read at a bounded rate', async () => {
  const stage = createStage();
  const viewer = stage.attach();
  await opened(stage);
  const flood = Buffer.alloc(64 * 1024, 'x');
  let isDone = false;
  const flooding = (async () => {
    while (!isDone) {
      if (!stage.guest.write(flood))
        await Promise.race([new Promise((resolve) => stage.guest.once('drain', resolve)), tick()]);
      await tick();
    }
  })();
  for (let count = 0; count < 20; count += 1) await tick();
  const before = viewer.sent.length;
  assert.ok(before < 1024 * 1024, `${before} bytes passed without any time passing`);
  await stage.clock.advance(1000);
  for (let count = 0; count < 20; count += 1) await tick();
  assert.ok(viewer.sent.length > before, 'it goes on with time');
  assert.ok(viewer.sent.length < 3 * 1024 * 1024);
  isDone = true;
  await flooding;
});

test('viewers stay through a stop and a start of the guest, and are told', async () => {
  const stage = createStage();
  const viewer = stage.attach();
  await opened(stage);
  stage.guest.write('before');
  await viewer.waitFor(/before/);
  stage.isActive = false;
  stage.guest.end();
  for (let count = 0; count < 5; count += 1) {
    await tick();
    await stage.clock.advance(1000);
  }
  await viewer.waitFor(/before\r\n\[hyper: guest stopped\]\r\n$/);
  stage.isActive = true;
  stage.hub.wake();
  await opened(stage, 2);
  stage.guest.write('after');
  await viewer.waitFor(/\[hyper: guest started\]\r\nafter$/);
});

test('a guest that is off shows its log and waits for its start', async () => {
  const stage = createStage({
    readLog: async (since) => ({ bytes: Buffer.from(since ? '' : 'Kernel panic'), mark: { inode: 1n, offset: 12 } }),
  });
  stage.isActive = false;
  const viewer = stage.attach('view');
  await viewer.waitFor(/^Kernel panic\r\n\[hyper: guest is off\]\r\n$/);
  assert.equal(stage.guests.length, 0);
  stage.isActive = true;
  stage.hub.wake();
  await opened(stage);
});

test('a console that cannot be opened is tried again, said once', async () => {
  let attempts = 0;
  const stage = createStage({
    openStream: async () => {
      attempts += 1;
      throw new Error('Active console session exists for this domain');
    },
  });
  const viewer = stage.attach();
  for (let count = 0; count < 10; count += 1) {
    await tick();
    await stage.clock.advance(6000);
  }
  assert.ok(attempts > 3);
  assert.equal(viewer.sent.toString().match(/cannot be reached/g)?.length, 1);
});

test('the stream closes half a minute after the last viewer, not before, and opens again', async () => {
  const stage = createStage();
  const first = stage.attach();
  await opened(stage);
  let isClosed = false;
  stage.guest.on('close', () => {
    isClosed = true;
  });
  stage.guest.resume();
  first.leave();
  await stage.clock.advance(29_000);
  assert.equal(isClosed, false);
  const second = stage.attach();
  await stage.clock.advance(29_000);
  second.leave();
  await stage.clock.advance(29_000);
  assert.equal(stage.idleCalls, 0);
  await stage.clock.advance(1000);
  await tick();
  assert.equal(stage.idleCalls, 1);
  const third = stage.attach();
  await opened(stage, 2);
  stage.guest.write('again');
  await third.waitFor(/again/);
});

test('typed text that the guest never takes is dropped with a word, not kept', async () => {
  const stage = createStage();
  const viewer = stage.attach();
  await opened(stage);
  for (let count = 0; count < 100; count += 1) viewer.receive(Buffer.alloc(16 * 1024, 'y'));
  await viewer.waitFor(/the guest does not take more input/);
  assert.equal(viewer.sent.toString().match(/does not take more/g)?.length, 1);
});
