import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backupFileErrors } from '#contract/backup-files.ts';
import { registerErrors } from '#kernel/errors.ts';
import type { AgentEntry, Frame } from '#platform/appliance/index.ts';
import { readTree } from './tree.ts';

registerErrors(backupFileErrors);

const entry = (kind: AgentEntry['kind'], name: string, sizeBytes = 0): Frame => ({
  kind: 'entries',
  entries: [
    {
      kind,
      name: Buffer.from(name),
      sizeBytes,
      mode: 0o644,
      uid: 0,
      gid: 0,
      modifiedSeconds: 0,
      target: Buffer.alloc(0),
    },
  ],
});
const data = (text: string): Frame => ({ kind: 'data', bytes: Buffer.from(text) });
const zeros = (lengthBytes: number): Frame => ({ kind: 'zeros', lengthBytes });
const end: Frame = { kind: 'file_end' };
const ROOT = entry('folder', '');

/** Path and content of all that comes. */
async function read(
  frames: readonly Frame[],
  maxBytes = 1000,
): Promise<{ all: [string, number][]; leftOut: unknown; isEnded: boolean }> {
  let isEnded = false;
  const source = async function* () {
    try {
      yield* frames;
    } finally {
      isEnded = true;
    }
  };
  const tree = await readTree(source(), maxBytes);
  const all: [string, number][] = [];
  for await (const { kind, path, content } of tree.below()) {
    let bytes = 0;
    if (kind === 'file') for await (const part of content()) bytes += part.length;
    all.push([path.toString(), bytes]);
  }
  return { all, leftOut: tree.leftOut(), isEnded };
}

test('folders, files and links come in their order; what cannot be read is told', async () => {
  const { all, leftOut, isEnded } = await read([
    ROOT,
    entry('folder', 'a'),
    entry('file', 'a/one', 5),
    data('abc'),
    zeros(2),
    end,
    entry('folder', 'a/b'),
    entry('other', 'a/b/tty'),
    { kind: 'unreadable', path: Buffer.from('a/b/bad'), why: 'Input/output error' },
    entry('link', 'c'),
    entry('file', 'd', 0),
    end,
  ]);
  assert.deepEqual(all, [
    ['a', 0],
    ['a/one', 5],
    ['a/b', 0],
    ['c', 0],
    ['d', 0],
  ]);
  assert.deepEqual(leftOut, [
    { path: 'a/b/tty', why: 'it is a device, a socket or a pipe' },
    { path: 'a/b/bad', why: 'Input/output error' },
  ]);
  assert.ok(isEnded);
});

for (const [what, frames] of [
  ['a path that climbs', [ROOT, entry('file', '../evil', 0), end]],
  ['a path that is absolute', [ROOT, entry('file', '/etc/passwd', 0), end]],
  ['a path with nothing between slashes', [ROOT, entry('folder', 'a'), entry('file', 'a//b', 0), end]],
  ['a path below a link', [ROOT, entry('link', 'a'), entry('file', 'a/b', 0), end]],
  [
    'a path below a folder that is over',
    [ROOT, entry('folder', 'a'), entry('folder', 'b'), entry('file', 'a/x', 0), end],
  ],
  ['a path below a file', [ROOT, entry('file', 'a', 0), end, entry('file', 'a/b', 0), end]],
  ['a file that is longer than it said', [ROOT, entry('file', 'a', 2), data('abc'), end]],
  ['zeros without end', [ROOT, entry('file', 'a', 2), zeros(2 ** 40), end]],
  ['a file that is shorter than it said', [ROOT, entry('file', 'a', 4), data('abc'), end]],
  ['a file without an end', [ROOT, entry('file', 'a', 3), data('abc')]],
  ['an entry inside of a file', [ROOT, entry('file', 'a', 3), data('abc'), entry('file', 'b', 0), end]],
  ['data without a file', [ROOT, data('abc')]],
  ['two roots', [ROOT, ROOT]],
  ['nothing', []],
  ['no root', [entry('file', 'a', 0), end]],
] as const satisfies readonly (readonly [string, readonly Frame[]])[])
  test(`${what} ends the reading`, async () => {
    await assert.rejects(read(frames), { code: 'file_reader_failed' });
  });

test('more than was agreed is not read', async () => {
  await assert.rejects(
    read([ROOT, entry('file', 'a', 600), zeros(600), end, entry('file', 'b', 600), zeros(600), end]),
    {
      code: 'files_too_large',
    },
  );
  await assert.rejects(read([entry('file', '', 2 ** 50)]), { code: 'files_too_large' });
});
