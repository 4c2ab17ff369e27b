/** Proofs of real guests under TCG: the exact verdict of each way in which a restore point can be good or bad, and that a test VM reaches
 *  nothing and leaves nothing. Prints the matrix. HV_TEST_FULL=1: a hundred starts of a slow good guest instead of twenty. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFile, mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Operation } from '#contract/operations.ts';
import type { Proof, ProofLevel, ProofReason, ProofSettings, ProofVerdict } from '#contract/verification.ts';
import { newRecoveryKey } from '#features/backups/store/index.ts';
import { findUefi } from '#features/vms/index.ts';
import { newUuid } from '#kernel/ids.ts';
import { buildDomainXml, type FirmwareSpec } from '#libvirt/index.ts';
import { runChecked } from '#platform/process.ts';
import { overSocket, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk, withUefiLoader } from '../support/guest.ts';
import { hvOn } from '../support/hv.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { type MadePoints, makePoints } from '../support/proof-points.ts';

const skip = missingForLibvirtd() ?? false;
const isFull = process.env['HV_TEST_FULL'] === '1';

/** Short enough for a test; the floor for VMs that were proven before stays two minutes. */
const CONFIG = {
  verification: {
    parallel: 3,
    firstTimeoutSeconds: 60,
    stallSeconds: 30,
    maxMemoryMib: 1_048_576,
    checkFilesystems: false,
  },
};

let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;
let points: MadePoints;
let repositoryFolder: string;
const images = new Map<string, string>();

/** What the hello guest says of itself. */
const HELLO = { hostname: 'hello' };

before(async () => {
  if (skip) return;
  libvirtd = await startPrivateLibvirtd({ bridge: true });
  const folder = join(libvirtd.dir, 'images');
  await mkdir(folder);
  const good = join(folder, 'good.raw');
  await runChecked(['qemu-img', 'convert', '-O', 'raw', await helloDisk(), good], { timeoutMs: 60_000 });
  images.set('good', good);
  await variant('panic', 'rdinit=/nowhere root=/dev/nowhere');
  // Without its channel the agent has nobody to answer.
  await variant('mute', 'module_blacklist=virtio_console');
  const noLoader = join(folder, 'no-loader.raw');
  await copyFile(good, noLoader);
  await overwrite(noLoader, 0, Buffer.alloc(512));
  images.set('no-loader', noLoader);
  repositoryFolder = join(libvirtd.dir, 'shelf');
  points = await makePoints(repositoryFolder);
  daemon = await startDaemon({ libvirtd, config: CONFIG, stateDir: join(libvirtd.dir, 'state') });
});

after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

/** The hello disk with further words on its kernel's command line. */
async function variant(name: string, words: string): Promise<void> {
  const path = join(libvirtd.dir, 'images', `${name}.raw`);
  await copyFile(images.get('good') ?? '', path);
  const config = join(libvirtd.dir, 'images', `${name}.cfg`);
  const partition = `${path}@@1M`;
  await runChecked(['mcopy', '-o', '-i', partition, '::syslinux.cfg', config], { timeoutMs: 10_000 });
  await writeFile(config, (await readFile(config, 'utf8')).replace(/^(\s*APPEND .*)$/m, `$1 ${words}`));
  await runChecked(['mcopy', '-o', '-i', partition, config, '::syslinux.cfg'], { timeoutMs: 10_000 });
  images.set(name, path);
}

async function overwrite(path: string, at: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(bytes, 0, bytes.length, at);
  } finally {
    await file.close();
  }
}

const definitionOf = (name: string, uuid: string, memoryMib = 256, firmware: FirmwareSpec = { kind: 'bios' }) =>
  buildDomainXml({
    name,
    uuid,
    virtType: 'qemu',
    memoryKib: memoryMib * 1024,
    vcpus: 1,
    firmware,
    disks: [{ path: `/nowhere/${name}.raw`, format: 'raw', bootOrder: 1 }],
    nics: [
      {
        mac: `52:54:00:${uuid.slice(0, 2)}:${uuid.slice(2, 4)}:${uuid.slice(4, 6)}`,
        source: { kind: 'bridge', bridge: 'hvbr0' },
      },
    ],
  });

