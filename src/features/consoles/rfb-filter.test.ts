import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRfbFilter, MAX_CUT_TEXT_BYTES, RfbViolation } from './rfb-filter.ts';
import type { ConsoleMode } from './tickets.ts';

const VERSION = Buffer.from('RFB 003.008\n');
/** Version, security "none", ClientInit that asks for the screen alone. */
const HANDSHAKE = Buffer.concat([VERSION, Buffer.of(1), Buffer.of(0)]);
const HANDSHAKE_PASSED = Buffer.concat([VERSION, Buffer.of(1), Buffer.of(1)]);

const filled = (type: number, bytes: number): Buffer => Buffer.concat([Buffer.of(type), Buffer.alloc(bytes - 1, 0xab)]);

function setEncodings(count: number): Buffer {
  const message = filled(2, 4 + 4 * count);
  message.writeUInt16BE(count, 2);
  return message;
}

function cutText(length: number, isExtended = false): Buffer {
  const message = filled(6, 8 + length);
  message.writeInt32BE(isExtended ? -length : length, 4);
  return message;
}

function fence(length: number): Buffer {
  const message = filled(248, 9 + length);
  message.writeUInt8(length, 8);
  return message;
}

function desktopSize(screens: number): Buffer {
  const message = filled(251, 8 + 16 * screens);
  message.writeUInt8(screens, 6);
  return message;
}

function qemu(subtype: number, bytes: number, operation = 0): Buffer {
  const message = filled(255, bytes);
  message.writeUInt8(subtype, 1);
  message.writeUInt16BE(operation, 2);
  return message;
}

const anyMessage = fc.oneof(
  fc.constant({ bytes: filled(0, 20), passes: 'view' }),
  fc.nat(256).map((count) => ({ bytes: setEncodings(count), passes: 'view' })),
  fc.constant({ bytes: filled(3, 10), passes: 'view' }),
  fc.constant({ bytes: filled(4, 8), passes: 'control' }),
  fc.constant({ bytes: filled(5, 6), passes: 'control' }),
  fc
    .tuple(fc.nat(3000), fc.boolean())
    .map(([length, isExtended]) => ({ bytes: cutText(length, isExtended), passes: 'control' })),
  fc.constant({ bytes: filled(150, 10), passes: 'control' }),
  fc.nat(64).map((length) => ({ bytes: fence(length), passes: 'control' })),
  fc.constant({ bytes: filled(250, 4), passes: 'never' }),
  fc.nat(255).map((screens) => ({ bytes: desktopSize(screens), passes: 'control' })),
  fc.constant({ bytes: qemu(0, 12), passes: 'control' }),
  fc.constant({ bytes: qemu(1, 4, 0), passes: 'never' }),
  fc.constant({ bytes: qemu(1, 10, 2), passes: 'never' }),
);

/** Cuts `bytes` at the given places, modulo its length. */
function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...places, bytes.length].map((end, index) => bytes.subarray(places[index - 1] ?? 0, end));
}

function passedBy(mode: ConsoleMode, chunks: readonly Uint8Array[]): Buffer {
  const filter = createRfbFilter(mode);
  return Buffer.concat(chunks.map((chunk) => filter.push(chunk)));
}

for (const mode of ['view', 'control'] as const) {
  test(`E2: in ${mode} mode exactly the allowed messages pass, however the bytes are cut`, () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { maxLength: 30 }),
        fc.array(fc.nat(100_000), { maxLength: 60 }),
        (messages, cuts) => {
          const sent = Buffer.concat([HANDSHAKE, ...messages.map(({ bytes }) => bytes)]);
          const expected = messages
            .filter(({ passes }) => passes === 'view' || passes === mode)
            .map(({ bytes }) => bytes);
          assert.deepEqual(passedBy(mode, split(sent, cuts)), Buffer.concat([HANDSHAKE_PASSED, ...expected]));
        },
      ),
      { numRuns: 300 },
    );
  });

  test(`in ${mode} mode single bytes give the same as one piece`, () => {
    const sent = Buffer.concat([
      HANDSHAKE,
      setEncodings(3),
      filled(4, 8),
      filled(3, 10),
      cutText(40),
      qemu(0, 12),
      filled(3, 10),
    ]);
    assert.deepEqual(
      passedBy(
        mode,
        [...sent].map((byte) => Buffer.of(byte)),
      ),
      passedBy(mode, [sent]),
    );
  });
}

test('E2: a viewer cannot hide a key behind an unfinished clipboard or a torn message', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(500), { maxLength: 20 }), (noise, cuts) => {
      let passed: Buffer;
      try {
        passed = passedBy('view', split(Buffer.concat([HANDSHAKE, noise]), cuts));
      } catch (error) {
        assert.ok(error instanceof RfbViolation);
        return;
      }
      // What passed is read again by the rules of the protocol: nothing in it may be anything but the three viewing messages.
      let rest = passed.subarray(HANDSHAKE.length);
      while (rest.length > 0) {
        const length = { 0: 20, 2: 4 + 4 * (rest.length >= 4 ? rest.readUInt16BE(2) : 0), 3: 10 }[rest.readUInt8(0)];
        assert.ok(length !== undefined && length <= rest.length);
        rest = rest.subarray(length);
      }
    }),
    { numRuns: 1000 },
  );
});

test('the handshake is read strictly', () => {
  const refused: [string, Buffer][] = [
    ['RFB 3.3, where the server chooses', Buffer.from('RFB 003.003\n')],
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\n')],
    ['TLS security', Buffer.concat([VERSION, Buffer.of(18)])],
    ['VeNCrypt security', Buffer.concat([VERSION, Buffer.of(19)])],
    ['invalid security', Buffer.concat([VERSION, Buffer.of(0)])],
  ];
  for (const [what, bytes] of refused) assert.throws(() => createRfbFilter('control').push(bytes), RfbViolation, what);
  assert.doesNotThrow(() => createRfbFilter('control').push(Buffer.from('RFB 003.007\n')));
});

test('the answer to a VNC password challenge passes untouched', () => {
  const response = Buffer.alloc(16, 0x04);
  const sent = Buffer.concat([VERSION, Buffer.of(2), response, Buffer.of(0), filled(4, 8), filled(3, 10)]);
  assert.deepEqual(
    passedBy('view', [sent]),
    Buffer.concat([VERSION, Buffer.of(2), response, Buffer.of(1), filled(3, 10)]),
  );
});

test('unknown messages and counts over the limits end the console', () => {
  const huge = Buffer.from([6, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
  const hugeExtended = Buffer.from([6, 0, 0, 0, 0x80, 0, 0, 0]);
  for (const bytes of [
    Buffer.of(1),
    Buffer.of(7),
    Buffer.of(200),
    Buffer.of(255, 2),
    setEncodings(257),
    fence(65),
    cutText(MAX_CUT_TEXT_BYTES + 1),
    huge,
    hugeExtended,
  ]) {
    for (const mode of ['view', 'control'] as const)
      assert.throws(() => passedBy(mode, [HANDSHAKE, bytes]), RfbViolation);
  }
});

// Joining at each byte would copy 32 GiB and run into the limit.
test('a long clipboard sent byte by byte costs no more than its length', { timeout: 30_000 }, () => {
  const filter = createRfbFilter('control');
  filter.push(HANDSHAKE);
  let passed = 0;
  for (const byte of cutText(MAX_CUT_TEXT_BYTES)) passed += filter.push(Buffer.of(byte)).length;
  assert.equal(passed, 8 + MAX_CUT_TEXT_BYTES);
});
