import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServiceNotifier } from './systemd.ts';

const isMissing = (program: string): boolean => spawnSync(program, ['--version']).error !== undefined;
const reason = ['systemd-notify', 'python3'].find(isMissing);

// Node has no datagram Unix sockets, so Python plays systemd. Each state is followed by a barrier message.
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print('listening', flush=True)
for _ in range(6): print(s.recv(4096).decode().replace(chr(10), ' '), flush=True)
`;

test('systemd hears that the service is ready, alive and stopping', {
  skip: reason ? `${reason} is missing` : false,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-notify-'));
  const socket = join(dir, 'notify');
  const receiver = spawn('python3', ['-c', RECEIVER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  let heard = '';
  receiver.stdout.on('data', (data: Buffer) => {
    heard += data.toString();
  });
  try {
    await once(receiver.stdout, 'data');
    const notifier = createServiceNotifier({
      NOTIFY_SOCKET: socket,
      WATCHDOG_USEC: '30000000',
      PATH: process.env['PATH'],
    });
    assert.equal(notifier.watchdogMs, 15_000);
    await notifier.ready();
    await notifier.alive();
    await notifier.stopping();
    if (receiver.exitCode === null) await once(receiver, 'exit');
    for (const state of ['READY=1', 'WATCHDOG=1', 'STOPPING=1']) assert.match(heard, new RegExp(state));
    assert.match(heard, new RegExp(`MAINPID=${process.pid}`));
  } finally {
    receiver.kill();
    await rm(dir, { recursive: true });
  }
});

test('without systemd nothing is sent and nothing is watched', async () => {
  const notifier = createServiceNotifier({});
  assert.equal(notifier.watchdogMs, null);
  await notifier.ready();
});
