/** Signs a challenge with a key of the user: one in the SSH agent, or a file through ssh-keygen, which asks for the
 *  passphrase on the terminal itself. The private key never passes through here. */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import { SIGN_IN_NAMESPACE, sshString, sshsigSignedBytes, uint32 } from '#kernel/ssh-wire.ts';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { type AgentKey, agentKeys, agentSign } from './ssh-agent.ts';

export interface Signer {
  /** For people: comment and fingerprint, or the file. */
  readonly label: string;
  /** How it is found again: fingerprint or file. */
  readonly id: string;
  /** Armoured signature of the text for the sign-in namespace. */
  sign(text: string): Promise<string>;
}

/** More tries would only be slowed by the server. */
const MAX_SIGNERS = 6;
const DEFAULT_FILES = ['id_ed25519', 'id_ed25519_sk', 'id_ecdsa', 'id_ecdsa_sk', 'id_rsa'];

/** Keys to try, best first: the named file alone, else the one that worked last, the agent's, and the usual files.
 *  @throws Failure exit 2 when there is none */
export async function findSigners(
  env: NodeJS.ProcessEnv,
  { file, last }: { readonly file: string | undefined; readonly last: string | null },
): Promise<Signer[]> {
  const home = env['HOME'] || homedir();
  const expanded = file?.startsWith('~/') ? join(home, file.slice(2)) : file;
  if (expanded !== undefined) return [fileSigner(expanded)];
  const inAgent = await fromAgent(env['SSH_AUTH_SOCK']);
  const files: Signer[] = [];
  for (const name of DEFAULT_FILES) {
    const path = join(home, '.ssh', name);
    // A key that is not there or not readable is no candidate.
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      files.push(fileSigner(path));
  }
  // What the agent has needs no passphrase; a file is asked for only where the agent has nothing.
  const found = [...inAgent, ...files].sort((a, b) => Number(b.id === last) - Number(a.id === last));
  if (found.length === 0)
    throw new Failure('no SSH key was found: none in the agent, none in ~/.ssh', {
      exit: EXIT.usage,
      code: 'no_key',
      hint: 'Give one with --key FILE, or make one: ssh-keygen -t ed25519',
    });
  return found.slice(0, MAX_SIGNERS);
}

async function fromAgent(socketPath: string | undefined): Promise<Signer[]> {
  if (!socketPath) return [];
  // An agent that went away is as good as none: the files are still there.
  const keys = await agentKeys(socketPath).catch(() => []);
  return keys
    .filter(({ type }) => /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+|sk-[a-z0-9-]+@openssh\.com)$/.test(type))
    .map((key) => ({
      label: `${key.comment || key.type} (agent)`,
      id: `SHA256:${createHash('sha256').update(key.blob).digest('base64').replace(/=+$/, '')}`,
      sign: (text) => signByAgent(socketPath, key, text),
    }));
}

async function signByAgent(socketPath: string, key: AgentKey, text: string): Promise<string> {
  const digest = createHash('sha512').update(text).digest();
  const inner = await agentSign(socketPath, key, sshsigSignedBytes(SIGN_IN_NAMESPACE, 'sha512', digest));
  const blob = Buffer.concat([
    Buffer.from('SSHSIG'),
    uint32(1),
    sshString(key.blob),
    sshString(SIGN_IN_NAMESPACE),
    sshString(''),
    sshString('sha512'),
    sshString(inner),
  ]);
  const lines = blob.toString('base64').match(/.{1,70}/g) ?? [];
  return `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`;
}

function fileSigner(path: string): Signer {
  return { label: path, id: path, sign: (text) => signByFile(path, text) };
}

function signByFile(path: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('ssh-keygen', ['-Y', 'sign', '-q', '-f', path, '-n', SIGN_IN_NAMESPACE], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let out = '';
    let said = '';
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString('latin1');
    });
    child.stderr.on('data', (data: Buffer) => {
      said += data.toString('utf8');
      process.stderr.write(data);
    });
    const fail = (reason: string, hint: string) =>
      reject(
        new Failure(`the key "${path}" signs nothing: ${reason}`, { exit: EXIT.failed, code: 'signing_failed', hint }),
      );
    child.on('error', (error) =>
      hasErrno(error, 'ENOENT')
        ? fail('ssh-keygen is not installed', 'Install OpenSSH (openssh-client on Debian).')
        : fail(messageOf(error), 'Try another key with --key FILE.'),
    );
    child.on('close', (code) =>
      code === 0
        ? resolve(out)
        : fail(
            said.trim().split('\n').at(-1) ?? `ssh-keygen ended with ${code}`,
            'Check the file and its passphrase, or give another with --key FILE.',
          ),
    );
    // It may end before it has read everything; how it ended says why.
    child.stdin.on('error', () => undefined);
    child.stdin.end(text);
  });
}
