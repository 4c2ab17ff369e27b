/** A place of copies as its form holds it: texts that may still be wrong, and what the API is told in the end. Pure. */

import type { BackupCopy } from '#contract/backup-copies.ts';
import type { PlaceSecrets, PlaceSettings } from '#contract/backups.ts';
import type { Retention } from '#contract/protection.ts';
import { MIB } from '#kernel/units.ts';
import { copiesText } from '../../text-copies.ts';
import { KEPT, type KeepTexts, keepTexts, retentionOf } from './schedule-draft.ts';

const words = copiesText.dialog;

export const PLACE_KINDS = ['sftp', 's3', 'mount'] as const;
export type PlaceKind = (typeof PLACE_KINDS)[number];

export interface PlaceDraft {
  readonly kind: PlaceKind;
  readonly name: string;
  /** Of SFTP. */
  readonly host: string;
  readonly port: string;
  readonly user: string;
  readonly folder: string;
  readonly auth: 'key' | 'password';
  readonly privateKey: string;
  readonly passphrase: string;
  readonly password: string;
  /** Of S3. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly isLocked: boolean;
  readonly lockDays: string;
  readonly ca: string;
  /** Of a mount. */
  readonly mountFolder: string;
}

export const newPlaceDraft = (): PlaceDraft => ({
  kind: 'sftp',
  name: '',
  host: '',
  port: '22',
  user: '',
  folder: '',
  auth: 'key',
  privateKey: '',
  passphrase: '',
  password: '',
  endpoint: '',
  bucket: '',
  prefix: '',
  region: 'us-east-1',
  accessKey: '',
  secretKey: '',
  isLocked: false,
  lockDays: '30',
  ca: '',
  mountFolder: '',
});

type Problems<Field extends string> = Readonly<Partial<Record<Field, string>>>;
export type PlaceProblems = Problems<keyof PlaceDraft>;

/** What has to be there before anything is sent; the daemon says what is wrong with the rest. */
export function placeProblems(draft: PlaceDraft): PlaceProblems {
  const port = wholeNumber(draft.port);
  const days = wholeNumber(draft.lockDays);
  const wrong: Record<PlaceKind, readonly (readonly [keyof PlaceDraft, boolean, string])[]> = {
    sftp: [
      ['host', isBlank(draft.host), words.needHost],
      ['port', port === null || port < 1 || port > 65_535, words.needPort],
      ['user', isBlank(draft.user), words.needUser],
      ['folder', isBlank(draft.folder), words.needFolder],
      ['privateKey', draft.auth === 'key' && isBlank(draft.privateKey), words.needKey],
      ['password', draft.auth === 'password' && draft.password === '', words.needPassword],
    ],
    s3: [
      ['endpoint', !/^https?:\/\/./.test(draft.endpoint.trim()), words.needEndpoint],
      ['bucket', isBlank(draft.bucket), words.needBucket],
      ['accessKey', isBlank(draft.accessKey), words.needAccessKey],
      ['secretKey', isBlank(draft.secretKey), words.needSecretKey],
      ['lockDays', draft.isLocked && (days === null || days < 1 || days > 3650), words.needDays],
    ],
    mount: [['mountFolder', !draft.mountFolder.trim().startsWith('/'), words.needWholeFolder]],
  };
  const all = [['name', isBlank(draft.name), words.needName] as const, ...wrong[draft.kind]];
  return Object.fromEntries(all.flatMap(([field, isWrong, text]) => (isWrong ? [[field, text]] : [])));
}

/** Null for a folder of this host. @param hostKey that was compared */
export function settingsOf(draft: PlaceDraft, hostKey: string | null): PlaceSettings | null {
  switch (draft.kind) {
    case 'sftp':
      return {
        kind: 'sftp',
        host: draft.host.trim(),
        port: Number(draft.port),
        user: draft.user.trim(),
        folder: draft.folder.trim(),
        hostKey,
      };
    case 's3':
      return {
        kind: 's3',
        endpoint: draft.endpoint.trim().replace(/\/+$/, ''),
        region: draft.region.trim() || 'us-east-1',
        bucket: draft.bucket.trim(),
        prefix: draft.prefix.trim().replace(/^\/+|\/+$/g, ''),
        accessKey: draft.accessKey.trim(),
        lockDays: draft.isLocked ? Number(draft.lockDays) : null,
        ca: draft.ca.trim() === '' ? null : `${draft.ca.trim()}\n`,
      };
    case 'mount':
      return null;
  }
}