interface Case {
  readonly image?: string;
  readonly guest?: Readonly<Record<string, string>> | null;
  readonly memoryMib?: number;
  readonly firmware?: FirmwareSpec;
  readonly settings?: Partial<ProofSettings>;
}

/** A VM that is off, with one restore point unless there is no image. */
async function makeVm(name: string, { image, guest = null, memoryMib, firmware, settings }: Case): Promise<string> {
  const vmId = newUuid();
  const definition = definitionOf(name, vmId, memoryMib, firmware);
  const file = join(libvirtd.dir, `${name}.xml`);
  await writeFile(file, definition);
  await libvirtd.virsh('define', file);
  const nvram = firmware?.kind === 'uefi' ? await readFile(firmware.nvramTemplatePath) : undefined;
  if (image !== undefined) await points.add({ vmId, name, image: images.get(image) ?? '', definition, guest, nvram });
  for (const deadline = performance.now() + 20_000; ; await sleep(100)) {
    if ((await daemon.admin('GET /vms')).items.some(({ id }) => id === vmId)) break;
    assert.ok(performance.now() < deadline, `${name} is not shown`);
  }
  if (settings) await daemon.admin('PATCH /vms/{id}/proof-settings', { params: { id: vmId }, body: settings });
  return vmId;
}

let repositoryId: string | null = null;

async function scan(): Promise<void> {
  repositoryId ??= (
    await daemon.admin('POST /repositories', { body: { name: 'shelf', folder: repositoryFolder, existing: true } })
  ).repository.id;
  await daemon.finish(await daemon.admin('POST /repositories/{id}/scan', { params: { id: repositoryId } }));
}

async function proofOf(vmId: string): Promise<Proof> {
  return resultOf(await daemon.finish(await daemon.admin('POST /vms/{id}/proofs', { params: { id: vmId }, body: {} })));
}

async function resultOf(operation: Operation): Promise<Proof> {
  const { result } = operation;
  assert.ok(typeof result === 'object' && result !== null && 'proofId' in result, JSON.stringify(operation));
  return daemon.admin('GET /proofs/{id}', { params: { id: String(result.proofId) } });
}

/** What proofs may leave on the host. */
async function leftovers(): Promise<readonly string[]> {
  const inside = async (...argv: string[]) => (await runChecked(libvirtd.enter(argv), { timeoutMs: 10_000 })).stdout;
  const folders = async (name: string) => readdir(join(daemon.stateDir, name)).catch(() => []);
  return [
    ...(await libvirtd.virsh('list', '--all', '--name')).split('\n').filter((name) => name.startsWith('hyp-proof')),
    ...(await libvirtd.virsh('net-list', '--all', '--name')).split('\n').filter((name) => name.startsWith('hyp-proof')),
    ...(await inside('nft', 'list', 'tables')).split('\n').filter((line) => line.includes('hyper_proof')),
    ...(await inside('ip', '-br', 'link')).split('\n').filter((line) => line.startsWith('hvp')),
    ...(await folders('proving')),
  ];
}

