/** Row C10: expressions that take for ever. Work is counted in steps of the lexer and the parser, so that a busy machine changes nothing. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METRIC_NAMES } from '#contract/metric-catalogue.ts';
import { FUNCTIONS, KEYWORDS, LIMITS, RELATIONS, UNITS } from '#contract/rules/language.ts';
import { checkRule } from '#contract/rules/rule.ts';
import { matchesGlob } from '#kernel/glob.ts';

const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const STRINGS = isFull ? 1_000_000 : 100_000;

/** What a character may cost: it is read once for its token, and a few times to see what it is not. */
const STEPS_PER_CHAR = 25;

function bounded(text: string): ReturnType<typeof checkRule> {
  const found = checkRule(text);
  assert.ok(found.steps <= STEPS_PER_CHAR * Math.min(text.length, LIMITS.chars) + 10, `${found.steps} steps: ${text}`);
  assert.equal(found.rule === null, found.errors.length > 0);
  assert.ok(found.errors.length <= LIMITS.problems);
  return found;
}

test('C10: patterns that make regular expressions backtrack are plain text here', () => {
  for (const pattern of ['(a+)+$', '(a|aa)*$', '(.*)*x', '^(([a-z])+.)+[A-Z]([a-z])+$', 'a*'.repeat(200)]) {
    bounded(`cpu_usage{vm=~"${pattern}"} > 90%`);
  }
  const { rule } = bounded(`cpu_usage{vm=~"${'*a'.repeat(100)}b"} > 90%`);
  assert.ok(rule);
});

test('C10: a glob looks at no more than length times length', () => {
  let looks = 0;
  // Each look at a character of the name is counted.
  const counting = new Proxy(new String('a'.repeat(500)), {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) looks += 1;
      return Reflect.get(target, key);
    },
  });
  const matches: unknown = Reflect.apply(matchesGlob, undefined, [counting, `${'*a'.repeat(200)}b`]);
  assert.equal(matches, false);
  assert.ok(looks > 0 && looks <= 500 * 500, `${looks} looks`);
});

test('C10: deep nesting is refused where it becomes too deep', () => {
  for (const [open, close] of [
    ['(', ')'],
    ['not ', ''],
    ['not (', ')'],
    ['absent(', ')'],
    ['count(', ')'],
    ['avg(', ')'],
    ['{', '}'],
    ['-', ''],
  ] as const) {
    for (const depth of [9, 50, 250, 5000]) {
      const { rule } = bounded(`${open.repeat(depth)}cpu_usage > 1%${close.repeat(depth)}`);
      assert.equal(rule, null, `${open} × ${depth}`);
    }
  }
});

test('C10: 100 kB of anything is refused without being read', () => {
  for (const piece of ['(', 'cpu_usage > 1% and ', 'a', '"', '1', '*', '{', ' ', 'a+', '°', '\u0000', '\ud800']) {
    const { errors, steps } = checkRule(piece.repeat(Math.ceil(100_000 / piece.length)));
    assert.equal(errors[0]?.code, 'too_long');
    assert.equal(steps, 0);
  }
});

test(`C10: ${STRINGS} random texts, each with bounded work and an answer`, { timeout: 600_000 }, (context) => {
  const random = mulberry32(seed);
  const words = [
    ...METRIC_NAMES,
    ...Object.keys(FUNCTIONS),
    ...KEYWORDS,
    ...RELATIONS,
    ...UNITS.keys(),
    ...['count', '(', ')', '{', '}', ',', '+', '-', '*', '/', '=', '=~', '!~', '!', '&&', '"a"', '"', '1', '5m', '90%'],
    ...['vm', 'vm=a', 'running', '\\', '°', '\n', '\u0000', '𝄞', 'é', '1h30', '.5', '1e9', '0x1', '_', '\u2028'],
  ];
  const pick = (): string => words[Math.floor(random() * words.length)] ?? '';
  let valid = 0;
  let most = 0;
  for (let n = 0; n < STRINGS; n += 1) {
    const glue = random() < 0.7 ? ' ' : '';
    const text = Array.from({ length: 1 + Math.floor(random() * 40) }, pick).join(glue);
    const { rule, steps } = bounded(text);
    if (rule !== null) valid += 1;
    most = Math.max(most, steps / text.length);
  }
  context.diagnostic(
    `count: seed ${seed}: ${STRINGS} texts, ${valid} of them rules, at most ${most.toFixed(1)} steps a character`,
  );
});

/** A small seeded generator: the same texts for the same seed. */
function mulberry32(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
