import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { AgentProblem, createPort, type Port } from './port.ts';
import { type Frame, readFrame, readLength, WireError } from './wire.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-port-'));
});
after(() => rm(folder, { recursive: true, force: true }));

let n = 0;

/** A port, the agent's end of it, and what the port says of an agent that does not keep to what was agreed. */
async function connected(): Promise<{ port: Port; agent: Socket; broken: Error[]; [Symbol.dispose](): void }> {
  n += 1;
  const path = join(folder, String(n));
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  const arrived = once(server, 'connection');
  const agent = connect(path);
  const [socket] = await arrived;
  const broken: Error[] = [];
  const port = createPort(socket, (error) => {
    broken.push(error);
    port.end(error);
  });
  return {
    port,
    agent,
    broken,
    [Symbol.dispose]() {
      agent.destroy();
      port.end(new Error('the test is over'));
      server.close();
    },
  };
}

const frame = (letter: string, bytes: Buffer | string = ''): Buffer => {
  const body = Buffer.concat([Buffer.from(letter), Buffer.from(bytes)]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
};

const NEVER = new AbortController().signal;

async function all(answer: AsyncGenerator<Frame, string, void>): Promise<{ frames: Frame[]; said: string }> {
  const frames: Frame[] = [];
  for (;;) {
    const next = await answer.next();
    if (next.done) return { frames, said: next.value };
    frames.push(next.value);
  }
}

test('an answer comes in frames however the bytes of it are cut, and the next question gets its own', async () => {
  using it = await connected();
  const bytes = Buffer.concat([
    frame('D', Buffer.alloc(300_000, 7)),
    frame('Z', Buffer.from('0000000000000400', 'hex')),
    frame('F'),
    frame('O', 'said'),
  ]);
  for (let round = 0; round < 2; round += 1) {
    const answer = all(it.port.ask(['send', '0', '/'], NEVER));
    await once(it.agent, 'readable');
    assert.equal(it.agent.read().toString('latin1'), '\0\0\0\x09Qsend\x000\0/');
    for (let at = 0; at < bytes.length; at += 70_001) it.agent.write(bytes.subarray(at, at + 70_001));
    const { frames, said } = await answer;
    assert.deepEqual(
      frames.map((each) => each.kind),
      ['data', 'zeros', 'file_end'],
    );
    assert.equal(said, 'said');
  }
});

test('a failure of the agent keeps its code', async () => {
  using it = await connected();
  it.agent.write(frame('E', 'is_link\0/a\n/b'));
  await assert.rejects(
    all(it.port.ask(['list'], NEVER)),
    (error) => error instanceof AgentProblem && error.code === 'is_link' && error.text.toString() === '/a\n/b',
  );
});

test('who stops reading stops the agent, and what was on its way is nobody else’s answer', async () => {
  using it = await connected();
  const answer = it.port.ask(['send'], NEVER);
  it.agent.write(Buffer.concat([frame('D', 'one'), frame('D', 'two')]));
  assert.deepEqual((await answer.next()).value, { kind: 'data', bytes: Buffer.from('one') });
  it.agent.on('data', (bytes: Buffer) => {
    if (bytes.includes('Qstop')) it.agent.write(Buffer.concat([frame('D', 'late'), frame('E', 'stopped\0')]));
    if (bytes.includes('Qlist')) it.agent.write(frame('O', 'own'));
  });
  await answer.return('');
  assert.equal((await all(it.port.ask(['list'], NEVER))).said, 'own');
});

test('an abort ends the wait when the agent has stopped', async () => {
  using it = await connected();
  const abort = new AbortController();
  const answer = all(it.port.ask(['check'], abort.signal));
  it.agent.on('data', (bytes: Buffer) => {
    if (bytes.includes('Qstop')) it.agent.write(frame('E', 'stopped\0'));
    else abort.abort(new Error('enough'));
  });
  await assert.rejects(answer, /enough/);
  assert.deepEqual(it.broken, []);
});

for (const [what, bytes] of [
  ['a length of gigabytes', Buffer.from('ffffffff51', 'hex')],
  ['a length of nothing', Buffer.alloc(4)],
  ['a letter that nobody agreed on', frame('?')],
  ['an entry that is cut', frame('I', 'f1234')],
  [
    'an entry whose name is longer than its frame',
    frame('I', Buffer.concat([Buffer.from('f'), Buffer.alloc(28), Buffer.from('ffff', 'hex')])),
  ],
  ['a number that is too large', frame('Z', Buffer.alloc(8, 0xff))],
] as const)
  test(`${what} ends the port`, async () => {
    using it = await connected();
    it.agent.write(bytes);
    await assert.rejects(all(it.port.ask(['list'], NEVER)), WireError);
    assert.equal(it.broken.length, 1);
    await assert.rejects(all(it.port.ask(['list'], NEVER)));
  });

test('any bytes are a frame or a refusal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.constantFrom(...'IDZFXOE?'), (bytes, letter) => {
      try {
        readFrame(Buffer.concat([Buffer.from(letter), bytes]));
        readLength(Buffer.concat([Buffer.from(bytes), Buffer.alloc(4)]));
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }),
  );
});
