import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  FrameError,
  type FrameHeader,
  FrameSplitter,
  frame,
  keepaliveFrame,
  MAX_FRAME_BYTES,
  MESSAGE_TYPES,
  STATUS,
} from './frame.ts';
import { P, PROGRAMS } from './table.ts';
import { XdrEncoder } from './xdr.ts';

interface Seen {
  readonly header: FrameHeader;
  payload: Buffer;
}

function splitAll(chunks: readonly Buffer[]): Seen[] {
  const seen: Seen[] = [];
  let streaming: Seen | null = null;
  const splitter = new FrameSplitter({
    onFrame: (header, payload) => seen.push({ header, payload: Buffer.from(payload) }),
    onStreamData(header, chunk) {
      if (streaming?.header === header) streaming.payload = Buffer.concat([streaming.payload, chunk]);
      else {
        streaming = { header, payload: Buffer.from(chunk) };
        seen.push(streaming);
      }
    },
  });
  for (const chunk of chunks) splitter.push(chunk);
  return seen;
}

const call = (procedure: number, serial: number): FrameHeader => ({
  program: PROGRAMS.remote,
  version: 1,
  procedure,
  type: MESSAGE_TYPES.call,
  serial,
  status: STATUS.ok,
});

test('the golden frames are byte for byte those of libvirt’s own client', () => {
  assert.equal(frame(call(66, 1)).toString('hex'), '0000001c2000808600000001000000420000000000000001' + '00000000');
  const open = new XdrEncoder();
  P.connectOpen.args.put(open, { name: 'qemu:///system', flags: 0 });
  assert.equal(
    frame(call(1, 2), open.finish()).toString('hex'),
    `00000038200080860000000100000001000000000000000200000000000000010000000e${Buffer.from('qemu:///system').toString('hex')}000000000000`,
  );
  assert.equal(keepaliveFrame('ping').toString('hex'), '0000001c6b656570000000010000000100000002' + '0000000000000000');
  assert.equal(keepaliveFrame('pong').toString('hex'), '0000001c6b656570000000010000000200000002' + '0000000000000000');
});

test('frames survive any cutting of the byte stream', () => {
  const oneFrame = fc.record({
    type: fc.constantFrom(0, 1, 2, 3, 6, 9),
    status: fc.constantFrom(0, 1, 2),
    serial: fc.nat(),
    payload: fc.uint8Array({ maxLength: 300 }),
  });
  fc.assert(
    fc.property(
      fc.array(oneFrame, { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1 }),
      (frames, cuts) => {
        const headers = frames.map(({ type, status, serial }) => ({ ...call(5, serial), type, status }));
        const bytes = Buffer.concat(headers.map((header, index) => frame(header, frames[index]?.payload)));
        const chunks: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = cuts[turn % cuts.length] ?? 1;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        const seen = splitAll(chunks);
        assert.deepEqual(
          seen.map(({ header }) => header),
          headers,
        );
        assert.deepEqual(
          seen.map(({ payload }) => payload.toString('hex')),
          frames.map(({ payload }) => Buffer.from(payload).toString('hex')),
        );
      },
    ),
  );
});

test('bytes of passed descriptors are skipped, whatever their number and cut', () => {
  fc.assert(
    fc.property(fc.nat(32), fc.integer({ min: 1, max: 40 }), (count, size) => {
      const payload = Buffer.alloc(8);
      payload.writeUInt32BE(count, 0);
      const bytes = Buffer.concat([
        frame({ ...call(5, 7), type: MESSAGE_TYPES.replyWithFds }, payload),
        Buffer.alloc(count),
        frame(call(6, 8)),
      ]);
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      assert.deepEqual(
        splitAll(chunks).map(({ header }) => header.serial),
        [7, 8],
      );
    }),
  );
});

test('lengths below the header and above the limit are refused at their fourth byte', () => {
  for (const length of [0, 1, 27, MAX_FRAME_BYTES + 1, 0xffffffff]) {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length, 0);
    assert.throws(() => splitAll([head]), FrameError, String(length));
    assert.throws(() => splitAll([Buffer.concat([head, Buffer.alloc(40)])]), FrameError, String(length));
  }
});

test('an announced but missing payload costs no memory', () => {
  const huge = frame(call(5, 1));
  huge.writeUInt32BE(MAX_FRAME_BYTES, 0);
  const before = process.memoryUsage().arrayBuffers;
  splitAll([huge, Buffer.alloc(100)]);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000);
});
