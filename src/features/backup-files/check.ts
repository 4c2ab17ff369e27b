/** Checks the file systems of a restore point with the checkers of each kind, in an appliance. What a file system mends by itself after a
 *  power cut is no damage. */

import type { FilesystemCheck } from '#contract/backup-files.ts';
import { messageOf } from '#kernel/errors.ts';
import { AgentProblem, type Appliance } from '#platform/appliance/index.ts';
import { textOfName } from './names.ts';
import { askAll, scanVolumes, withLimit } from './questions.ts';
import type { FoundVolume } from './volumes.ts';

const SCAN_MS = 120_000;
const MOST_TEXT = 2000;

/** What the exit status of a checker means; see its manual. A status that is not named means that it could not work. */
const MEANING: Readonly<Record<string, Readonly<Record<number, FilesystemCheck['state']>>>> = {
  e2fsck: { 0: 'clean', 1: 'mended', 2: 'mended', 3: 'mended', 4: 'damaged', 5: 'damaged' },
  xfs_repair: { 0: 'clean', 1: 'damaged' },
  btrfs: { 0: 'clean', 1: 'damaged' },
  // Without a journal: what a power cut leaves on them is told as what damage is.
  'fsck.fat': { 0: 'clean', 1: 'doubtful' },
  ntfsfix: { 0: 'clean', 1: 'doubtful' },
};
/** ext2 has no journal either. */
const WITHOUT_JOURNAL: ReadonlySet<string> = new Set(['ext2']);

/** @param limitMs for all of them; those that it does not reach are told as unchecked
 *  @throws the signal's reason; a file system that cannot be checked is an answer */
export async function checkVolumes(
  appliance: Appliance,
  limitMs: number,
  signal: AbortSignal,
  onVolume: (id: string) => void,
): Promise<FilesystemCheck[]> {
  const limit = withLimit(limitMs, signal);
  const checks: FilesystemCheck[] = [];
  for (const volume of await scanVolumes(appliance, withLimit(SCAN_MS, limit))) {
    if (!volume.isReadable || volume.kind === 'iso9660' || volume.kind === 'udf') continue;
    onVolume(volume.id);
    checks.push(await checkVolume(appliance, volume, limit, signal));
  }
  return checks;
}

async function checkVolume(
  appliance: Appliance,
  { id, device, kind }: FoundVolume,
  limit: AbortSignal,
  signal: AbortSignal,
): Promise<FilesystemCheck> {
  const result = (state: FilesystemCheck['state'], text: string): FilesystemCheck => ({
    volume: id,
    kind,
    state,
    text,
  });
  if (limit.aborted) return result('unchecked', 'There was no time left for it.');
  try {
    const { frames, said } = await askAll(appliance, ['check', device, kind], limit);
    const [program = '', status = ''] = said.split('\n');
    const state = MEANING[program]?.[Number(status)] ?? 'unchecked';
    const output = frames.flatMap((frame) => (frame.kind === 'data' ? [frame.bytes] : []));
    return result(
      state === 'damaged' && WITHOUT_JOURNAL.has(kind) ? 'doubtful' : state,
      `${program}: ${printed(Buffer.concat(output)) || 'nothing to say'}`,
    );
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted) return result('unchecked', 'It took longer than there was time for.');
    if (error instanceof AgentProblem && error.code === 'unsupported')
      return result('unchecked', 'There is no checker for its kind.');
    return result('unchecked', error instanceof AgentProblem ? printed(error.text) : messageOf(error));
  }
}

/** The end of what a checker printed: there it says what it thinks. */
function printed(bytes: Buffer): string {
  const lines = bytes
    .toString('latin1')
    .split(/[\r\n]+/)
    .filter((line) => line.trim() !== '');
  return lines
    .map((line) => textOfName(Buffer.from(line, 'latin1')))
    .join('; ')
    .slice(-MOST_TEXT);
}
