/** Processes that are killed at random: numbers that follow from a seed, and one life of a worker that prints what it has done. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** Numbers from 0 to 1, the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs a worker until it is killed, or, without `livesMs`, until it ends well.
 *  @param livesMs from its first line to SIGKILL
 *  @returns the lines that it printed whole, as numbers */
export async function workerLife(worker: string, args: readonly string[], livesMs: number | null): Promise<number[]> {
  const child = spawn(process.execPath, [worker, ...args]);
  let said = '';
  let complaint = '';
  let begun: () => void = () => undefined;
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8');
    begun();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString('utf8');
  });
  const closed = once(child, 'close');
  await Promise.race([hasBegun, closed]);
  if (livesMs !== null) {
    await Promise.race([sleep(livesMs), closed]);
    child.kill('SIGKILL');
  }
  const [code] = await closed;
  assert.equal(complaint, '');
  assert.equal(code, livesMs === null ? 0 : null);
  return said.split('\n').slice(0, -1).map(Number);
}
