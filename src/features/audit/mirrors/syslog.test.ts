import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase } from '#platform/db/database.ts';
import { syslogTarget } from './syslog.ts';

test('no connection is made with files that others can change, or a key that others can read', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-syslog-files-'));
  const db = openDatabase(join(dir, 'state.db'));
  const [caFile, certFile, keyFile] = [join(dir, 'ca.pem'), join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const refusal = async (path: string, mode: number): Promise<string> => {
    for (const file of [caFile, certFile, keyFile]) {
      await writeFile(file, 'PEM');
      await chmod(file, 0o600);
    }
    await chmod(path, mode);
    // Nobody listens there: what has good files gets as far as that.
    const target = syslogTarget({ host: '127.0.0.1', port: 1, caFile, certFile, keyFile }, db);
    return target.resume(AbortSignal.timeout(10_000)).then(
      () => 'connected',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
  };
  try {
    assert.match(
      await refusal(caFile, 0o646),
      /^audit\.syslog\.caFile: .*ca\.pem can be written by others\. Mend: chmod/,
    );
    assert.match(await refusal(certFile, 0o622), /^audit\.syslog\.certFile: .* can be written by others/);
    assert.match(await refusal(keyFile, 0o644), /^audit\.syslog\.keyFile: .* can be read by others\. Mend: chmod 600/);
    assert.doesNotMatch(await refusal(keyFile, 0o600), /by others/);
  } finally {
    await db.close();
    await rm(dir, { recursive: true, force: true });
  }
});
