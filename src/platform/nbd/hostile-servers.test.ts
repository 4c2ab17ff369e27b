/** Servers that lie, stall or break off: nothing that they do may hang a request, hand out bytes that are not the disk's, take
 *  more memory than was asked for, or leave a connection open. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { AppError } from '#kernel/errors.ts';
import { ALLOCATION_CONTEXT, connectNbd, type NbdConnection } from './index.ts';
import {
  chunk,
  dataChunk,
  GREETING,
  greetClient,
  holeChunk,
  nextOption,
  nextRequest,
  openForClient,
  type PeerSide,
  type ScriptedPeer,
  scriptedPeer,
} from './scripted-peer.test-data.ts';
import { CHUNKS, encodeSimpleReply, OPTION_REPLIES, optionReply, uint16, uint32, uint64 } from './wire.ts';

const SIZE_BYTES = 2 ** 20;
/** Of whoever waits in vain: in a silent handshake, and for an answer, which has to leave time for the handshake before it. */
const [SHORT_MS, REQUEST_MS] = [150, 1000];
/** Longer than a busy machine holds anything up. */
const PATIENT_MS = 20_000;
const DIRTY_CONTEXT = 'qemu:dirty-bitmap:backup-vda';
const garbage = Buffer.from('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'.repeat(4));

let folder = '';
let peers = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-nbd-hostile-'));
});
after(() => rm(folder, { recursive: true, force: true }));

function peerWith(script: (peer: PeerSide) => Promise<void>): Promise<ScriptedPeer> {
  peers += 1;
  return scriptedPeer(join(folder, `${peers}.sock`), script);
}

function connectTo({ socketPath }: ScriptedPeer, requestTimeoutMs = PATIENT_MS): Promise<NbdConnection> {
  return connectNbd(
    { socketPath },
    { exportName: 'vda', contexts: [ALLOCATION_CONTEXT, DIRTY_CONTEXT], requestTimeoutMs },
  );
}

/** Sends a byte at a time, for as long as the other side takes it. */
async function drip({ socket }: PeerSide, bytes: Buffer): Promise<void> {
  for (let at = 0; !socket.destroyed; at += 1) {
    socket.write(bytes.subarray(at % bytes.length, (at % bytes.length) + 1));
    await turn();
  }
}

/** Answers options until one has this number, which is the structured reply (8), the contexts (10) or the opening (7). */
async function upTo(peer: PeerSide, wanted: number): Promise<void> {
  await greetClient(peer);
  for (;;) {
    const { option } = await nextOption(peer);
    if (option === wanted) return;
    peer.send(optionReply(option, OPTION_REPLIES.ack));
  }
}

const exportInfo = (sizeBytes: Buffer) => Buffer.concat([uint16(0), sizeBytes, uint16(0x103)]);

