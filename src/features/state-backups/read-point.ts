/** Reads state points: which there are, what one of them says, and whether all of it is there and as it was. */

import { z } from 'zod';
import type { StatePoint } from '#contract/state-backups.ts';
import { openEnvelope, type PointDocuments, type Repository, readRecoveryKey } from '#features/backups/index.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import { VERSION } from '#platform/version.ts';
import {
  type Definitions,
  definitionsSchema,
  HEADER,
  headerSchema,
  SECRETS,
  type Secrets,
  type StateHeader,
  secretsSchema,
  sha256,
} from './header.ts';
import { type StateKey, stateKeyOf } from './state-key.ts';

export interface FoundState extends StatePoint {
  readonly series: string;
  /** In the order of their making. */
  readonly seq: number;
}

/** All states in a repository, newest first. Of a manifest that cannot be read it is not known of which host and moment it was: it is left
 *  out. */
export async function listStates(repository: Repository, ownSeries: string | null): Promise<readonly FoundState[]> {
  const found: FoundState[] = [];
  for await (const { vm, pointId, seq, manifest, problem } of repository.states()) {
    if (manifest === null) continue;
    found.push({
      id: pointId,
      series: vm,
      seq,
      host: manifest.host,
      madeAt: manifest.pointInTime,
      isOwn: vm === ownSeries,
      problem: problem?.message ?? null,
    });
  }
  return found.toSorted((a, b) => (a.madeAt < b.madeAt ? 1 : -1));
}

export interface OpenState {
  readonly header: StateHeader;
  /** SHA-256 of the header's document. */
  readonly digest: string;
  readonly proof: 'repository' | 'recovery_key' | 'none';
  readonly secrets: 'come' | 'stay_out' | 'locked';
  /** The bytes of a document, once they have the digest of the header. @throws state_damaged */
  read(document: { readonly name: string; readonly sha256: string }): Promise<Buffer>;
  definitions(): Promise<Definitions>;
  /** @throws state_damaged */
  readSecrets(): Promise<Secrets>;
  /** Reads every document. @throws state_damaged */
  verify(): Promise<void>;
  close(): Promise<void>;
}

/** @param typed the recovery key of the state; not looked at in an encrypted repository, which was opened by its own
 *  @throws state_damaged, key_wrong when it is not the key of this state, or the state has no proof of it */
export async function openState(
  repository: Repository,
  pointId: string,
  typed: string | undefined,
): Promise<OpenState> {
  const damaged = (reason: string, cause?: unknown) =>
    new AppError('state_damaged', {
      detail: `The state ${pointId} cannot be brought back: ${reason}`,
      params: { point: pointId },
      cause,
    });
  const documents = await opened(repository, pointId, damaged);
  try {
    const bytes = await documents.read(HEADER).catch((error: unknown) => {
      throw damaged(messageOf(error), error);
    });
    const key = repository.isEncrypted || typed === undefined ? null : stateKeyOf(readRecoveryKey(typed));
    const { header, hasMac } = readHeader(bytes, key, damaged);
    if (header.series !== documents.manifest.vm) throw damaged('its contents belong to another one.');
    if (key !== null && header.keyId !== key.id) throw wrongKey(header);
    if (key !== null && !hasMac) throw damaged('its proof does not fit: it was changed after it was made.');

    const read: OpenState['read'] = async (document) => {
      const content = await documents.read(document.name).catch((error: unknown) => {
        throw damaged(messageOf(error), error);
      });
      if (sha256(content) !== document.sha256)
        throw damaged(`"${document.name}" is not what its table of contents says.`);
      return content;
    };
    const parsed = <Value>(what: string, parse: () => Value): Value => {
      try {
        return parse();
      } catch (cause) {
        throw damaged(`${what} cannot be read.`, cause);
      }
    };
    return {
      header,
      digest: sha256(bytes),
      proof: repository.isEncrypted ? 'repository' : key === null ? 'none' : 'recovery_key',
      secrets: header.secrets === null ? 'stay_out' : header.secrets.isSealed && key === null ? 'locked' : 'come',
      read,
      async definitions() {
        const all: Definitions = [];
        for (const document of header.definitions) {
          const content = await read(document);
          all.push(...parsed('a definition', () => definitionsSchema.parse(JSON.parse(content.toString('utf8')))));
        }
        return all;
      },
      async readSecrets() {
        if (header.secrets === null || (header.secrets.isSealed && key === null)) return [];
        const { isSealed } = header.secrets;
        const content = await read({ ...header.secrets, name: SECRETS });
        return parsed('what is secret in it', () =>
          secretsSchema.parse(JSON.parse((isSealed && key ? key.open(content) : content).toString('utf8'))),
        );
      },
      async verify() {
        for (const { parts } of header.tables) for (const part of parts) await read(part);
        for (const document of header.definitions) await read(document);
        if (header.secrets !== null) await read({ ...header.secrets, name: SECRETS });
      },
      close: () => documents.close(),
    };
  } catch (error) {
    await documents.close();
    throw error;
  }
}

type Damaged = (reason: string, cause?: unknown) => AppError;

async function opened(repository: Repository, pointId: string, damaged: Damaged): Promise<PointDocuments> {
  try {
    const documents = await repository.openDocuments(pointId);
    if (documents.manifest.kind === 'state') return documents;
    await documents.close();
  } catch (error) {
    if (error instanceof AppError && error.code === 'point_damaged') throw damaged(error.message, error);
    throw error;
  }
  throw new AppError('state_not_found', { detail: `${pointId} is a restore point of a VM, not the state of a host.` });
}

/** With the key when there is one; a header that only lacks its proof is read all the same, so that the right words can be found. */
function readHeader(bytes: Buffer, key: StateKey | null, damaged: Damaged): { header: StateHeader; hasMac: boolean } {
  const open = (macKey: Uint8Array | null | 'unknown') => {
    const { body } = openEnvelope(bytes, macKey);
    const form = formSchema.parse(body);
    if (form.v > 1) throw tooNew(form.version);
    return headerSchema.parse(body);
  };
  const tries: readonly (Uint8Array | null | 'unknown')[] = [...(key === null ? [] : [key.mac]), null, 'unknown'];
  let last: unknown;
  for (const macKey of tries)
    try {
      return { header: open(macKey), hasMac: macKey instanceof Uint8Array };
    } catch (error) {
      if (error instanceof AppError) throw error;
      last = error;
    }
  throw damaged('its table of contents is damaged.', last);
}

const formSchema = z.object({ v: z.int(), version: z.string() });

/** @param version of the program that made it */
export const tooNew = (version: string): AppError =>
  new AppError('state_too_new', {
    detail: `The state was made by version ${version}; this is ${VERSION}, which does not know all of it.`,
    params: { version },
  });

const wrongKey = ({ keyId, madeAt }: StateHeader): AppError =>
  new AppError('key_wrong', {
    detail:
      keyId === null
        ? `The state of ${madeAt} was made without a recovery key, or by somebody who does not have yours.`
        : `The state of ${madeAt} belongs to another recovery key.`,
    hint:
      keyId === null
        ? 'Leave the key out to look at the plan; choose a later state with --point when there is one.'
        : 'Use the key that was valid then; a new one seals only what is made after it.',
  });
