import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#kernel/errors.ts';
import { checkKind, metricsAsked, spanAsked, timeAsked } from './asked.ts';

const NOW = Date.parse('2026-03-01T10:00:00Z');

function refusal(work: () => unknown): { path: string; mend: string } {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof AppError && error.status === 422);
    return { path: error.fields[0]?.path ?? '', mend: error.hint };
  }
  throw new assert.AssertionError({ message: 'it was not refused' });
}

test('a misspelt figure is refused with the one that was meant', () => {
  const { path, mend } = refusal(() => metricsAsked('mem_usage,cpu_usge'));
  assert.equal(path, 'query.metric');
  assert.match(mend, /Did you mean "cpu_usage"/);
  assert.deepEqual(metricsAsked(' cpu_usage ,mem_usage,cpu_usage'), ['cpu_usage', 'mem_usage']);
  for (const text of ['', ',', '__proto__', 'x'.repeat(500)])
    assert.equal(refusal(() => metricsAsked(text)).path, 'query.metric');
});

test('a figure of the wrong kind of thing names those that have it', () => {
  assert.match(refusal(() => checkKind('disk_usage', ['fs', 'pool'], 'vm')).mend, /fs, pool/);
  checkKind('disk_usage', ['fs', 'pool'], 'fs');
});

test('times are dates or times ago; others name their field', () => {
  assert.equal(timeAsked('from', '6h', NOW), NOW - 6 * 3_600_000);
  assert.equal(timeAsked('from', '-30 min', NOW), NOW - 30 * 60_000);
  assert.equal(timeAsked('from', '1h30m', NOW), NOW - 90 * 60_000);
  assert.equal(timeAsked('to', '2026-02-28T00:00:00Z', NOW), Date.parse('2026-02-28T00:00:00Z'));
  for (const text of ['yesterday', '6', '6y', '', '1e9d', '2026-99-99'])
    assert.equal(refusal(() => timeAsked('to', text, NOW)).path, 'query.to');
});

test('a span ends after it begins, and not in the future', () => {
  assert.deepEqual(spanAsked({ from: '1h', to: '2030-01-01' }, NOW), { fromMs: NOW - 3_600_000, toMs: NOW });
  for (const [from, to] of [
    ['1h', '2h'],
    ['1h', '1h'],
    ['2030-01-01', '2031-01-01'],
  ] as const)
    assert.equal(refusal(() => spanAsked({ from, to }, NOW)).path, 'query.from');
});
