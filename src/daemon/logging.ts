/** The logger of the daemon: pino, one JSON object per line on standard output, secrets removed. */

import pino, { type Logger as PinoLogger } from 'pino';
import type { Logger } from '#kernel/logger.ts';
import type { RecentLines } from '#platform/recent-lines.ts';

const SECRET_FIELDS = ['token', 'secret', 'password', 'cookie', 'authorization', 'ticket', 'userData', 'privateKey'];

function adapt(inner: PinoLogger): Logger {
  return {
    debug: (fields, message) => inner.debug(fields, message),
    info: (fields, message) => inner.info(fields, message),
    warn: (fields, message) => inner.warn(fields, message),
    error: (fields, message) => inner.error(fields, message),
    child: (fields) => adapt(inner.child(fields)),
  };
}

/** @param recent keeps what was written last */
export function createLogger(level: string, recent: Pick<RecentLines, 'push'>): Logger {
  const stdout = pino.destination({ dest: 1, sync: true });
  return adapt(
    pino(
      {
        level,
        base: { pid: process.pid },
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '[removed]' },
      },
      {
        write(line) {
          recent.push(line.trimEnd());
          stdout.write(line);
        },
      },
    ),
  );
}