type Script = (peer: PeerSide) => Promise<void>;
const HANDSHAKES: readonly (readonly [string, string, Script])[] = [
  ['says nothing', 'timeout', async () => undefined],
  ['drips its greeting and goes on', 'nbd_protocol_broken', (peer) => drip(peer, garbage)],
  ['speaks HTTP', 'nbd_protocol_broken', async ({ send }) => send(garbage)],
  ['closes at once', 'nbd_unreachable', async ({ socket }) => void socket.end()],
  ['closes in its greeting', 'nbd_unreachable', async ({ socket }) => void socket.end(GREETING.subarray(0, 11))],
  [
    'speaks the old protocol',
    'nbd_protocol_broken',
    async ({ send }) => send(Buffer.from('NBDMAGIC'), Buffer.from('0000420281861253', 'hex'), Buffer.alloc(136)),
  ],
  ['has no fixed newstyle', 'nbd_protocol_broken', async ({ send }) => send(GREETING.subarray(0, 16), uint16(2))],
  [
    'greets and says nothing more',
    'timeout',
    async (peer) => {
      await greetClient(peer);
      await nextOption(peer);
    },
  ],
  [
    'answers another option',
    'nbd_protocol_broken',
    async (peer) => {
      await upTo(peer, 8);
      peer.send(optionReply(3, OPTION_REPLIES.ack));
    },
  ],
  [
    'answers garbage',
    'nbd_protocol_broken',
    async (peer) => {
      await upTo(peer, 8);
      peer.send(garbage);
    },
  ],
  [
    'announces 4 GiB as an answer',
    'nbd_protocol_broken',
    async (peer) => {
      await upTo(peer, 7);
      const reply = optionReply(7, OPTION_REPLIES.info);
      reply.writeUInt32BE(0xffffffff, 16);
      peer.send(reply);
    },
  ],
  [
    'describes the disk without end',
    'nbd_protocol_broken',
    async (peer) => {
      await upTo(peer, 7);
      while (!peer.socket.destroyed) {
        peer.send(optionReply(7, OPTION_REPLIES.info, Buffer.concat([uint16(1), Buffer.from('name')])));
        await turn();
      }
    },
  ],
  [
    'opens a disk without a size',
    'nbd_protocol_broken',
    async (peer) => {
      await upTo(peer, 7);
      peer.send(optionReply(7, OPTION_REPLIES.ack));
    },
  ],
  [
    'has a disk of 16 EiB',
    'nbd_protocol_broken',
    async (peer) => {
      await upTo(peer, 7);
      peer.send(optionReply(7, OPTION_REPLIES.info, exportInfo(Buffer.alloc(8, 0xff))));
    },
  ],
  [
    'describes the disk in too few bytes',
    'nbd_protocol_broken',
    async (peer) => {
      await upTo(peer, 7);
      peer.send(optionReply(7, OPTION_REPLIES.info, exportInfo(uint64(1)).subarray(0, 9)));
    },
  ],
  ...(
    [
      ['a context that nobody asked for', ['base:other']],
      ['a context twice', [ALLOCATION_CONTEXT, ALLOCATION_CONTEXT]],
    ] as const
  ).map(([what, names]): readonly [string, string, Script] => [
    `grants ${what}`,
    'nbd_protocol_broken',
    async (peer) => {
      await upTo(peer, 10);
      for (const [id, name] of names.entries())
        peer.send(optionReply(10, OPTION_REPLIES.metaContext, Buffer.concat([uint32(id), Buffer.from(name)])));
    },
  ]),
  [
    'grants two contexts of one number',
    'nbd_protocol_broken',
    async (peer) => {
      await upTo(peer, 10);
      for (const name of [ALLOCATION_CONTEXT, DIRTY_CONTEXT])
        peer.send(optionReply(10, OPTION_REPLIES.metaContext, Buffer.concat([uint32(1), Buffer.from(name)])));
    },
  ],
];

for (const [what, code, script] of HANDSHAKES)
  test(`a server that ${what} is left with ${code}`, async () => {
    await using peer = await peerWith(script);
    await assert.rejects(connectTo(peer, code === 'timeout' ? SHORT_MS : PATIENT_MS), { code });
    await peer.closed;
  });

test('bytes in the clear behind the agreement to encrypt are not taken for encrypted ones', async () => {
  await using peer = await scriptedPeer(null, async (side) => {
    await greetClient(side);
    await nextOption(side);
    side.send(optionReply(5, OPTION_REPLIES.ack), optionReply(8, OPTION_REPLIES.ack));
  });
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, '');
  const address = { host: '127.0.0.1', port: peer.port, tls: { caFile } };
  await assert.rejects(connectNbd(address, { exportName: 'vda', requestTimeoutMs: 5_000 }), {
    code: 'nbd_protocol_broken',
    message: /in the clear/,
  });
  await peer.closed;
});

const errorPayload = (errno: number, text: string) => [
  uint32(errno),
  uint16(Buffer.byteLength(text)),
  Buffer.from(text),
];