/** The biggest object of a repository is a chunk: pages and documents are small. */
async function flipBiggestChunk(): Promise<void> {
  const found = await readdir(join(repositoryFolder, 'chunks'), { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const sizes = await Promise.all(files.map(async (path) => ({ path, bytes: await readFile(path) })));
  const biggest = sizes.sort((a, b) => b.bytes.length - a.bytes.length)[0];
  assert.ok(biggest && biggest.bytes.length > 200_000);
  await overwrite(biggest.path, 5000, Buffer.of((biggest.bytes[5000] ?? 0) ^ 1));
}

type Row = readonly [name: string, what: Case, verdict: ProofVerdict, reason: ProofReason, level: ProofLevel | null];

const MATRIX: readonly Row[] = [
  ['good', { image: 'good', guest: HELLO }, 'pass', 'proven', 4],
  ['good-by-marker', { image: 'mute', settings: { marker: 'HELLO-READY', level: 3 } }, 'pass', 'proven', 3],
  [
    'good-by-probe',
    { image: 'good', guest: HELLO, settings: { probe: { kind: 'script', program: '/bin/true', args: [] } } },
    'pass',
    'proven',
    5,
  ],
  ['panic', { image: 'panic', guest: HELLO }, 'fail', 'kernel_panic', 2],
  ['no-loader', { image: 'no-loader', guest: HELLO }, 'fail', 'no_boot_device', 1],
  ['wrong-guest', { image: 'good', guest: { hostname: 'somebody-else' } }, 'fail', 'wrong_guest', 3],
  ['hung-agent', { image: 'mute', guest: HELLO, settings: { marker: 'HELLO-READY' } }, 'fail', 'agent_silent', 3],
  [
    'probe-exit-1',
    { image: 'good', guest: HELLO, settings: { probe: { kind: 'script', program: '/bin/false', args: [] } } },
    'fail',
    'probe_failed',
    4,
  ],
  ['no-memory', { image: 'good', guest: HELLO, memoryMib: 900_000 }, 'inconclusive', 'no_memory', 2],
  ['no-signal', { image: 'mute' }, 'inconclusive', 'no_signal', 2],
  ['no-points', {}, 'fail', 'nothing_checked', null],
];

test('the verdict of each', { skip, timeout: 1_500_000 }, async () => {
  const vmIds: string[] = [];
  for (const [name, what] of MATRIX) vmIds.push(await makeVm(name, what));
  await scan();
  const proofs = await Promise.all(vmIds.map(proofOf));
  const seen = proofs.map(({ verdict, reason, level, recoverySeconds, evidence }, n) => {
    const starts = evidence.attempts.map(({ end, seconds }) => `${end} ${seconds} s`).join(', ');
    console.log(
      `# ${MATRIX[n]?.[0]}: ${verdict} ${reason}, level ${level}; ${starts || 'not started'}; recovered in ${recoverySeconds ?? '-'} s`,
    );
    return [MATRIX[n]?.[0], verdict, reason, level];
  });
  const told = proofs.map(({ vmName, evidence }) => `${vmName}: ${JSON.stringify(evidence)}`).join('\n');
  assert.deepEqual(
    seen,
    MATRIX.map(([name, , verdict, reason, level]) => [name, verdict, reason, level]),
    told,
  );
  assert.deepEqual(await leftovers(), []);

  const good = proofs[0];
  assert.ok(good);
  assert.equal(good.evidence.host.network, 'isolated', String(good.evidence.host.networkNote));
  assert.equal(good.evidence.guest.hostname, 'hello');
  assert.ok((good.recoverySeconds ?? 0) > 0);
  assert.match(good.evidence.disks[0]?.structure ?? '', /^MBR: FAT, ext4$/);
  const log = await evidenceFile(good.id, 'serial-1.log');
  assert.match(log.toString(), /HELLO-READY/);
  const picture = await evidenceFile(good.id, 'screen-1-last.png');
  assert.equal(picture.toString('latin1', 1, 4), 'PNG');
});

async function evidenceFile(proofId: string, name: string): Promise<Buffer> {
  const { status, body } = await overSocket(join(daemon.runtimeDir, 'admin.sock'), {
    method: 'GET',
    path: `/api/v1/proofs/${proofId}/file?name=${name}`,
  });
  assert.equal(status, 200, body.toString());
  return body;
}

test('three proofs in a row that show nothing begin an alert', { skip, timeout: 300_000 }, async () => {
  const vmId = await makeVm('never-known', { image: 'good', guest: HELLO, memoryMib: 900_000 });
  await scan();
  const unsure = async () =>
    (await daemon.admin('GET /alerts', { query: { state: 'pending' } })).items.find(
      (alert) => alert.rule.name === 'backup_proof_unsure' && alert.vmId === vmId,
    );
  for (let n = 1; n <= 3; n += 1) {
    assert.equal(await unsure(), undefined);
    assert.equal((await proofOf(vmId)).verdict, 'inconclusive');
  }
  // Figures of backups are taken once a minute.
  for (const deadline = performance.now() + 120_000; ; await sleep(500)) {
    const alert = await unsure();
    if (alert) return assert.equal(alert.value, 3);
    assert.ok(performance.now() < deadline, 'nothing is pending');
  }
});

const SLOW: Case = { image: 'good', guest: HELLO };

test('a slow guest that is good never fails', { skip, timeout: isFull ? 20_000_000 : 1_400_000 }, async () => {
  // As many as are started at once.
  const vmIds = [await makeVm('slow-1', SLOW), await makeVm('slow-2', SLOW), await makeVm('slow-3', SLOW)];
  await scan();
  const runs = isFull ? 100 : 20;
  let [begun, failed] = [0, 0];
  const prove = async (vmId: string) => {
    while (begun < runs) {
      begun += 1;
      const n = begun;
      const operation = await daemon.admin('POST /vms/{id}/proofs', { params: { id: vmId }, body: {} });
      const over = new AbortController();
      const braking = brake(`hyp-proof-${operation.id}`, over.signal);
      const finished = await daemon.finish(operation).finally(() => over.abort());
      await braking;
      const proof = await resultOf(finished);
      console.log(`# slow ${n}: ${proof.verdict} ${proof.reason} after ${proof.evidence.attempts.at(-1)?.seconds} s`);
      if (proof.verdict !== 'pass') failed += 1;
    }
  };
  await Promise.all(vmIds.map(prove));
  console.log(`# count: ${runs} starts of a slow good guest, ${failed} without PASS`);
  assert.equal(failed, 0);
});

/** Lets QEMU run only half of the time. */
async function brake(name: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const pid = libvirtd.qemuPid(name);
      process.kill(pid, 'SIGSTOP');
      await sleep(200);
      process.kill(pid, 'SIGCONT');
    } catch {
      // Not there yet, or gone: the proof is before its start or after its end.
    }
    await sleep(200);
  }
}

