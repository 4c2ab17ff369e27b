/** Serves a disk file of a VM that is off, read-only, by qemu-nbd. For VMs that cannot be started for it. */

import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { connectNbd } from '#platform/nbd/index.ts';
import { runChecked } from '#platform/process.ts';
import { makePassable } from '#platform/qemu-access.ts';
import type { DiskDoor } from './run-session.ts';

const READY_MS = 15_000;
const LOOK_MS = 50;
/** Longer than any disk is read; it ends with its door. */
const MOST_MS = 7 * 86_400_000;

export interface FileDoor {
  readonly path: string;
  readonly format: string;
  readonly target: string;
  readonly socketPath: string;
}

/** @throws backup_interrupted when the file cannot be served */
export async function openFileDoor(file: FileDoor, clock: Pick<Clock, 'sleep' | 'monotonicMs'>): Promise<DiskDoor> {
  const { path, format, target, socketPath } = file;
  await makePassable(dirname(socketPath));
  await rm(socketPath, { force: true });
  const end = new AbortController();
  let failure: unknown = null;
  const work = runChecked(
    [
      'qemu-nbd',
      '--read-only',
      '--persistent',
      '--shared=4',
      `--format=${format}`,
      `--socket=${socketPath}`,
      `--export-name=${target}`,
      '--',
      path,
    ],
    { timeoutMs: MOST_MS, signal: end.signal },
  ).catch((error: unknown) => {
    failure = error;
  });
  const close = async () => {
    end.abort(new Error('the door is closed'));
    await work;
    await rm(socketPath, { force: true });
  };
  const until = clock.monotonicMs() + READY_MS;
  for (;;) {
    try {
      await (await connectNbd({ socketPath }, { exportName: target })).close();
      return { socketPath, exportName: target, dirtyContext: null, close };
    } catch (error) {
      if (failure === null && clock.monotonicMs() < until) {
        await clock.sleep(LOOK_MS);
        continue;
      }
      await close();
      throw new AppError('backup_interrupted', {
        detail: `The file of ${target} cannot be read.`,
        hint: 'Another program may have it open; the log has the reason.',
        cause: failure ?? error,
      });
    }
  }
}