/** Answers to a read of 1000 bytes at 5000. */
type Answer = (cookie: Buffer) => readonly Buffer[];
const READS: readonly (readonly [string, Answer])[] = [
  ['garbage', () => [garbage]],
  ['a reply that nobody asked for', () => [dataChunk(Buffer.alloc(8, 9), 5000, Buffer.alloc(1000))]],
  ['a simple reply that nobody asked for', () => [encodeSimpleReply(Buffer.alloc(8, 9), 5)]],
  ['data before the range', (cookie) => [dataChunk(cookie, 4999, Buffer.alloc(1000))]],
  ['data beyond the range', (cookie) => [dataChunk(cookie, 5001, Buffer.alloc(1000))]],
  ['data from another place', (cookie) => [dataChunk(cookie, 0, Buffer.alloc(1000))]],
  ['data at an offset of 2^64', (cookie) => [chunk(cookie, CHUNKS.data, [Buffer.alloc(8, 0xff), Buffer.alloc(1000)])]],
  ['too little data', (cookie) => [dataChunk(cookie, 5000, Buffer.alloc(999))]],
  ['nothing but an end', (cookie) => [chunk(cookie, CHUNKS.none, [])]],
  ['an end that is none', (cookie) => [chunk(cookie, CHUNKS.none, [], { isDone: false })]],
  [
    'a gap hidden by data sent twice',
    (cookie) => [dataChunk(cookie, 5000, Buffer.alloc(500), false), dataChunk(cookie, 5000, Buffer.alloc(500))],
  ],
  ['a hole over data', (cookie) => [dataChunk(cookie, 5000, Buffer.alloc(900), false), holeChunk(cookie, 5899, 101)]],
  ['a piece without data', (cookie) => [dataChunk(cookie, 5000, Buffer.alloc(0))]],
  ['a piece too short for its offset', (cookie) => [chunk(cookie, CHUNKS.data, [Buffer.alloc(7)])]],
  ['4 GiB of data', (cookie) => [chunk(cookie, CHUNKS.data, [uint64(5000)], { lengthBytes: 0xffffffff })]],
  ['33 MiB of data', (cookie) => [chunk(cookie, CHUNKS.data, [uint64(5000)], { lengthBytes: 33 * 2 ** 20 })]],
  ['a hole of 4 GiB', (cookie) => [holeChunk(cookie, 5000, 0xffffffff)]],
  ['a hole of nothing', (cookie) => [holeChunk(cookie, 5000, 0)]],
  ['a hole in 11 bytes', (cookie) => [chunk(cookie, CHUNKS.hole, [Buffer.alloc(11)])]],
  ['a piece of an unknown kind', (cookie) => [chunk(cookie, 77, [Buffer.alloc(4)])]],
  ['a block status', (cookie) => [chunk(cookie, CHUNKS.blockStatus, [uint32(1), uint32(1000), uint32(0)])]],
  ['all of it in the simple form', (cookie) => [encodeSimpleReply(cookie, 0), Buffer.alloc(1000)]],
  ['an error without a number', (cookie) => [chunk(cookie, CHUNKS.error, errorPayload(0, 'fine'))]],
  ['an error whose text is not there', (cookie) => [chunk(cookie, CHUNKS.error, [uint32(5), uint16(100)])]],
  ['an error of 1 MiB', (cookie) => [chunk(cookie, CHUNKS.error, errorPayload(5, 'x'), { lengthBytes: 2 ** 20 })]],
  ['an error of 2 bytes', (cookie) => [chunk(cookie, CHUNKS.error, [Buffer.alloc(2)])]],
];

/** A peer that answers the first request by `answer`; the second stays open until then. */
async function askTwice(answer: Answer, ask: (connection: NbdConnection) => Promise<unknown>): Promise<void> {
  await using peer = await peerWith(async (side) => {
    await openForClient(side, {
      sizeBytes: SIZE_BYTES,
      isStructured: true,
      contexts: [ALLOCATION_CONTEXT, DIRTY_CONTEXT],
    });
    const { cookie } = await nextRequest(side);
    await nextRequest(side);
    side.send(...answer(Buffer.from(cookie)));
  });
  const connection = await connectTo(peer);
  const before = process.memoryUsage().arrayBuffers;
  const results = await Promise.allSettled([ask(connection), connection.read(0, 10)]);
  assert.ok(process.memoryUsage().arrayBuffers - before < 4 * 2 ** 20, 'nothing was kept for what was announced');
  for (const result of results) assert.equal(codeOf(result), 'nbd_protocol_broken');
  await assert.rejects(connection.read(0, 10), { code: 'nbd_protocol_broken' });
  await peer.closed;
  await connection.close();
}

function codeOf(result: PromiseSettledResult<unknown>): unknown {
  if (result.status === 'fulfilled') return 'fulfilled';
  return result.reason instanceof AppError ? result.reason.code : result.reason;
}

for (const [what, answer] of READS)
  test(`${what} for a read ends the connection and all that is pending`, () =>
    askTwice(answer, (connection) => connection.read(5000, 1000)));

const status = (cookie: Buffer, ...numbers: readonly number[]) =>
  chunk(cookie, CHUNKS.blockStatus, numbers.map(uint32));
