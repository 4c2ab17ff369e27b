import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { configSchema } from '#contract/config.ts';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { certificateSource } from './source.ts';

test('an authority for the ACME server that others can change keeps the daemon from starting', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-acme-ca-'));
  const caFile = join(dir, 'ca.pem');
  await writeFile(caFile, 'PEM');
  const { tls, publicNames } = configSchema.parse({
    tls: { redirectListen: '127.0.0.1:80', acme: { agreeToTerms: true, names: ['box.example'], caFile } },
  });
  const folder = (name: string) => join(dir, name);
  const state = {
    root: dir,
    ca: folder('ca'),
    images: folder('images'),
    disks: folder('disks'),
    scratch: folder('scratch'),
    trash: folder('trash'),
    quarantine: folder('quarantine'),
  };
  const open = () =>
    certificateSource({
      config: { tls, publicNames, state },
      names: ['localhost'],
      clock: new TestClock(),
      log: silentLogger,
      showProof: () => undefined,
      signal: new AbortController().signal,
    });
  try {
    await chmod(caFile, 0o666);
    await assert.rejects(
      open(),
      /^ConfigError: tls\.acme\.caFile: .*ca\.pem can be written by others\. Mend: chmod go-w/,
    );
    await chmod(caFile, 0o644);
    await open();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