type Credentials = Pick<PlaceDraft, 'auth' | 'privateKey' | 'passphrase' | 'password' | 'secretKey'>;

/** What was typed; what was left empty is not sent. */
export function secretsOf(kind: PlaceKind, draft: Credentials): PlaceSecrets {
  const { auth, privateKey, passphrase, password, secretKey } = draft;
  if (kind === 's3') return isBlank(secretKey) ? {} : { secretKey: secretKey.trim() };
  if (kind === 'mount') return {};
  if (auth === 'password') return password === '' ? {} : { password };
  return {
    // A key without its last line break is none to OpenSSH.
    ...(isBlank(privateKey) ? {} : { privateKey: `${privateKey.trim()}\n` }),
    ...(passphrase === '' ? {} : { passphrase }),
  };
}

export interface KeepDraft {
  /** Id of the repository that is copied; empty = none chosen. */
  readonly source: string;
  readonly isEnabled: boolean;
  readonly isThinned: boolean;
  readonly keep: KeepTexts;
  readonly timeZone: string;
  /** MiB in a second; empty = no limit. */
  readonly limit: string;
  readonly takesStates: boolean;
}

export const newKeepDraft = (source: string, timeZone: string): KeepDraft => ({
  source,
  isEnabled: true,
  isThinned: false,
  keep: keepTexts({ last: 0, hourly: 0, daily: 30, weekly: 8, monthly: 12, yearly: 0 }),
  timeZone,
  limit: '',
  takesStates: true,
});

export const keepDraftOf = (copy: BackupCopy): KeepDraft => ({
  ...newKeepDraft(copy.sourceId ?? '', copy.timeZone),
  isEnabled: copy.isEnabled,
  isThinned: copy.retention !== null,
  takesStates: copy.takesStates,
  ...(copy.retention === null ? {} : { keep: keepTexts(copy.retention) }),
  limit: copy.bytesPerSecond === null ? '' : String(Math.round((copy.bytesPerSecond / MIB) * 1000) / 1000),
});

export interface CopyFields {
  readonly source: string;
  readonly isEnabled: boolean;
  readonly retention: Retention | null;
  readonly timeZone: string;
  readonly bytesPerSecond: number | null;
  readonly takesStates: boolean;
}

/** What the API is told, or what is wrong in which part of the form. */
export function copyFieldsOf(draft: KeepDraft): {
  readonly fields: CopyFields | null;
  readonly problems: Problems<'source' | 'keep' | 'limit'>;
} {
  const retention = draft.isThinned ? retentionOf(draft.keep) : null;
  const isKeepWrong = draft.isThinned && (retention === null || KEPT.every((period) => retention[period] === 0));
  const limit = draft.limit.trim().replace(',', '.');
  const bytesPerSecond = limit === '' ? null : Math.round(Number(limit) * MIB);
  const isLimitWrong = bytesPerSecond !== null && !(bytesPerSecond >= 1024);
  const problems = {
    ...(draft.source === '' ? { source: words.needSource } : {}),
    ...(isKeepWrong ? { keep: words.needKeep } : {}),
    ...(isLimitWrong ? { limit: words.needLimit } : {}),
  };
  const { source, isEnabled, timeZone, takesStates } = draft;
  if (source === '' || isKeepWrong || isLimitWrong) return { fields: null, problems };
  return { fields: { source, isEnabled, retention, timeZone, bytesPerSecond, takesStates }, problems };
}

const isBlank = (text: string): boolean => text.trim() === '';
const wholeNumber = (text: string): number | null => (/^\d{1,6}$/.test(text.trim()) ? Number(text) : null);
