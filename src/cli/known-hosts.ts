/** Machines that this user signed in to: how their certificates were recognised, and the sessions there.
 *  Below `~/.config/hyper-nixos`, readable by this user only; a session's secret lies in a file of its own. */

import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';

export interface KnownHost {
  /** `host:port`; how it is called with `--host`. */
  readonly name: string;
  /** `https://host:port`. */
  readonly origin: string;
  readonly user: string;
  /** SHA-256 of the certificate that was last seen, as `hv status` prints it. */
  readonly fingerprint: string;
  /** PEM of what the certificate is checked against: its authority, so that a renewed one is recognised, or itself.
   *  Null when a public authority vouched for it: then any of them may, as in a browser. */
  readonly authority: string | null;
  /** The key that signed in last: a fingerprint in the agent or a file. */
  readonly key: string | null;
}

export interface KnownHosts {
  list(): Promise<KnownHost[]>;
  /** By `host:port`, or by the host alone when only one is so called. */
  find(name: string): Promise<KnownHost | null>;
  save(host: KnownHost): Promise<void>;
  forget(name: string): Promise<void>;
  /** `name=value` of the session's cookie, or null. */
  session(host: KnownHost): Promise<string | null>;
  saveSession(host: KnownHost, cookie: string | null): Promise<void>;
}

export function knownHosts(env: NodeJS.ProcessEnv): KnownHosts {
  const dir = join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config'), 'hyper-nixos');
  const file = join(dir, 'hosts.json');
  const sessions = join(dir, 'sessions');
  const sessionFile = ({ name }: KnownHost) => join(sessions, name.replace(/[^A-Za-z0-9.-]/g, '_'));

  const list = async (): Promise<KnownHost[]> => {
    try {
      const { hosts }: { hosts: KnownHost[] } = JSON.parse(await readFile(file, 'utf8'));
      return hosts;
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return [];
      throw new Failure(`${file} cannot be read`, {
        exit: EXIT.failed,
        code: 'known_hosts_unreadable',
        hint: 'Look at it, or remove it and sign in again with `hv login --url https://HOST:PORT`.',
      });
    }
  };
  /** Whole or not at all: a file cut in half would lock its user out of what he pinned. */
  const write = async (path: string, text: string) => {
    await mkdir(sessions, { recursive: true, mode: 0o700 });
    const scratch = `${path}.${process.pid}`;
    await writeFile(scratch, text, { mode: 0o600 });
    await rename(scratch, path);
  };
  const writeList = (hosts: readonly KnownHost[]) => write(file, `${JSON.stringify({ version: 1, hosts }, null, 2)}\n`);

  return {
    list,
    async find(name) {
      const hosts = await list();
      const wanted = name.toLowerCase();
      const exact = hosts.find((host) => host.name === wanted);
      if (exact) return exact;
      const same = hosts.filter((host) => host.name.slice(0, host.name.lastIndexOf(':')) === wanted);
      if (same.length > 1)
        throw usageFailure(
          `there are several machines "${name}": ${same.map((host) => host.name).join(', ')}`,
          'Name the port too.',
        );
      return same[0] ?? null;
    },
    async save(host) {
      await writeList([...(await list()).filter(({ name }) => name !== host.name), host]);
    },
    async forget(name) {
      await writeList((await list()).filter((host) => host.name !== name));
    },
    async session(host) {
      try {
        return (await readFile(sessionFile(host), 'utf8')).trim() || null;
      } catch (error) {
        if (hasErrno(error, 'ENOENT')) return null;
        throw error;
      }
    },
    async saveSession(host, cookie) {
      if (cookie === null) await rm(sessionFile(host), { force: true });
      else await write(sessionFile(host), `${cookie}\n`);
    },
  };
}

/** The address that somebody typed as `https://host:port`. @throws Failure exit 2 */
export function originOf(typed: string): string {
  const text = typed.includes('://') ? typed : `https://${typed}`;
  const url = URL.canParse(text) ? new URL(text) : null;
  const isBare = url?.protocol === 'https:' && url.username === '' && url.pathname === '/' && url.search === '';
  if (!url || !isBare)
    throw usageFailure(
      `"${typed}" is not the address of a machine`,
      'Write it as https://HOST:PORT, as `hv status` prints it there.',
    );
  return `https://${url.host}`;
}

/** `host:port` of an origin. */
export function hostName(origin: string): string {
  const { hostname, port } = new URL(origin);
  return `${hostname}:${port || 443}`;
}
