import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  COMMANDS,
  decodeChunkHeader,
  decodeRequest,
  encodeChunkHeader,
  encodeRequest,
  encodeSimpleReply,
  getUint64,
  lengthAndText,
  OPTION_REPLIES,
  OPTIONS,
  optionReply,
  optionRequest,
  uint64,
} from './wire.ts';

const cookie = Buffer.from('0102030405060708', 'hex');

test('messages are those of the protocol’s description, byte for byte', () => {
  const read = { flags: 0, command: COMMANDS.read, cookie, offsetBytes: 0x1_0000_0002, lengthBytes: 0x10000 };
  assert.equal(
    encodeRequest(read).toString('hex'),
    '25609513' + '0000' + '0000' + '0102030405060708' + '0000000100000002' + '00010000',
  );
  const chunk = { type: 1, isDone: true, cookie, lengthBytes: 520 };
  assert.equal(
    encodeChunkHeader(chunk).toString('hex'),
    '668e33ef' + '0001' + '0001' + '0102030405060708' + '00000208',
  );
  assert.equal(encodeSimpleReply(cookie, 5).toString('hex'), '67446698' + '00000005' + '0102030405060708');
  assert.equal(optionRequest(OPTIONS.structuredReply).toString('hex'), '49484156454f5054' + '00000008' + '00000000');
  const list = optionReply(OPTIONS.list, OPTION_REPLIES.server, lengthAndText('vda'));
  assert.equal(list.toString('hex'), '0003e889045565a9' + '00000003' + '00000002' + '00000007' + '00000003' + '766461');
});

test('requests and headers of pieces survive being written and read', () => {
  fc.assert(
    fc.property(
      fc.nat(65535),
      fc.nat(65535),
      fc.maxSafeNat(),
      fc.nat(0xffffffff),
      (flags, command, offsetBytes, lengthBytes) => {
        const request = { flags, command, cookie, offsetBytes, lengthBytes };
        assert.deepEqual(decodeRequest(encodeRequest(request)), request);
        const header = { type: command, isDone: flags % 2 === 1, cookie, lengthBytes };
        assert.deepEqual(decodeChunkHeader(encodeChunkHeader(header).subarray(4)), header);
      },
    ),
  );
  assert.equal(decodeRequest(Buffer.alloc(28)), null);
});

test('numbers of 64 bits are exact as far as sizes go, and large beyond', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (value) => assert.equal(getUint64(uint64(value), 0), value)));
  assert.equal(uint64(Number.MAX_SAFE_INTEGER).toString('hex'), '001fffffffffffff');
  assert.ok(getUint64(Buffer.alloc(8, 0xff), 0) > Number.MAX_SAFE_INTEGER);
});
