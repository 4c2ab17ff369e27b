import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vmCreateSchema } from '#contract/vms.ts';
import { invalidInput } from './problem.ts';

function fieldsOf(body: unknown): Record<string, { problem: string; mend: string }> {
  const result = vmCreateSchema.safeParse(body, { reportInput: true });
  assert.ok(!result.success);
  return Object.fromEntries(
    invalidInput('body', result.error.issues).fields.map(({ path, problem, mend }) => [path, { problem, mend }]),
  );
}

test('each refused field says what is wrong and what would do, in the units that people use', () => {
  const fields = fieldsOf({
    name: 'Web 1',
    memoryBytes: 1024,
    vcpus: 100_000,
    firmware: 'uefy',
    title: 'x'.repeat(200),
    disks: [{ sizeBytes: 2 ** 60 }],
    colour: 'red',
  });
  assert.deepEqual(fields['memoryBytes'], { problem: 'It is too small.', mend: 'Give at least 16 MiB.' });
  assert.deepEqual(fields['vcpus'], { problem: 'It is too large.', mend: 'Give at most 512.' });
  assert.deepEqual(fields['disks.0.sizeBytes'], { problem: 'It is too large.', mend: 'Give at most 64 TiB.' });
  assert.deepEqual(fields['title'], { problem: 'It is too long.', mend: 'Give at most 120 characters.' });
  assert.match(fields['firmware']?.mend ?? '', /Did you mean "uefi"/);
  assert.equal(fields['colour']?.problem, 'There is no such field.');
  assert.match(fields['name']?.mend ?? '', /lower-case letters, digits and dashes/);
});

test('a missing field is called missing', () => {
  assert.equal(fieldsOf({})['name']?.problem, 'It is missing.');
});

test('a value of another type is called so', () => {
  assert.equal(fieldsOf({ name: 5 })['name']?.problem, 'It has the wrong type.');
});
