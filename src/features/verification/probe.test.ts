import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import type { ProofProbe } from '#contract/verification.ts';
import { systemClock } from '#kernel/clock.ts';
import { askProbe, type ProbeWays } from './probe.ts';

const ways = (change: Partial<ProbeWays> = {}): ProbeWays => ({
  agent: () => Promise.reject(new Error('no agent')),
  address: async () => '127.0.0.1',
  clock: systemClock,
  signal: new AbortController().signal,
  ...change,
});

/** A guest's service; what is asked of it, and whether the answer is good. */
async function served(onConnect: (socket: Socket) => void, probeOf: (port: number) => ProofProbe) {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    onConnect(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  try {
    return await askProbe(probeOf(address.port), ways());
  } finally {
    server.close();
  }
}

test('a port is open or not', async () => {
  assert.deepEqual(
    (
      await served(
        (socket) => socket.end(),
        (port) => ({ kind: 'tcp', port }),
      )
    )?.isGood,
    true,
  );
  assert.equal((await askProbe({ kind: 'tcp', port: 1 }, ways()))?.isGood, false);
});

test('a page counts by its status and its text; a flood is cut, and noise is no page', async () => {
  const http = (port: number, expectText?: string): ProofProbe => ({
    kind: 'http',
    port,
    path: '/x',
    ...(expectText === undefined ? {} : { expectText }),
  });
  const answer = (text: string) => (socket: Socket) => void socket.once('data', () => socket.end(text));
  assert.equal((await served(answer('HTTP/1.1 200 OK\r\n\r\nhello'), (port) => http(port, 'hello')))?.isGood, true);
  assert.equal((await served(answer('HTTP/1.1 200 OK\r\n\r\nhello'), (port) => http(port, 'bye')))?.isGood, false);
  assert.equal((await served(answer('HTTP/1.1 503 No\r\n\r\n'), http))?.isGood, false);
  assert.match(
    (await served(answer('SSH-2.0-x\u001b[2J\r\n'), http))?.text ?? '',
    /^no HTTP answer on port \d+: SSH-2.0-x \[2J$/,
  );
  const flood = (socket: Socket) => {
    const more = () => socket.writable && socket.write(Buffer.alloc(65_536, 'x'), () => setImmediate(more));
    more();
  };
  assert.equal((await served(flood, http))?.isGood, false);
});

test('without an address nothing can be asked, and that is no answer', async () => {
  assert.equal(await askProbe({ kind: 'tcp', port: 80 }, ways({ address: async () => null })), null);
});

test('a program in the guest is good with exit code 0 alone', async () => {
  const agentOf = (status: unknown) => async (json: string) =>
    JSON.stringify({ return: json.includes('exec-status') ? status : { pid: 5 } });
  const probe: ProofProbe = { kind: 'script', program: '/x', args: [] };
  const told = async (status: unknown) => askProbe(probe, ways({ agent: agentOf(status) }));
  assert.deepEqual(await told({ exited: true, exitcode: 0 }), { isGood: true, text: 'exit code 0' });
  assert.deepEqual(await told({ exited: true, exitcode: 1, 'err-data': Buffer.from('no\n').toString('base64') }), {
    isGood: false,
    text: 'exit code 1: no',
  });
  assert.equal((await told({ exited: true, signal: 9 }))?.isGood, false);
  assert.equal((await askProbe(probe, ways()))?.isGood, false);
});
