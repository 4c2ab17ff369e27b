/** The mirror at a syslog receiver: RFC 5424 messages over TLS with octet counting (RFC 5425). The protocol has no receipt, so after a broken
 *  connection the last records are sent again. */

import { hostname } from 'node:os';
import { connect, type TLSSocket } from 'node:tls';
import type { ConfigFile } from '#contract/config.ts';
import type { Database } from '#platform/db/database.ts';
import { readSecretFile, readTrustedFile } from '#platform/secret-file.ts';
import type { AuditTables } from '../migrations.ts';
import type { MirrorLine, MirrorTarget } from './mirror.ts';

const CONNECT_MS = 10_000;
/** A receiver that takes nothing for so long is gone. */
const WRITE_MS = 15_000;
/** Records that may have been lost with a connection. */
const REWIND = 1000;
const KEEP_EVERY_MS = 2000;
/** Facility 13, "log audit". */
const FACILITY = 13 * 8;
const NOTICE = 5;
const WARNING = 4;

type SyslogConfig = NonNullable<ConfigFile['audit']['syslog']>;

/** One message with its length before it. */
export function syslogFrame({ text, at, outcome }: MirrorLine, host: string, pid: number): Buffer {
  const severity = outcome === 'denied' || outcome === 'failed' || outcome === 'unknown' ? WARNING : NOTICE;
  const message = Buffer.from(`<${FACILITY + severity}>1 ${at || '-'} ${host} hyperd ${pid} audit - ${text}`);
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}

/** A host name as RFC 5424 takes it. */
const hostOf = (name: string) => name.replace(/[^\x21-\x7e]/g, '').slice(0, 255) || '-';

export function syslogTarget(config: SyslogConfig, db: Database): MirrorTarget {
  let socket: TLSSocket | null = null;
  let failure: Error | null = null;
  let keptMs = 0;

  const drop = (reason: Error | null) => {
    failure ??= reason;
    socket?.destroy();
    socket = null;
  };

  const dial = async (signal: AbortSignal): Promise<TLSSocket> => {
    const { caFile, certFile, keyFile } = config;
    const [ca, cert, key] = await Promise.all([
      readTrustedFile(caFile, 'audit.syslog.caFile'),
      certFile === undefined ? undefined : readTrustedFile(certFile, 'audit.syslog.certFile'),
      keyFile === undefined ? undefined : readSecretFile(keyFile, 'audit.syslog.keyFile'),
    ]);
    return new Promise((resolve, reject) => {
      const name = config.serverName ?? config.host;
      const made = connect({
        host: config.host,
        port: config.port,
        ca,
        ...(cert === undefined || key === undefined ? {} : { cert, key }),
        // An address cannot be asked for by SNI; it is checked against the certificate all the same.
        ...(/^[\d.]+$|:/.test(name) ? {} : { servername: name }),
        ...(config.serverName === undefined ? {} : { servername: config.serverName }),
        minVersion: 'TLSv1.2',
        rejectUnauthorized: true,
        timeout: CONNECT_MS,
      });
      const fail = (error: Error) => {
        signal.removeEventListener('abort', onAbort);
        made.destroy();
        reject(error);
      };
      const onAbort = () => fail(new Error('stopped'));
      signal.addEventListener('abort', onAbort, { once: true });
      made.once('error', fail);
      made.once('timeout', () => fail(new Error(`no answer from ${config.host}:${config.port} within 10 s`)));
      made.once('secureConnect', () => {
        signal.removeEventListener('abort', onAbort);
        made.off('error', fail);
        made.setTimeout(0);
        made.setKeepAlive(true, 30_000);
        // The receiver sends nothing; reading is how its end is noticed.
        made.resume();
        made.on('error', (error) => drop(error));
        made.on('end', () => drop(new Error('the receiver ended the connection')));
        made.on('close', () => drop(new Error('the connection to the receiver broke')));
        resolve(made);
      });
    });
  };

  const write = (to: TLSSocket, data: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => drop(new Error('the receiver takes nothing')), WRITE_MS);
      const end = (error: Error | null) => {
        clearTimeout(timer);
        to.off('close', onClose);
        if (error) reject(error);
        else resolve();
      };
      const onClose = () => end(failure ?? new Error('the connection to the receiver broke'));
      to.once('close', onClose);
      to.write(data, (error) => end(error ?? null));
    });

  const keep = (seq: number) =>
    db.transaction((tx) =>
      tx
        .tables<AuditTables>()
        .insertInto('audit_mark')
        .values({ name: 'syslog', seq })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ seq }))
        .execute(),
    );

  return {
    name: 'syslog',
    target: `${config.host}:${config.port}`,
    async resume(signal) {
      drop(null);
      const made = await dial(signal);
      failure = null;
      socket = made;
      const row = await db
        .tables<AuditTables>()
        .selectFrom('audit_mark')
        .select('seq')
        .where('name', '=', 'syslog')
        .executeTakeFirst();
      return Math.max(0, (row?.seq ?? 0) - REWIND);
    },
    async send(lines, lastSeq) {
      if (socket === null) throw failure ?? new Error('not connected');
      const host = hostOf(hostname());
      await write(socket, Buffer.concat(lines.map((line) => syslogFrame(line, host, process.pid))));
      const nowMs = performance.now();
      if (nowMs - keptMs > KEEP_EVERY_MS) {
        keptMs = nowMs;
        await keep(lastSeq);
      }
    },
    async close() {
      await new Promise<void>((resolve) => {
        if (socket === null) resolve();
        else socket.end(() => resolve());
      });
      socket = null;
    },
  };
}
