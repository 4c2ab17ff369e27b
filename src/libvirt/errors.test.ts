import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError, knownErrors } from '#kernel/errors.ts';
import { errorFromReply, isNotFound, LibvirtError, libvirtErrorCodes } from './errors.ts';

const reply = (code: number, message = '/secret/path', int1 = -1) =>
  errorFromReply('DOMAIN_DEFINE_XML_FLAGS', {
    code,
    domain: 20,
    level: 2,
    message,
    str1: null,
    str2: null,
    str3: null,
    int1,
    int2: -1,
  });

test('libvirt’s numbers become our codes', () => {
  const expected: [number, string][] = [
    [42, 'not_found'],
    [43, 'not_found'],
    [49, 'not_found'],
    [72, 'not_found'],
    [90, 'already_exists'],
    [55, 'wrong_state'],
    [87, 'busy'],
    [68, 'timeout'],
    [29, 'libvirt_forbidden'],
    [27, 'invalid_definition'],
    [91, 'migration_refused'],
    [86, 'agent_unavailable'],
    [109, 'checkpoint_broken'],
    [84, 'unsupported_by_host'],
    [1, 'libvirt_failed'],
    [4711, 'libvirt_failed'],
  ];
  for (const [number, code] of expected) assert.equal(reply(number).code, code, String(number));
});

test('a clash of names is told by its text, a full disk by its errno', () => {
  assert.equal(reply(9, "domain 'a' already exists with uuid 1").code, 'already_exists');
  assert.equal(reply(9, 'operation failed: something').code, 'libvirt_failed');
  assert.equal(reply(38, 'cannot write', 28).code, 'no_space');
});

test('libvirt’s text stays in the cause and never in what goes out', () => {
  const error = reply(1);
  assert.ok(error instanceof AppError);
  assert.doesNotMatch(`${error.message}${error.hint}${JSON.stringify(error.params)}`, /secret/);
  assert.match(String(error.cause), /secret/);
  const named = error.toAppError('VM web-1 cannot be started.');
  assert.equal(named.message, 'VM web-1 cannot be started.');
  assert.equal(named.status, 502);
  assert.equal(named.cause, error);
});

test('only temporary failures without unknown outcome may be repeated', () => {
  assert.equal(reply(87).isRetryable, true);
  assert.equal(reply(27).isRetryable, false);
  assert.equal(new LibvirtError('libvirt_unavailable', { procedure: 'X', outcomeUnknown: true }).isRetryable, false);
});

test('every code is in the catalogue', () => {
  for (const code of libvirtErrorCodes) assert.ok(knownErrors().has(code), code);
  assert.ok(isNotFound(reply(42)));
});
