/** Row H7: a configuration file that somebody else could have written. hyperd does not start with it and says which file and what to do. */

import assert from 'node:assert/strict';
import { chmod, lchown, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ConfigError, loadConfig } from '#platform/config.ts';
import { startDaemon } from '../support/daemon.ts';

const SOMEBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const skip = isRoot ? false : 'needs root to give files away';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-config-'));
});
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

interface Planted {
  readonly what: string;
  readonly mend: RegExp;
  make(path: string): Promise<void>;
}

const plain = (path: string) => writeFile(path, '{}', { mode: 0o600 });
const foreign = async (path: string) => {
  await plain(path);
  await lchown(path, SOMEBODY, SOMEBODY);
};
const writable = (mode: number) => async (path: string) => {
  await plain(path);
  await chmod(path, mode);
};
const linkTo = (make: (path: string) => Promise<void>) => async (path: string) => {
  await make(`${path}.target`);
  await symlink(`${path}.target`, path);
};

const PLANTED: readonly Planted[] = [
  { what: 'that belongs to another user', mend: /another user.*chown/, make: foreign },
  { what: 'that its group may write', mend: /by others.*chmod go-w/, make: writable(0o660) },
  { what: 'that everybody may write', mend: /by others.*chmod go-w/, make: writable(0o606) },
  { what: 'behind a link, that belongs to another user', mend: /another user.*chown/, make: linkTo(foreign) },
  { what: 'behind a link, that others may write', mend: /by others.*chmod go-w/, make: linkTo(writable(0o666)) },
  {
    what: 'behind a link of another user',
    mend: /another user.*chown/,
    make: async (path) => {
      await linkTo(plain)(path);
      await lchown(path, SOMEBODY, SOMEBODY);
    },
  },
  {
    what: 'that is a device behind a link',
    mend: /not a file/,
    make: (path) => symlink('/dev/zero', path),
  },
];

for (const [index, { what, mend, make }] of PLANTED.entries()) {
  test(`H7: a configuration ${what} is refused with the file and the mend`, { skip, timeout: 10_000 }, async () => {
    const path = join(folder, `config-${index}.json`);
    await make(path);
    await assert.rejects(loadConfig({ HV_CONFIG: path }), (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.ok(error.message.includes(path));
      assert.match(error.message, mend);
      return true;
    });
  });
}

test('H7: a link of root to a file that only root writes is read, as NixOS installs it', async () => {
  const path = join(folder, 'store.json');
  await writeFile(`${path}.target`, '{"accel":"tcg"}', { mode: 0o444 });
  await symlink(`${path}.target`, path);
  assert.equal((await loadConfig({ HV_CONFIG: path })).accel, 'tcg');
});

test('H7: hyperd itself does not start with such a file, and says so', { skip }, async () => {
  const path = join(folder, 'planted.json');
  await linkTo(writable(0o666))(path);
  const daemon = await startDaemon({ env: { HV_CONFIG: path }, waitFor: 'nothing' });
  try {
    assert.notEqual(await daemon.exited, 0);
    assert.match(daemon.output(), /planted\.json can be written by others/);
  } finally {
    await daemon.close();
  }
});