test('G7: test VMs reach neither each other nor the host nor a network, and leave nothing when cancelled', {
  skip,
  timeout: 900_000,
}, async () => {
  const names = ['apart-a', 'apart-b'];
  // Nobody listens there: the guests stay up while it is asked again and again.
  const probe = { kind: 'tcp', port: 9 } as const;
  const vmIds: string[] = [];
  for (const name of names) vmIds.push(await makeVm(name, { image: 'good', guest: HELLO, settings: { probe } }));
  await scan();
  await daemon.stop();
  const stateDir = daemon.stateDir;
  daemon = await startDaemon({
    libvirtd,
    stateDir,
    config: { verification: { ...CONFIG.verification, stallSeconds: 1200 } },
  });
  const serve = ['python3', '-m', 'http.server', '8000', '--bind', '0.0.0.0', '--directory', '/tmp'];
  const [program, ...args] = libvirtd.enter(serve);
  const listener = spawn(program, args, { stdio: 'ignore' });
  try {
    const operations = await Promise.all(
      vmIds.map((id) => daemon.admin('POST /vms/{id}/proofs', { params: { id }, body: {} })),
    );
    const guests = operations.map(({ id }) => `hyp-proof-${id}`);
    const addresses = await Promise.all(guests.map(addressIn));
    const [first, second] = guests;
    const [own, other] = addresses;
    assert.ok(first && second && own && other);
    const host = own.replace(/\d+$/, (last) => String((Number(last) & 0xf0) + 1));
    // What is tried below works from where nothing forbids it.
    const inside = (...argv: string[]) => runChecked(libvirtd.enter(argv), { timeoutMs: 20_000 });
    const open = (address: string, port: number) =>
      `import socket; socket.create_connection(('${address}', ${port}), 5)`;
    await inside('python3', '-c', open(host, 8000));
    // From the host to the guest there is a way, for probes: its own refusal comes back.
    await inside('python3', '-c', `try:\n  ${open(own, 9)}\nexcept ConnectionRefusedError:\n  pass`);
    await inGuest(first, 'ip', 'route', 'add', 'default', 'via', host);
    const tries: readonly (readonly string[])[] = [
      ['ping', '-c', '2', '-W', '2', host],
      ['nc', '-w', '3', host, '8000', '-e', '/bin/true'],
      ['wget', '-T', '3', '-q', '-O', '-', `http://${host}:8000/`],
      ['ping', '-c', '2', '-W', '2', other],
      ['ping', '-c', '2', '-W', '2', '192.0.2.1'],
      ['wget', '-T', '3', '-q', '-O', '-', 'http://192.0.2.1:8000/'],
      ['nslookup', 'example.com', host],
    ];
    assert.equal(await inGuest(first, 'ping', '-c', '1', '-W', '2', own), 0, 'ping itself works in the guest');
    for (const words of tries) {
      const code = await inGuest(first, ...words);
      console.log(`# in the test VM: ${words.join(' ')}: exit code ${code}`);
      assert.notEqual(code, 0, words.join(' '));
    }
    assert.deepEqual(
      (await daemon.admin('GET /vms')).items.filter(({ name }) => name.startsWith('hyp-proof')),
      [],
    );
    for (const { id } of operations) await daemon.admin('POST /operations/{id}/cancel', { params: { id } });
    for (const operation of operations) await daemon.finish(operation, 'cancelled');
    assert.deepEqual(await leftovers(), []);
    const { items } = await daemon.admin('GET /proofs', { query: { vm: vmIds[0] } });
    assert.deepEqual(
      items.map(({ verdict, reason }) => [verdict, reason]),
      [['inconclusive', 'cancelled']],
    );
  } finally {
    listener.kill('SIGKILL');
  }
});

