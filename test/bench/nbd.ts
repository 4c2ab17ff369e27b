/** Bytes over NBD: our client beside nbdcopy on one qemu-nbd, and our server beside qemu-nbd under qemu-img convert. */

import { randomFillSync } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mapLimit } from '#kernel/async.ts';
import { GIB, MIB } from '#kernel/units.ts';
import {
  ALLOCATION_CONTEXT,
  connectNbd,
  EXTENT_FLAGS,
  type NbdSource,
  type SourceExtent,
  serveNbd,
} from '#platform/nbd/index.ts';
import { runChecked } from '#platform/process.ts';
import { startQemuNbd } from '#test/support/qemu-nbd.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { inTurns, millisecondsOf } from './libvirt/rounds.ts';

/** Half of the disk is data, in stretches as a file system leaves them. */
const STRETCH_BYTES = 32 * MIB;
const DATA_MIB = GIB / 2 / MIB;
const CHUNK_BYTES = MIB;
const READS_AT_ONCE = 8;

const isDataAt = (offsetBytes: number) => Math.floor(offsetBytes / STRETCH_BYTES) % 2 === 0;

/** Takes about a minute and 512 MiB of disk. Needs `nbdcopy` (Debian package libnbd-bin). */
export async function run(): Promise<Measurement[]> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-bench-nbd-'));
  try {
    const image = join(folder, 'disk.raw');
    await makeDisk(image);
    const theirs = join(folder, 'theirs.sock');
    await using _server = await startQemuNbd({ image, format: 'raw', exportName: 'vda', listenOn: theirs });
    return [await measureClients(theirs), ...(await measureServers(image, theirs, join(folder, 'ours.sock')))];
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

async function makeDisk(path: string): Promise<void> {
  await using file = await open(path, 'w');
  await file.truncate(GIB);
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < GIB; at += CHUNK_BYTES)
    if (isDataAt(at)) await file.write(randomFillSync(chunk), 0, chunk.length, at);
}

const uriOf = (socketPath: string) => `nbd+unix:///vda?socket=${socketPath}`;
const tool = (...argv: readonly string[]) => runChecked(argv, { timeoutMs: 120_000 });
const speedOf = async (work: () => Promise<unknown>) => (DATA_MIB * 1_000) / (await millisecondsOf(work));

async function measureClients(socketPath: string): Promise<Measurement> {
  const { ours, nbdcopy } = await inTurns(
    {
      ours: () => speedOf(() => readAllData(socketPath)),
      nbdcopy: () => speedOf(() => tool('nbdcopy', uriOf(socketPath), 'null:')),
    },
    { rounds: 5, better: 'more' },
  );
  return {
    name: 'nbd: data of a sparse disk of 1 GiB read from qemu-nbd | nbdcopy to null:',
    ours,
    rival: nbdcopy,
    ratio: ours / nbdcopy,
    bar: '≥ 0.8×',
    unit: 'MiB/s',
  };
}

/** As a backup reads: extents first, then whole chunks, some at once. */
async function readAllData(socketPath: string): Promise<void> {
  const connection = await connectNbd({ socketPath }, { exportName: 'vda', contexts: [ALLOCATION_CONTEXT] });
  const offsets: number[] = [];
  for await (const { offsetBytes, lengthBytes, flags } of connection.extents(ALLOCATION_CONTEXT))
    if ((flags & EXTENT_FLAGS.zero) === 0)
      for (let at = offsetBytes; at < offsetBytes + lengthBytes; at += CHUNK_BYTES) offsets.push(at);
  if (offsets.length !== DATA_MIB) throw new Error(`${offsets.length} chunks of data instead of ${DATA_MIB}`);
  await mapLimit(offsets, READS_AT_ONCE, async (offset) => {
    // Let go of at once, as a backup does when a chunk is stored.
    await connection.read(offset, CHUNK_BYTES);
  });
  await connection.close();
}

async function measureServers(image: string, theirs: string, ours: string): Promise<Measurement[]> {
  await using file = await open(image, 'r');
  const source: NbdSource = {
    sizeBytes: GIB,
    async read(offsetBytes, lengthBytes) {
      const { buffer } = await file.read(Buffer.allocUnsafe(lengthBytes), 0, lengthBytes, offsetBytes);
      return buffer;
    },
    extents: async (offsetBytes, lengthBytes) => stretches(offsetBytes, offsetBytes + lengthBytes),
  };
  const server = await serveNbd({ socketPath: ours, exports: new Map([['vda', source]]) });
  const nothing = `driver=null-co,size=${GIB}`;
  const convert = (socketPath: string) =>
    tool('qemu-img', 'convert', '-f', 'raw', '-n', '--target-image-opts', uriOf(socketPath), nothing);
  const nbdcopy = (socketPath: string) => tool('nbdcopy', uriOf(socketPath), 'null:');
  const measurements: Measurement[] = [];
  for (const [what, work] of [
    ['qemu-img convert', convert],
    ['nbdcopy', nbdcopy],
  ] as const) {
    const speeds = await inTurns(
      { ours: () => speedOf(() => work(ours)), theirs: () => speedOf(() => work(theirs)) },
      { rounds: 5, better: 'more' },
    );
    measurements.push({
      name: `nbd: ${what} of a sparse disk of 1 GiB from our server | from qemu-nbd`,
      ours: speeds.ours,
      rival: speeds.theirs,
      ratio: speeds.ours / speeds.theirs,
      bar: '≥ 0.5×',
      unit: 'MiB/s',
    });
  }
  await server.close();
  return measurements;
}

function stretches(start: number, end: number): SourceExtent[] {
  const extents: SourceExtent[] = [];
  for (let at = start; at < end; ) {
    const next = Math.min(end, (Math.floor(at / STRETCH_BYTES) + 1) * STRETCH_BYTES);
    extents.push({ lengthBytes: next - at, isZero: !isDataAt(at) });
    at = next;
  }
  return extents;
}
