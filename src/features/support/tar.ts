/** A tar archive of a few small files. Format: POSIX.1-2017, pax, "ustar Interchange Format". */

const BLOCK_BYTES = 512;

export interface ArchiveFile {
  /** At most 100 characters of ASCII. */
  readonly name: string;
  readonly text: string;
}

export function tarOf(files: readonly ArchiveFile[], at: Date): Buffer {
  const blocks = files.flatMap(({ name, text }) => {
    const content = Buffer.from(text);
    const padding = Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES);
    return [headerOf(name, content.length, at), content, padding];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]);
}

const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`;

function headerOf(name: string, sizeBytes: number, at: Date): Buffer {
  if (!/^[\x21-\x7e]{1,100}$/.test(name)) throw new TypeError(`"${name}" cannot be the name of a file in an archive`);
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, 0);
  header.write(octal(0o600, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(sizeBytes, 11), 124);
  header.write(octal(Math.floor(at.getTime() / 1000), 11), 136);
  // The checksum counts its own field as blanks.
  header.write(' '.repeat(8), 148);
  header.write('0', 156);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}
