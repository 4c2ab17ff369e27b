/** A client of the SSH agent (draft-ietf-sshm-ssh-agent): which keys it holds, and a signature by one of them. */

import { connect } from 'node:net';
import { SshReader, sshString, uint32 } from '#kernel/ssh-wire.ts';

const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
/** RSA with SHA-512 instead of SHA-1. */
const RSA_SHA2_512 = 4;
const MAX_ANSWER = 256 * 1024;
/** Somebody may have to touch a security key or to confirm in a window. */
const DEADLINE_MS = 60_000;

export interface AgentKey {
  readonly type: string;
  readonly blob: Buffer;
  readonly comment: string;
}

/** The keys of the agent behind `socketPath`. @throws Error when there is no agent or it speaks another language */
export async function agentKeys(socketPath: string): Promise<AgentKey[]> {
  const reader = await ask(socketPath, Buffer.of(REQUEST_IDENTITIES), IDENTITIES_ANSWER);
  const keys: AgentKey[] = [];
  for (let left = reader.uint32('the number of keys'); left > 0; left -= 1) {
    const blob = reader.string('a key');
    const comment = reader.string('a comment').toString('utf8');
    keys.push({ type: new SshReader(blob).text('the type of a key'), blob, comment });
  }
  return keys;
}

/** The inner signature of SSH over these bytes. @throws Error when the agent refuses */
export async function agentSign(socketPath: string, key: AgentKey, bytes: Uint8Array): Promise<Buffer> {
  const flags = key.type === 'ssh-rsa' ? RSA_SHA2_512 : 0;
  const request = Buffer.concat([Buffer.of(SIGN_REQUEST), sshString(key.blob), sshString(bytes), uint32(flags)]);
  return (await ask(socketPath, request, SIGN_RESPONSE)).string('the signature');
}

function ask(socketPath: string, message: Buffer, expected: number): Promise<SshReader> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    let received = Buffer.alloc(0);
    const settle = (act: () => void) => {
      socket.destroy();
      act();
    };
    socket.setTimeout(DEADLINE_MS, () => settle(() => reject(new Error('the SSH agent does not answer'))));
    socket.on('error', (error) => settle(() => reject(error)));
    socket.on('end', () => settle(() => reject(new Error('the SSH agent ended the connection'))));
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      if (received.length < 4) return;
      const length = received.readUInt32BE();
      if (length > MAX_ANSWER) settle(() => reject(new Error('the SSH agent answers more than it should')));
      else if (received.length >= 4 + length)
        settle(() => {
          const reader = new SshReader(received.subarray(4, 4 + length));
          if (length > 0 && reader.byte('the kind of the answer') === expected) resolve(reader);
          else reject(new Error('the SSH agent refused'));
        });
    });
    socket.write(sshString(message));
  });
}
