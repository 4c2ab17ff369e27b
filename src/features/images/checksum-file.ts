/** Reads checksum files as projects publish them: GNU (`hash  name`), BSD (`SHA256 (name) = hash`), a lone hash, and any of these
 *  inside an OpenPGP clear-signed message. Unknown lines are skipped; nothing here says that a file is authentic. */

export interface ChecksumLine {
  readonly kind: 'sha256' | 'sha512';
  /** Lower-case hexadecimal. */
  readonly digest: string;
  /** Name as written, without a leading folder; null for a lone hash. */
  readonly fileName: string | null;
}

const MAX_LINES = 20_000;
const KIND_BY_LENGTH: Readonly<Record<number, ChecksumLine['kind']>> = { 64: 'sha256', 128: 'sha512' };

const BSD = /^(?:SHA-?(256|512)) ?\(([^()]{1,512})\) ?= ?([0-9a-fA-F]{64,128})$/i;
const GNU = /^\\?([0-9a-fA-F]{64,128})[ \t]+[*]?(\S.{0,511})$/;
const LONE = /^([0-9a-fA-F]{64,128})$/;

/** The lines of the signed part of a clear-signed message, unescaped; all lines when it is not one. */
function signedPart(text: string): readonly string[] {
  const lines = text.split(/\r?\n/, MAX_LINES).map((line) => line.trimEnd());
  const begin = lines.indexOf('-----BEGIN PGP SIGNED MESSAGE-----');
  if (begin < 0) return lines;
  const body = lines.indexOf('', begin);
  const end = lines.indexOf('-----BEGIN PGP SIGNATURE-----', begin);
  if (body < 0) return [];
  return lines.slice(body + 1, end < 0 ? undefined : end).map((line) => line.replace(/^- /, ''));
}

export function parseChecksumFile(text: string): readonly ChecksumLine[] {
  const found: ChecksumLine[] = [];
  const add = (digest: string | undefined, fileName: string | null, stated?: string) => {
    const kind = KIND_BY_LENGTH[digest?.length ?? 0];
    if (digest === undefined || kind === undefined || (stated !== undefined && kind !== `sha${stated}`)) return;
    found.push({ kind, digest: digest.toLowerCase(), fileName: fileName === null ? null : baseName(fileName) });
  };
  for (const line of signedPart(text)) {
    const bsd = BSD.exec(line);
    const gnu = bsd ? null : GNU.exec(line);
    const lone = bsd || gnu ? null : LONE.exec(line);
    if (bsd) add(bsd[3], bsd[2] ?? null, bsd[1]);
    else if (gnu) add(gnu[1], gnu[2] ?? null);
    else if (lone) add(lone[1], null);
  }
  return found;
}

function baseName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

export interface ChecksumWanted {
  readonly kind: ChecksumLine['kind'];
  /** A name, or a pattern of which the highest version wins. */
  readonly file: { readonly name: string } | { readonly pattern: RegExp };
  /** `only`: a file that speaks of exactly one digest is taken whatever name it gives. */
  readonly line: 'by_name' | 'only';
}

/** The line for an image, or null when there is none or when two lines contradict each other. A lone hash fits any name. */
export function findChecksum(
  lines: readonly ChecksumLine[],
  { kind, file, line }: ChecksumWanted,
): ChecksumLine | null {
  const ofKind = lines.filter((candidate) => candidate.kind === kind);
  const single = unanimous(ofKind);
  if (line === 'only') return single;
  if ('name' in file) {
    const named = ofKind.filter((candidate) => candidate.fileName === file.name);
    return named.length > 0 ? unanimous(named) : single?.fileName === null ? single : null;
  }
  const fitting = ofKind.filter((candidate) => candidate.fileName !== null && file.pattern.test(candidate.fileName));
  const newest = fitting
    .map((candidate) => candidate.fileName ?? '')
    .sort(byVersion)
    .at(-1);
  return unanimous(fitting.filter((candidate) => candidate.fileName === newest));
}

function unanimous(lines: readonly ChecksumLine[]): ChecksumLine | null {
  const first = lines[0];
  return first !== undefined && lines.every((other) => other.digest === first.digest) ? first : null;
}

/** The version-like parts of a name as numbers: `ubuntu-26.04.1-live-server-amd64.iso` is [[26, 4, 1], [64]]. */
function versionsIn(name: string): number[][] {
  return [...name.matchAll(/\d+(?:\.\d+)*/g)].map((match) => match[0].split('.').map(Number));
}

/** `26.04` before `26.04.2` before `26.04.10`. */
function byVersion(a: string, b: string): number {
  const [left, right] = [versionsIn(a), versionsIn(b)];
  for (const [index, version] of left.entries()) {
    const other = right[index] ?? [];
    for (let part = 0; part < Math.max(version.length, other.length); part += 1) {
      const difference = (version[part] ?? -1) - (other[part] ?? -1);
      if (difference !== 0) return difference;
    }
  }
  return a < b ? -1 : 1;
}