/** Address that the test VM was given, once its agent answers. */
async function addressIn(guest: string): Promise<string> {
  for (const deadline = performance.now() + 300_000; ; await sleep(1000)) {
    assert.ok(performance.now() < deadline, `${guest} has no address`);
    const found = /198\.\d+\.\d+\.\d+/.exec(await libvirtd.virsh('domifaddr', guest).catch(() => ''))?.[0];
    if (found === undefined) continue;
    const isUp = await libvirtd.virsh('qemu-agent-command', guest, '{"execute":"guest-ping"}').then(
      () => true,
      () => false,
    );
    if (isUp) return found;
  }
}

/** Exit code of a program in the test VM. */
async function inGuest(guest: string, ...arg: readonly string[]): Promise<number> {
  const ask = async (command: unknown): Promise<{ return: { pid: number; exited: boolean; exitcode?: number } }> =>
    JSON.parse(await libvirtd.virsh('qemu-agent-command', '--timeout', '20', guest, JSON.stringify(command)));
  const { pid } = (await ask({ execute: 'guest-exec', arguments: { path: '/bin/busybox', arg } })).return;
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(500)) {
    const status = (await ask({ execute: 'guest-exec-status', arguments: { pid } })).return;
    if (status.exited) return status.exitcode ?? 255;
  }
  throw new Error(`${arg[0]} did not end`);
}

test('a killed daemon takes its proof up again, and leaves nothing', { skip, timeout: 900_000 }, async () => {
  const vmId = await makeVm('killed', { image: 'good', guest: HELLO });
  await scan();
  const operation = await daemon.admin('POST /vms/{id}/proofs', { params: { id: vmId }, body: {} });
  for (const deadline = performance.now() + 120_000; ; await sleep(200)) {
    assert.ok(performance.now() < deadline, 'the test VM did not start');
    if ((await libvirtd.virsh('list', '--name')).includes(operation.id)) break;
  }
  await daemon.kill('SIGKILL');
  daemon = await startDaemon({ libvirtd, stateDir: daemon.stateDir, config: CONFIG });
  const proof = await resultOf(await daemon.finish(operation));
  assert.deepEqual([proof.verdict, proof.reason, proof.level], ['pass', 'proven', 4]);
  assert.deepEqual(await leftovers(), []);
});

