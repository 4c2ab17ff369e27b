/** A real Postfix with TLS of an authority of its own, on ports of its own, with a folder as mailbox. Everything it made is removed by
 *  `close()`. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeCertificates, type TestCertificates } from './certificates.ts';
import { freePort } from './free-port.ts';

const run = promisify(execFile);
const POSTFIX = '/usr/sbin/postfix';

/** Why the tests with it cannot run; null when they can. */
export const missingForMail = (): string | null =>
  !existsSync(POSTFIX) ? 'postfix is not installed' : process.getuid?.() === 0 ? null : 'postfix needs root';

export interface MailServer {
  /** STARTTLS, and without TLS for those who want none. */
  readonly port: number;
  /** TLS from the first byte. */
  readonly tlsPort: number;
  /** Plain only: STARTTLS is not offered. */
  readonly plainPort: number;
  readonly certificates: TestCertificates;
  /** Mails as they arrived, by their Message-ID. */
  mails(): Promise<string[]>;
  /** What Postfix logged. */
  log(): Promise<string>;
  close(): Promise<void>;
}

async function idOf(flag: '-u' | '-g', name: string): Promise<number> {
  return Number((await run('id', [flag, name])).stdout.trim());
}

/** The certificate is for `mail.example` and 127.0.0.1. */
export async function startMailServer(): Promise<MailServer> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-mail-'));
  await chmod(dir, 0o755);
  const certificates = await makeCertificates(join(dir, 'tls'), 'mail.example');
  const [uid, gid] = [await idOf('-u', 'postfix'), await idOf('-g', 'postfix')];
  const [config, queue, data, box] = ['config', 'queue', 'data', 'mail'].map((name) => join(dir, name));
  if (!config || !queue || !data || !box) throw new TypeError('four folders');
  for (const folder of [config, queue, data, box]) await mkdir(folder);
  await chown(data, uid, gid);
  await chown(box, uid, gid);
  const ports = [await freePort(), await freePort(), await freePort()];
  const [port = 0, tlsPort = 0, plainPort = 0] = ports;
  const main = [
    'compatibility_level = 3.6',
    `queue_directory = ${queue}`,
    `data_directory = ${data}`,
    'mail_owner = postfix',
    'setgid_group = postdrop',
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    'myhostname = mail.example',
    'mydestination =',
    'mynetworks = 127.0.0.0/8',
    'virtual_mailbox_domains = example.org',
    `virtual_mailbox_base = ${box}`,
    'virtual_mailbox_maps = inline:{ { ops@example.org = ops/ } }',
    `virtual_uid_maps = static:${uid}`,
    `virtual_gid_maps = static:${gid}`,
    'virtual_minimum_uid = 1',
    'smtpd_relay_restrictions = reject_unauth_destination',
    'smtpd_recipient_restrictions = reject_unlisted_recipient, permit',
    'smtpd_tls_security_level = may',
    `smtpd_tls_cert_file = ${certificates.hostCertFile}`,
    `smtpd_tls_key_file = ${certificates.hostKeyFile}`,
    'smtputf8_enable = yes',
    `maillog_file = ${join(dir, 'maillog')}`,
    'maillog_file_prefixes = /tmp, /var',
    'alias_maps =',
    'smtpd_client_connection_rate_limit = 0',
  ];
  await writeFile(join(config, 'main.cf'), `${main.join('\n')}\n`);
  const services = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    `127.0.0.1:${tlsPort} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes`,
    `127.0.0.1:${plainPort} inet n - n - - smtpd -o smtpd_tls_security_level=none`,
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'verify unix - - n - 1 verify',
    'flush unix n - n 1000? 0 flush',
    'proxymap unix - - n - - proxymap',
    'showq unix n - n - - showq',
    'error unix - - n - - error',
    'virtual unix - n n - - virtual',
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  await writeFile(join(config, 'master.cf'), `${services.join('\n')}\n`);
  // Without these the start asks for files of the package in the folder of the configuration.
  for (const name of ['postfix-files', 'dynamicmaps.cf'])
    if (existsSync(join('/etc/postfix', name))) await copyFile(join('/etc/postfix', name), join(config, name));
  if (existsSync('/etc/postfix/postfix-files.d'))
    await symlink('/etc/postfix/postfix-files.d', join(config, 'postfix-files.d'));
  const log = async () => (existsSync(join(dir, 'maillog')) ? readFile(join(dir, 'maillog'), 'utf8') : '');
  try {
    await run(POSTFIX, ['-c', config, 'start'], { timeout: 30_000 });
  } catch (error) {
    throw new Error(`postfix did not start: ${String(error)}\n${await log()}`);
  }
  return {
    port,
    tlsPort,
    plainPort,
    certificates,
    log,
    async mails() {
      const folder = join(box, 'ops', 'new');
      if (!existsSync(folder)) return [];
      const names = (await readdir(folder)).sort();
      return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
    },
    async close() {
      await run(POSTFIX, ['-c', config, 'stop'], { timeout: 30_000 });
      await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}
