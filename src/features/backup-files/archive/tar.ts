/** Tar as POSIX.1-2001 has it (pax): any name, any size. What could not be read is told in a last entry. */

import type { Tree, TreeEntry } from '../tree.ts';
import { LEFT_OUT_NAME, leftOutText } from './left-out.ts';

const BLOCK = 512;
const END = Buffer.alloc(2 * BLOCK);

/** @param top name of the folder in the archive */
export async function* tarOf(tree: Tree, top: Buffer): AsyncGenerator<Buffer, void, void> {
  yield* entryOf(tree.root, top);
  for await (const entry of tree.below()) yield* entryOf(entry, Buffer.concat([top, Buffer.from('/'), entry.path]));
  const leftOut = leftOutText(tree.leftOut());
  if (leftOut !== null) {
    yield* header({
      path: Buffer.concat([top, Buffer.from(`/${LEFT_OUT_NAME}`)]),
      type: '0',
      mode: 0o600,
      uid: 0,
      gid: 0,
      sizeBytes: leftOut.length,
      modifiedSeconds: Math.floor(Date.now() / 1000),
      target: Buffer.alloc(0),
    });
    yield leftOut;
    yield padding(leftOut.length);
  }
  yield END;
}

async function* entryOf(entry: TreeEntry, path: Buffer): AsyncGenerator<Buffer, void, void> {
  const { kind, sizeBytes } = entry;
  if (kind === 'file') {
    yield* header({ ...entry, path, type: '0' });
    yield* entry.content();
    yield padding(sizeBytes);
  } else
    yield* header({
      ...entry,
      path: kind === 'folder' ? Buffer.concat([path, Buffer.from('/')]) : path,
      type: kind === 'folder' ? '5' : '2',
      sizeBytes: 0,
    });
}

interface Header {
  readonly path: Buffer;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly modifiedSeconds: number;
  readonly target: Buffer;
}

const MOST_SIZE = 0o77777777777;
const MOST_ID = 0o7777777;

function* header(of: Header): Generator<Buffer> {
  const isPlainTime = of.modifiedSeconds >= 0 && of.modifiedSeconds <= MOST_SIZE;
  const records: [string, Buffer][] = [];
  if (isLong(of.path)) records.push(['path', of.path]);
  if (isLong(of.target)) records.push(['linkpath', of.target]);
  if (records.some(([, value]) => !isText(value))) records.unshift(['hdrcharset', Buffer.from('BINARY')]);
  for (const [key, value, most] of [
    ['size', of.sizeBytes, MOST_SIZE],
    ['uid', of.uid, MOST_ID],
    ['gid', of.gid, MOST_ID],
  ] as const)
    if (value > most) records.push([key, Buffer.from(String(value))]);
  if (!isPlainTime) records.push(['mtime', Buffer.from(String(of.modifiedSeconds))]);
  if (records.length > 0) {
    const body = Buffer.concat(records.map(([key, value]) => record(key, value)));
    yield block({
      ...of,
      path: Buffer.from('pax-header'),
      target: Buffer.alloc(0),
      type: 'x',
      sizeBytes: body.length,
      uid: 0,
      gid: 0,
      modifiedSeconds: 0,
      mode: 0o600,
    });
    yield body;
    yield padding(body.length);
  }
  yield block({
    ...of,
    sizeBytes: Math.min(of.sizeBytes, MOST_SIZE),
    uid: Math.min(of.uid, MOST_ID),
    gid: Math.min(of.gid, MOST_ID),
    modifiedSeconds: isPlainTime ? of.modifiedSeconds : 0,
  });
}

const isText = (bytes: Buffer) => Buffer.from(bytes.toString('utf8')).equals(bytes);
const isLong = (bytes: Buffer) => bytes.length > 100 || bytes.some((byte) => byte < 0x20 || byte > 0x7e);

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function block(of: Header): Buffer {
  const bytes = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number) =>
    bytes.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  of.path.copy(bytes, 0, 0, 100);
  octal(of.mode, 100, 7);
  octal(of.uid, 108, 7);
  octal(of.gid, 116, 7);
  octal(of.sizeBytes, 124, 11);
  octal(of.modifiedSeconds, 136, 11);
  bytes.fill(' ', 148, 156);
  bytes.write(of.type, 156, 'latin1');
  of.target.copy(bytes, 157, 0, 100);
  bytes.write('ustar\x0000', 257, 'latin1');
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}

const padding = (sizeBytes: number) => Buffer.alloc((BLOCK - (sizeBytes % BLOCK)) % BLOCK);
