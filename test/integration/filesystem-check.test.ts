/** Proofs that check file systems: real ones, whole, as a power cut leaves them, and damaged, each with the verdict that it must have. */

import assert from 'node:assert/strict';
import { copyFile, mkdir, open, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Proof } from '#contract/verification.ts';
import { newUuid } from '#kernel/ids.ts';
import { buildDomainXml } from '#libvirt/index.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { contentTree, type FileSystem, fileSystemImage, partitionedDisk } from '../support/file-systems.ts';
import { applianceParts } from '../support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { type MadePoints, makePoints } from '../support/proof-points.ts';

const skip = missingForLibvirtd() ?? false;
const KINDS = ['ext4', 'xfs', 'btrfs', 'vfat', 'ntfs'] as const satisfies readonly FileSystem[];

let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;
let points: MadePoints;
let shelf: string;
const whole = new Map<string, string>();

before(async () => {
  if (skip) return;
  libvirtd = await startPrivateLibvirtd();
  const folder = join(libvirtd.dir, 'images');
  await mkdir(folder);
  const tree = await contentTree(join(folder, 'tree'));
  for (const kind of KINDS) whole.set(kind, await fileSystemImage(join(folder, kind), kind, tree));
  shelf = join(libvirtd.dir, 'shelf');
  points = await makePoints(shelf);
  const stateDir = join(libvirtd.dir, 'state');
  await mkdir(join(stateDir, 'scratch'), { recursive: true });
  await symlink(await applianceParts(), join(stateDir, 'scratch', 'guest-parts'));
  daemon = await startDaemon({ libvirtd, stateDir, config: { verification: { checkFilesystems: true } } });
});

after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

/** The image of a kind with something done to it. */
async function harmed(kind: FileSystem, name: string, harm: (path: string) => Promise<unknown>): Promise<string> {
  const path = join(libvirtd.dir, 'images', name);
  await copyFile(whole.get(kind) ?? '', path);
  await harm(path);
  return path;
}

async function overwrite(path: string, at: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(bytes, 0, bytes.length, at);
  } finally {
    await file.close();
  }
}

let repositoryId: string | null = null;

/** Proves a disk up to its file systems. */
async function proofOf(name: string, image: string): Promise<Proof> {
  const vmId = newUuid();
  const definition = buildDomainXml({
    name,
    uuid: vmId,
    virtType: 'qemu',
    memoryKib: 65_536,
    vcpus: 1,
    firmware: { kind: 'bios' },
    disks: [{ path: `/nowhere/${name}.raw`, format: 'raw' }],
    nics: [],
  });
  const file = join(libvirtd.dir, `${name}.xml`);
  await writeFile(file, definition);
  await libvirtd.virsh('define', file);
  await points.add({ vmId, name, image, definition });
  repositoryId ??= (
    await daemon.admin('POST /repositories', { body: { name: 'shelf', folder: shelf, existing: true } })
  ).repository.id;
  await daemon.finish(await daemon.admin('POST /repositories/{id}/scan', { params: { id: repositoryId } }));
  for (const deadline = performance.now() + 20_000; ; await sleep(100)) {
    if ((await daemon.admin('GET /vms')).items.some(({ id }) => id === vmId)) break;
    assert.ok(performance.now() < deadline, `${name} is not shown`);
  }
  const { result } = await daemon.finish(
    await daemon.admin('POST /vms/{id}/proofs', { params: { id: vmId }, body: { level: 2 } }),
  );
  assert.ok(typeof result === 'object' && result !== null && 'proofId' in result);
  return daemon.admin('GET /proofs/{id}', { params: { id: String(result.proofId) } });
}

const states = ({ evidence }: Proof) => evidence.filesystems.map(({ volume, kind, state }) => [volume, kind, state]);

test('whole file systems of every kind are clean', { skip }, async () => {
  const disk = await partitionedDisk(
    join(libvirtd.dir, 'images', 'whole'),
    'dos',
    KINDS.slice(0, 4).map((kind) => whole.get(kind) ?? ''),
  );
  const proof = await proofOf('whole', disk);
  assert.deepEqual(
    states(proof),
    KINDS.slice(0, 4).map((kind, n) => [`vda${n + 1}`, kind, 'clean']),
    JSON.stringify(proof.evidence),
  );
  assert.deepEqual([proof.verdict, proof.reason, proof.level], ['pass', 'proven', 2]);
});

test('a journal that a power cut left is no damage', { skip }, async () => {
  const image = await harmed('ext4', 'journal', async (path) => {
    const script = `${path}.debugfs`;
    await writeFile(`${path}.block`, Buffer.alloc(1024, 0x5a));
    await writeFile(script, `jo\njw -b 60000 ${path}.block\njc\n`);
    await runChecked(['debugfs', '-w', '-f', script, path], { timeoutMs: 20_000 });
    // The mark in the superblock that says so.
    assert.ok(((await readFile(path)).readUInt32LE(1024 + 96) & 4) !== 0, 'the journal is not open');
  });
  const proof = await proofOf('journal', image);
  assert.equal(proof.verdict, 'pass', JSON.stringify(proof));
  assert.match(String(proof.evidence.filesystems[0]?.state), /^(clean|mended)$/);
});

test('a FAT that was not unmounted is doubtful, and no failure', { skip }, async () => {
  const image = await harmed('vfat', 'dirty-fat', (path) => overwrite(path, 0x41, Buffer.of(1)));
  const proof = await proofOf('dirty-fat', image);
  assert.equal(proof.verdict, 'pass', JSON.stringify(proof));
  assert.deepEqual(states(proof), [['vda', 'vfat', 'doubtful']]);
  assert.match(proof.evidence.filesystems[0]?.text ?? '', /[Dd]irty bit/);
});

for (const [kind, harm] of [
  // The inode table of the first group, the root folder in it.
  [
    'ext4',
    async (path: string) => {
      const { stdout } = await runChecked(['dumpe2fs', path], { timeoutMs: 20_000 });
      const block = Number(/Inode table at (\d+)-/.exec(stdout)?.[1]);
      await overwrite(path, block * 1024, Buffer.alloc(4096, 0xa5));
    },
  ],
  // The inodes of the first allocation group.
  ['xfs', (path: string) => overwrite(path, 128 * 512, Buffer.alloc(8192, 0xa5))],
] as const)
  test(`${kind} that is damaged fails its proof`, { skip }, async () => {
    const proof = await proofOf(`damaged-${kind}`, await harmed(kind, `damaged-${kind}`, harm));
    assert.deepEqual(states(proof), [['vda', kind, 'damaged']], JSON.stringify(proof.evidence));
    assert.deepEqual([proof.verdict, proof.reason, proof.level], ['fail', 'filesystem_damaged', 1]);
  });
