/** Where the settings of the audit log are shown: as they are, with the file that says so. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDaemon } from '#test/support/daemon.ts';
import { hvOn } from '#test/support/hv.ts';

test('retention and mirrors are shown with the file that sets them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-audit-settings-'));
  const mirrorFile = join(folder, 'audit.jsonl');
  const daemon = await startDaemon({
    waitFor: 'doors',
    config: { audit: { retentionDays: 90, mirrorFile, mirrorAlarm: 77 } },
  });
  try {
    const { configFile, ...settings } = (await daemon.admin('GET /audit/status')).settings;
    assert.match(configFile, /\/config\.json$/);
    assert.deepEqual(settings, {
      retentionDays: 90,
      legalHold: false,
      requireMirror: false,
      mirrorAlarm: 77,
      breakGlass: false,
    });
    const { code, stdout, stderr } = await hvOn(daemon, ['audit', 'settings']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /retentionDays +90$/m);
    assert.ok(stdout.includes(mirrorFile), stdout);
    assert.match(stdout, /syslog +none$/m);
    assert.ok(stderr.includes(configFile), stderr);
    const shown = JSON.parse((await hvOn(daemon, ['audit', 'settings', '--json'])).stdout);
    assert.equal(shown.configFile, configFile);
    assert.equal(shown.mirrors[0].target, mirrorFile);
  } finally {
    await daemon.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
});
