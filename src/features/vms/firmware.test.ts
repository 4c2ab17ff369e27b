import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { findUefi } from './firmware.ts';

const folder = await mkdtemp(join(tmpdir(), 'hv-firmware-'));
after(() => rm(folder, { recursive: true }));

const descriptor = (name: string, features: readonly string[]) =>
  JSON.stringify({
    'interface-types': ['uefi'],
    mapping: {
      device: 'flash',
      executable: { filename: `/fw/${name}.fd`, format: 'raw' },
      'nvram-template': { filename: `/fw/${name}_vars.fd`, format: 'raw' },
    },
    targets: [{ architecture: 'x86_64', machines: ['pc-q35-*'] }],
    features,
  });
const wish = { arch: 'x86_64', machine: 'pc-q35-7.2', secureBoot: false };

test('the plain firmware is found, and the one with enrolled keys for secure boot', async () => {
  const system = join(folder, 'system');
  await mkdir(system);
  await writeFile(
    join(system, '40-secure.json'),
    descriptor('secure', ['requires-smm', 'secure-boot', 'enrolled-keys']),
  );
  await writeFile(join(system, '50-smm.json'), descriptor('smm', ['requires-smm', 'secure-boot']));
  await writeFile(join(system, '60-plain.json'), descriptor('plain', ['acpi-s3']));
  await writeFile(
    join(system, '70-bios.json'),
    '{"interface-types":["bios"],"mapping":{"device":"memory","filename":"/b"}}',
  );
  assert.equal((await findUefi(wish, [system]))?.codePath, '/fw/plain.fd');
  assert.equal((await findUefi({ ...wish, secureBoot: true }, [system]))?.codePath, '/fw/secure.fd');
  assert.equal(await findUefi({ ...wish, arch: 'aarch64' }, [system]), null);
  assert.equal(await findUefi({ ...wish, machine: 'pc-i440fx-7.2' }, [system]), null);
});

test('an empty file of the administrator hides that of the distribution', async () => {
  const admin = join(folder, 'admin');
  await mkdir(admin);
  await writeFile(join(admin, '60-plain.json'), '');
  assert.equal(await findUefi(wish, [admin, join(folder, 'system')]), null);
});

test('a host without descriptors has no firmware', async () => {
  assert.equal(await findUefi(wish, [join(folder, 'none')]), null);
});