test('a guest that starts by UEFI is proven with its firmware variables', { skip, timeout: 600_000 }, async () => {
  const uefi = await findUefi({ arch: 'x86_64', machine: 'q35', secureBoot: false });
  assert.ok(uefi, 'the package ovmf is there');
  const path = join(libvirtd.dir, 'images', 'uefi.raw');
  await copyFile(images.get('good') ?? '', path);
  await withUefiLoader(path);
  images.set('uefi', path);
  const firmware: FirmwareSpec = {
    kind: 'uefi',
    loaderPath: uefi.codePath,
    nvramTemplatePath: uefi.varsTemplatePath,
    nvramPath: '/nowhere/uefi.fd',
  };
  const vmId = await makeVm('by-uefi', { image: 'uefi', guest: HELLO, firmware });
  await scan();
  const proof = await proofOf(vmId);
  assert.deepEqual([proof.verdict, proof.reason, proof.level], ['pass', 'proven', 4], JSON.stringify(proof.evidence));
  assert.match((await evidenceFile(proof.id, 'serial-1.log')).toString(), /BdsDxe: starting/);
  assert.deepEqual(await leftovers(), []);
});

test('a restore point of an encrypted repository is proven up to its agent, and is not known without its key', {
  skip,
  timeout: 300_000,
}, async () => {
  const folder = join(libvirtd.dir, 'sealed');
  const recoveryKey = newRecoveryKey();
  const sealed = await makePoints(folder, recoveryKey);
  const vmId = await makeVm('sealed', { guest: HELLO });
  const image = images.get('good') ?? '';
  await sealed.add({ vmId, name: 'sealed', image, definition: definitionOf('sealed', vmId), guest: HELLO });
  const add = (key?: string) =>
    daemon.admin('POST /repositories', {
      body: { name: 'sealed', folder, existing: true, ...(key === undefined ? {} : { recoveryKey: key }) },
    });
  await assert.rejects(add(), /key/);
  const { repository } = await add(recoveryKey);
  await daemon.finish(await daemon.admin('POST /repositories/{id}/scan', { params: { id: repository.id } }));
  const proof = await proofOf(vmId);
  assert.deepEqual([proof.verdict, proof.reason, proof.level], ['pass', 'proven', 4]);
  assert.equal(proof.repository, 'sealed');
  assert.deepEqual(await leftovers(), []);
});

test('a flipped byte in a chunk is found, named, and never started', { skip, timeout: 300_000 }, async () => {
  const changed = join(libvirtd.dir, 'images', 'changed.raw');
  await copyFile(images.get('good') ?? '', changed);
  // Other bytes behind the end of the file systems: its index is new, its chunks are those of the others.
  await overwrite(changed, 64 * 1024 * 1024 - 512, Buffer.alloc(512, 7));
  images.set('changed', changed);
  const vmId = await makeVm('flipped', { image: 'changed', guest: HELLO });
  await scan();
  await flipBiggestChunk();
  const run = await hvOn(daemon, ['verify', 'run', 'flipped', '--json']);
  const proof: Proof = JSON.parse(run.stdout);
  assert.deepEqual([proof.verdict, proof.reason, proof.level], ['fail', 'data_damaged', 0]);
  assert.equal(run.code, 1);
  assert.match(proof.evidence.data.problem ?? '', /disk vda of restore point .* at byte \d+/);
  assert.deepEqual(proof.evidence.attempts, []);
  const listed = await hvOn(daemon, ['verify', 'list', '--vm', 'flipped']);
  assert.match(listed.stdout, /flipped +fail +0 /);
  const shown = await hvOn(daemon, ['verify', 'show', proof.id]);
  assert.match(shown.stdout, /fail \(data_damaged\)/);
  assert.ok(vmId);
});
