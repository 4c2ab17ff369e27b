/** The data types of the SSH protocol (RFC 4251 section 5): strings, 32-bit numbers, positive big integers.
 *  Strict on purpose: each value has one encoding, so a changed byte is always another value or an error. */

/** Bytes that are not what they should be. The message names the place and carries nothing of the content. */
export class SshWireError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SshWireError';
  }
}

/** No field of a key or signature that we know is longer. */
const MAX_STRING_BYTES = 64 * 1024;

export class SshReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #take(length: number, what: string): Buffer {
    if (this.#at + length > this.#bytes.length) throw new SshWireError(`${what} is cut off`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  raw(length: number, what: string): Buffer {
    return this.#take(length, what);
  }

  byte(what: string): number {
    return this.#take(1, what).readUInt8();
  }

  uint32(what: string): number {
    return this.#take(4, what).readUInt32BE();
  }

  string(what: string): Buffer {
    const length = this.uint32(what);
    if (length > MAX_STRING_BYTES) throw new SshWireError(`${what} is too long`);
    return this.#take(length, what);
  }

  /** A string of printable ASCII. */
  text(what: string): string {
    const text = this.string(what).toString('latin1');
    if (!/^[\x21-\x7e]*$/.test(text)) throw new SshWireError(`${what} holds other than printable ASCII`);
    return text;
  }

  /** A positive integer in its shortest form, without the sign byte. */
  positive(what: string): Buffer {
    const bytes = this.string(what);
    const [first = 0, second = 0] = bytes;
    if (bytes.length === 0 || first >= 0x80) throw new SshWireError(`${what} is not positive`);
    if (first !== 0) return bytes;
    if (bytes.length === 1 || second < 0x80) throw new SshWireError(`${what} has needless zeros`);
    return bytes.subarray(1);
  }

  /** @throws SshWireError when anything is left */
  end(what: string): void {
    if (this.#at !== this.#bytes.length) throw new SshWireError(`${what} has bytes behind its end`);
  }
}

/** An SSH string: its length and its bytes. */
export function sshString(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** What an SSHSIG signature is made over (OpenSSH, PROTOCOL.sshsig): not the message but its hash with its purpose.
 *  @param digest hash of the message by `hashName` */
export function sshsigSignedBytes(namespace: string, hashName: string, digest: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from('SSHSIG'),
    sshString(namespace),
    sshString(''),
    sshString(hashName),
    sshString(digest),
  ]);
}

/** The namespace of every signature that opens something here: one made for git or for a file never can. */
export const SIGN_IN_NAMESPACE = 'login@hyper-nixos';
