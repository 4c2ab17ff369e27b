import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';
import { checkData, type ReadParts } from './check-data.ts';
import type { OpenPoint } from './points.ts';

const NOW = new Date('2026-03-01T00:00:00Z');
const PART = 4 * MIB;

/** A disk of three parts, the second all zeros, and what was read of it. */
function world(options: {
  readonly badAt?: number;
  readonly isSuspect?: boolean;
  readonly known?: readonly [string, Date][];
}) {
  const reads: number[] = [];
  const remembered = new Map(options.known ?? []);
  let open = 0;
  const point: OpenPoint = {
    disks: [
      {
        target: 'vda',
        sizeBytes: 3 * PART - 100,
        parts: [
          { id: 'a', offsetBytes: 0, lengthBytes: PART },
          { id: null, offsetBytes: PART, lengthBytes: PART },
          { id: 'c', offsetBytes: 2 * PART, lengthBytes: PART },
        ],
      },
    ],
    definition: '',
    nvram: null,
    guest: null,
    isSuspect: options.isSuspect ?? false,
    async openDisk() {
      open += 1;
      return {
        sizeBytes: 3 * PART - 100,
        async read(offset, length) {
          assert.ok(offset + length <= 3 * PART - 100);
          reads.push(offset);
          if (options.badAt !== undefined && options.badAt >= offset && options.badAt < offset + length)
            throw new AppError('point_damaged', {
              definition: { status: 409, title: 'damaged', hint: '' },
              detail: `chunk at ${offset} of vda`,
            });
          return Buffer.alloc(length);
        },
        async extents(offset, length) {
          // The first MiB of each part is a hole.
          const inPart = offset % PART;
          return inPart < MIB
            ? [{ lengthBytes: Math.min(MIB - inPart, length), isZero: true }]
            : [{ lengthBytes: Math.min(PART - inPart, length), isZero: false }];
        },
        async close() {
          open -= 1;
        },
      };
    },
    close: async () => undefined,
  };
  const parts: ReadParts = {
    readAt: (id) => remembered.get(id) ?? null,
    async wasRead(id, at) {
      remembered.set(id, at);
    },
  };
  const run = () =>
    checkData(point, parts, { signal: new AbortController().signal, now: () => NOW, progress: () => undefined });
  return { run, reads, remembered, openImages: () => open };
}

test('every byte that is no hole is read once, then remembered', async () => {
  const { run, reads, remembered, openImages } = world({});
  assert.deepEqual(await run(), { state: 'good', checkedBytes: 2 * PART - 100, checkedAt: NOW, problem: null });
  assert.deepEqual(
    reads.map((at) => at / MIB).sort((a, b) => a - b),
    [1, 2, 3, 9, 10, 11],
  );
  assert.deepEqual([...remembered.keys()], ['a', 'c']);
  reads.length = 0;
  assert.equal((await run()).checkedBytes, 0);
  assert.deepEqual(reads, []);
  assert.equal(openImages(), 0);
});

test('what was read before is dated by its oldest part', async () => {
  const old = new Date('2026-02-10T00:00:00Z');
  const { run, reads } = world({ known: [['a', old]] });
  assert.equal((await run()).checkedAt, old);
  assert.ok(reads.every((at) => at >= 2 * PART));
});

test('a damaged piece is told with its place, and the part is not remembered', async () => {
  const { run, remembered, openImages } = world({ badAt: 10 * MIB });
  const report = await run();
  assert.equal(report.state, 'damaged');
  assert.match(report.problem ?? '', /of vda/);
  assert.deepEqual([...remembered.keys()], ['a']);
  assert.equal(openImages(), 0);
});

test('a point that a check found damaged is read anew, whatever was read before', async () => {
  const { run, reads } = world({
    isSuspect: true,
    known: [
      ['a', NOW],
      ['c', NOW],
    ],
  });
  await run();
  assert.equal(reads.length, 6);
});