const STATUSES: readonly (readonly [string, Answer])[] = [
  ['no extents', (cookie) => [status(cookie, 2)]],
  ['half an extent', (cookie) => [status(cookie, 2, 100)]],
  ['nothing at all', (cookie) => [chunk(cookie, CHUNKS.blockStatus, [])]],
  ['an extent without a length', (cookie) => [status(cookie, 2, 0, 1)]],
  ['an extent without a length after others', (cookie) => [status(cookie, 2, 10, 1, 0, 0)]],
  ['extents beyond the range', (cookie) => [status(cookie, 2, 1000, 1, 1, 0)]],
  ['a context that was not granted', (cookie) => [status(cookie, 3, 1000, 0)]],
  ['another context only', (cookie) => [status(cookie, 1, 1000, 0)]],
  [
    'a context twice',
    (cookie) => [
      chunk(cookie, CHUNKS.blockStatus, [2, 1000, 0].map(uint32), { isDone: false }),
      status(cookie, 2, 1000, 0),
    ],
  ],
  ['only an end', (cookie) => [chunk(cookie, CHUNKS.none, [])]],
  ['data', (cookie) => [dataChunk(cookie, 5000, Buffer.alloc(1000))]],
  ['a simple reply', (cookie) => [encodeSimpleReply(cookie, 0)]],
  ['32 MiB of extents', (cookie) => [chunk(cookie, CHUNKS.blockStatus, [], { lengthBytes: 32 * 2 ** 20 + 4 })]],
];

for (const [what, answer] of STATUSES)
  test(`${what} for a block status ends the connection and all that is pending`, () =>
    askTwice(answer, (connection) =>
      Array.fromAsync(connection.extents(DIRTY_CONTEXT, { offsetBytes: 5000, lengthBytes: 1000 })),
    ));

test('an error of the server fails its request alone; its text is one line, and its number is kept', async () => {
  await using peer = await peerWith(async (side) => {
    await openForClient(side, { sizeBytes: SIZE_BYTES, isStructured: true, contexts: [DIRTY_CONTEXT] });
    const [first, second, third] = [await nextRequest(side), await nextRequest(side), await nextRequest(side)];
    const text = 'bad\u001b[31m sector\n\u202efake log line';
    side.send(dataChunk(first.cookie, 0, Buffer.alloc(3), false));
    side.send(chunk(second.cookie, CHUNKS.errorOffset, [...errorPayload(28, text), uint64(12)], { isDone: false }));
    side.send(encodeSimpleReply(third.cookie, 1));
    side.send(chunk(second.cookie, CHUNKS.none, []), dataChunk(first.cookie, 3, Buffer.alloc(7, 1)));
  });
  const connection = await connectTo(peer);
  const [first, second, third] = await Promise.allSettled([
    connection.read(0, 10),
    connection.read(10, 10),
    Array.fromAsync(connection.extents(DIRTY_CONTEXT)),
  ]);
  assert.equal(first.status === 'fulfilled' && first.value.toString('hex'), '00000001010101010101');
  for (const [result, errno] of [
    [second, 28],
    [third, 1],
  ] as const) {
    assert.equal(codeOf(result), 'nbd_read_failed');
    assert.equal(result.status === 'rejected' && result.reason.params.errno, errno);
  }
  assert.equal(
    second.status === 'rejected' && second.reason.cause.message,
    'the server said: bad sector fake log line',
  );
  await connection.close();
});

for (const [what, code, script] of [
  ['says nothing', 'timeout', async () => undefined],
  [
    'drips',
    'timeout',
    async (peer, cookie) => {
      peer.send(chunk(cookie, CHUNKS.data, [uint64(0)], { lengthBytes: 8 + 2 ** 20 }));
      await drip(peer, Buffer.alloc(1));
    },
  ],
  [
    'answers others only',
    'timeout',
    async (peer) => {
      for (;;) {
        const { cookie, offsetBytes, lengthBytes } = await nextRequest(peer);
        peer.send(dataChunk(cookie, offsetBytes, Buffer.alloc(lengthBytes)));
      }
    },
  ],
  [
    'closes in the middle',
    'nbd_unreachable',
    async (peer, cookie) => {
      peer.socket.end(dataChunk(cookie, 0, Buffer.alloc(2 ** 20)).subarray(0, 500_000));
    },
  ],
] as const satisfies readonly (readonly [string, string, (peer: PeerSide, cookie: Buffer) => Promise<void>])[])
  test(`a server that ${what} after a request is left with ${code}`, async () => {
    await using peer = await peerWith(async (side) => {
      await openForClient(side, { sizeBytes: SIZE_BYTES, isStructured: true });
      const { cookie } = await nextRequest(side);
      await script(side, Buffer.from(cookie));
    });
    const connection = await connectTo(peer, code === 'timeout' ? REQUEST_MS : PATIENT_MS);
    const waiting = assert.rejects(connection.read(0, SIZE_BYTES), { code });
    // Traffic of others must not keep a request alive that gets no answer.
    const others = (async () => {
      for (;;) await connection.read(0, 10);
    })();
    await assert.rejects(others, { code });
    await waiting;
    await peer.closed;
    await connection.close();
  });
