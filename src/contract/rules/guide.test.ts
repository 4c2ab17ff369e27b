import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ENTITY_KINDS } from '../metric-catalogue.ts';
import { allLabelsOf } from './entities.ts';
import { FUNCTIONS, KEYWORDS, UNITS } from './language.ts';
import { checkRule } from './rule.ts';

const guide = await readFile(join(import.meta.dirname, '../../../docs/guides/alert-rules.md'), 'utf8');

test('every rule of the guide is one', () => {
  const blocks = [...guide.matchAll(/```\n([\s\S]*?)```/g)].map(([, block = '']) => block.trim().split('\n'));
  const rules = blocks.flat();
  assert.ok(rules.length >= 13);
  for (const text of rules) assert.deepEqual([text, checkRule(text).errors], [text, []]);
});

test('every mistake of the guide is told at the column that the guide says', () => {
  const rows = [...guide.matchAll(/^\| `([^`]+)` \| (\d+) \| /gm)];
  assert.ok(rows.length >= 10);
  for (const [, text = '', column] of rows)
    assert.deepEqual([text, checkRule(text).errors.map((error) => error.column)], [text, [Number(column)]]);
});

test('the guide names every unit, function, keyword and label', () => {
  // `B` … `TiB` "the same with /s".
  const units = [...UNITS.keys()].map((unit) => (unit.includes('B/s') ? '/s' : unit));
  for (const word of [...units, 'absent', ...allLabelsOf(ENTITY_KINDS)])
    assert.match(
      guide,
      new RegExp(`\`${word.replace(/[/%]/g, '\\$&')}[\`({]|\`${word.replace(/[/%]/g, '\\$&')} `),
      word,
    );
  for (const name of Object.keys(FUNCTIONS)) assert.ok(guide.includes(`\`${name}(m`), name);
  for (const keyword of KEYWORDS) assert.ok(guide.includes(keyword), keyword);
});
