/** One restore point being read: its disks in an appliance, its volumes mounted there when they are first asked for. */

import type { FileVolume } from '#contract/backup-files.ts';
import { AppError } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { type AgentEntry, AgentProblem, type Appliance, type Frame } from '#platform/appliance/index.ts';
import { textOfName } from './names.ts';
import { askAll, scanVolumes, withLimit } from './questions.ts';

export interface Listing {
  /** In the order of their bytes. */
  readonly entries: readonly AgentEntry[];
  readonly isCut: boolean;
}

export interface Reader {
  volumes(): readonly FileVolume[];
  /** @throws volume_not_readable, filesystem_damaged, not_found, path_is_link, not_a_folder, file_reader_failed */
  list(volumeId: string, path: Buffer, signal: AbortSignal): Promise<Listing>;
  /** A file, or a folder with all that is below it. Ends when it is read to its end or left early.
   *  @throws as `list`, not_a_file */
  send(volumeId: string, path: Buffer, signal: AbortSignal): AsyncGenerator<Frame, void>;
  readonly ended: Promise<Error>;
  close(): Promise<void>;
}

/** More names of one folder are not read. */
const MOST_NAMES = 20_000;
/** For an answer of the agent that is not a stream. */
const ANSWER_MS = 120_000;
/** However slowly somebody takes it. */
const DOWNLOAD_MS = 12 * 3_600_000;

export async function createReader(appliance: Appliance, log: Logger, signal: AbortSignal): Promise<Reader> {
  const ask = (words: readonly (string | Buffer)[], stop?: AbortSignal) =>
    askAll(appliance, words, withLimit(ANSWER_MS, stop));
  const found = new Map(
    (await scanVolumes(appliance, withLimit(ANSWER_MS, signal))).map((volume) => [volume.id, volume]),
  );

  let mountNumber = 0;
  const mounts = new Map<string, Promise<string>>();
  const mounted = (volumeId: string): Promise<string> => {
    const volume = found.get(volumeId);
    if (!volume)
      throw new AppError('not_found', {
        detail: `There is no volume "${volumeId.slice(0, 80)}" on the disks.`,
        hint: `There are ${[...found.keys()].join(', ') || 'none'}.`,
      });
    if (!volume.isReadable) throw new AppError('volume_not_readable', { detail: `${volume.id}: ${volume.note}` });
    const before = mounts.get(volumeId);
    if (before) return before;
    const number = String(mountNumber);
    mountNumber += 1;
    // Its end is waited for by others too: whoever asked first may leave.
    const mounting = ask(['mount', volume.device, volume.kind, number]).then(
      ({ frames: remarks }) => {
        if (remarks.length > 0) log.info({ volume: volume.id }, 'a file system is read without its journal');
        return number;
      },
      (error: unknown) => {
        mounts.delete(volumeId);
        throw asProblem(error, volumeId);
      },
    );
    mounts.set(volumeId, mounting);
    return mounting;
  };

  return {
    volumes: () => [...found.values()].map(({ device: _device, ...volume }) => volume),
    async list(volumeId, path, stop) {
      const folder = await mounted(volumeId);
      try {
        const answer = await ask(['list', folder, path, String(MOST_NAMES)], stop);
        return {
          entries: answer.frames
            .flatMap((frame) => (frame.kind === 'entries' ? frame.entries : []))
            .slice(0, MOST_NAMES),
          isCut: answer.said === 'cut',
        };
      } catch (error) {
        throw asProblem(error, volumeId);
      }
    },
    async *send(volumeId, path, stop) {
      const folder = await mounted(volumeId);
      const lent = await appliance.take(stop);
      try {
        yield* lent.port.ask(
          ['send', folder, path].map((word) => Buffer.from(word)),
          withLimit(DOWNLOAD_MS, stop),
        );
      } catch (error) {
        throw asProblem(error, volumeId);
      } finally {
        lent.release();
      }
    },
    ended: appliance.ended,
    close: appliance.close,
  };
}

/** What the agent says, in the words of the API. */
function asProblem(error: unknown, volumeId: string): unknown {
  if (!(error instanceof AgentProblem))
    return error instanceof AppError ? error : new AppError('file_reader_failed', { cause: error });
  const [path = '', more = ''] = error.text
    .toString('latin1')
    .split('\n')
    .map((line) => textOfName(Buffer.from(line, 'latin1')));
  switch (error.code) {
    case 'not_found':
      return new AppError('not_found', { detail: `There is no ${path} on ${volumeId}.` });
    case 'is_link':
      return new AppError('path_is_link', {
        detail: `${path} is a symbolic link to ${more}.`,
        params: { path, target: more },
      });
    case 'not_folder':
      return new AppError('not_a_folder', { detail: 'It is a file.' });
    case 'not_file':
      return new AppError('not_a_file');
    case 'damaged':
      return new AppError('filesystem_damaged', {
        detail: `The file system on ${volumeId} cannot be read: ${more || path}.`.slice(0, 500),
      });
    default:
      return new AppError('file_reader_failed', { cause: error });
  }
}
