/** Questions to an appliance whose answers are taken whole. */

import type { Appliance, Frame } from '#platform/appliance/index.ts';
import { type FoundVolume, volumeOf } from './volumes.ts';

export interface WholeAnswer {
  readonly frames: readonly Frame[];
  /** The text of its last frame. */
  readonly said: string;
}

const MOST_VOLUMES = 256;
/** More than any of the answers that are taken whole. */
const MOST_FRAMES = 20_000;

/** @throws AgentProblem, the signal's reason, why the appliance ended */
export async function askAll(
  appliance: Appliance,
  words: readonly (string | Buffer)[],
  signal: AbortSignal,
): Promise<WholeAnswer> {
  const lent = await appliance.take(signal);
  try {
    const frames: Frame[] = [];
    const answer = lent.port.ask(
      words.map((word) => Buffer.from(word)),
      signal,
    );
    for (;;) {
      const next = await answer.next();
      if (next.done) return { frames, said: next.value };
      if (frames.length < MOST_FRAMES) frames.push(next.value);
    }
  } finally {
    lent.release();
  }
}

/** What lies on the disks. */
export async function scanVolumes(appliance: Appliance, signal: AbortSignal): Promise<FoundVolume[]> {
  const found = new Map<string, FoundVolume>();
  for (const frame of (await askAll(appliance, ['scan'], signal)).frames) {
    const volume = frame.kind === 'data' && found.size < MOST_VOLUMES ? volumeOf(frame.bytes) : null;
    if (volume !== null) found.set(volume.id, volume);
  }
  return [...found.values()];
}

export const withLimit = (ms: number, signal?: AbortSignal): AbortSignal =>
  signal === undefined ? AbortSignal.timeout(ms) : AbortSignal.any([signal, AbortSignal.timeout(ms)]);
