import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { factsOf } from '#features/inventory/index.ts';
import { TestClock } from '#kernel/clock.ts';
import { newId, newUuid } from '#kernel/ids.ts';
import { silentLogger } from '#kernel/logger.ts';
import { runChecked } from '#platform/process.ts';
import { vmFiles } from './layout.ts';
import { createOwnerlessFiles } from './ownerless-files.ts';

const HOUR_MS = 3_600_000;

test('disks that nobody uses are told of and kept, old half-made ones go, and what is in use is neither', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-ownerless-'));
  t.after(() => rm(folder, { recursive: true }));
  const state = { root: folder, ca: '', images: '', disks: folder, scratch: '', trash: '', quarantine: '' };
  const running = newId('op');
  const [used, base, moved, ownerless, trashed, worked, half, halfWorked] = [
    `${newId('op')}-0.qcow2`,
    `${newId('op')}-0.qcow2`,
    `${newId('op')}-0.qcow2`,
    `${newId('op')}-0.qcow2`,
    `${newId('op')}-0.qcow2`,
    `${running}-0.qcow2`,
    `${newId('op')}-0.qcow2.part`,
    `${running}-1.qcow2.part`,
  ];
  for (const name of [moved, ownerless, trashed, worked, half, halfWorked, 'somebody-elses.qcow2'])
    await writeFile(join(folder, name), 'x');
  await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', join(folder, base), '1M'], { timeoutMs: 20_000 });
  const overlay = ['-f', 'qcow2', '-F', 'qcow2', '-b', join(folder, base), join(folder, used)];
  await runChecked(['qemu-img', 'create', '-q', ...overlay], { timeoutMs: 20_000 });

  const facts = factsOf(
    `<domain type='qemu'><name>a</name><uuid>${newUuid()}</uuid><memory>1</memory><vcpu>1</vcpu><os><type>hvm</type></os><devices>
       <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${join(folder, used)}'/><target dev='vda'/></disk>
     </devices></domain>`,
  );
  const definition = `<domain><name>elsewhere</name><devices><disk type='file' device='disk'><source file='${join(folder, moved)}'/><target dev='vda'/></disk></devices></domain>`;
  const known = {
    staleSince: null as string | null,
    vms: () => [{ id: 'a' }],
    facts: () => facts,
    storedFacts: () => facts,
    rows: {
      all: () => [{ moved: null }, { moved: { at: '2026-01-01T00:00:00.000Z', domainName: 'elsewhere', definition } }],
    },
  };
  const clock = new TestClock();
  const files = createOwnerlessFiles({
    known,
    trash: {
      list: () => [{ files: [{ from: join(folder, trashed), to: '' }], xml: '<domain><name>old</name></domain>' }],
    },
    operations: { get: async (id) => (id === running ? { state: 'running' as const } : null) },
    files: vmFiles(state),
    folder,
    clock,
    log: silentLogger,
  });
  const found = async (hours: number) => {
    clock.jumpWall(Date.now() + hours * HOUR_MS - clock.now().getTime());
    await files.look();
    return files.list().map(({ path }) => path);
  };

  assert.deepEqual(await found(0), [], 'what has just been made is an operation’s matter');
  assert.deepEqual(await found(1), [join(folder, ownerless)]);
  assert.ok((await readdir(folder)).includes(half));
  known.staleSince = new Date().toISOString();
  await found(25);
  assert.ok((await readdir(folder)).includes(half), 'nothing is removed while libvirt does not answer');
  known.staleSince = null;
  assert.deepEqual(await found(25), [join(folder, ownerless)]);
  const left = await readdir(folder);
  assert.deepEqual([left.includes(half), left.includes(halfWorked), left.includes(ownerless)], [false, true, true]);
});
