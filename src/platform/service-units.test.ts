import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError } from '#kernel/errors.ts';
import { createServiceUnits, unitStates } from './service-units.ts';

/** As `systemctl show --property=Id,LoadState,ActiveState` prints it: a unit that runs, one that failed, one that is not there. */
const SHOWN = `Id=virtlogd.service
LoadState=loaded
ActiveState=active

Id=chrony.service
LoadState=loaded
ActiveState=failed

Id=none.service
LoadState=not-found
ActiveState=inactive
`;

test('units as systemctl shows them, and nothing from what is none of it', () => {
  assert.deepEqual(unitStates(SHOWN), [
    { name: 'virtlogd.service', active: 'active', isKnown: true },
    { name: 'chrony.service', active: 'failed', isKnown: true },
    { name: 'none.service', active: 'inactive', isKnown: false },
  ]);
  assert.deepEqual(unitStates(''), []);
  assert.deepEqual(unitStates('Failed to connect to bus\n\nId=half.service\n'), []);
});

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-units-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const said = (code: number, stdout = '', stderr = '') => ({ code, stdout, stderr });

test('without systemd, and when it does not answer, nothing is known', async () => {
  await inFolder(async (folder) => {
    const asked: string[] = [];
    const never = createServiceUnits(
      async (argv) => {
        asked.push(argv.join(' '));
        return said(0, SHOWN);
      },
      join(folder, 'none'),
    );
    assert.equal(await never.states(['a.service']), null);
    assert.deepEqual(asked, []);
    const silent = createServiceUnits(async () => said(1, '', 'Failed to connect to bus'), folder);
    assert.equal(await silent.states(['a.service']), null);
    assert.deepEqual(await silent.states([]), []);
  });
});

test('a start forgets the failures before; a refused one says where to look', async () => {
  await inFolder(async (folder) => {
    const asked: string[] = [];
    let code = 0;
    const units = createServiceUnits(async (argv) => {
      asked.push(argv.join(' '));
      return said(argv.includes('start') ? code : 0, '', 'Job for x.service failed');
    }, folder);
    await units.start('x.service');
    assert.deepEqual(asked, [
      'systemctl --no-ask-password reset-failed -- x.service',
      'systemctl --no-ask-password start -- x.service',
    ]);
    code = 1;
    await assert.rejects(
      units.start('x.service'),
      (error) => error instanceof AppError && error.code === 'program_failed' && /journalctl -b -u x/.test(error.hint),
    );
  });
});
