/** Backups of a running guest (TCG) by hyperd, beside what others take for the same disk in the same run: nbdcopy and zstd, virtnbdbackup,
 *  libvirt's own push backup, qemu-img. A rival that is not installed is not compared. */

import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RestorePoint } from '#contract/backups.ts';
import { openRepository } from '#features/backups/store/index.ts';
import { GIB, MIB } from '#kernel/units.ts';
import { serveNbd } from '#platform/nbd/index.ts';
import { runChecked, run as runProgram } from '#platform/process.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { startQemuNbd } from '../support/qemu-nbd.ts';
import { measureRestic } from './backup-store/restic.ts';
import { bigDisk } from './backups/big-disk.ts';
import { type Cost, costOfProcess, costOfProgram, mostMemoryOf } from './backups/cost.ts';
import { median } from './daemon/figures.ts';

const NAME = 'measured';
const DIRTY_MIB = 24;
/** Of what is measured more than once; the median counts. */
const ROUNDS = 5;
const MINUTES_MS = 60_000;

/** Takes about ten minutes and 12 GiB below the system's temporary folder. Needs root and what the tests of libvirt need; compares with
 *  `nbdcopy`, `zstd`, `restic` and `virtnbdbackup`. */
export async function run(): Promise<Measurement[]> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-bench-backups-'));
  const libvirtd = await startPrivateLibvirtd();
  const daemon = await startDaemon({ libvirtd });
  try {
    const image = await bigDisk(folder);
    await daemon.finish(await daemon.admin('POST /images/import', { body: { path: image, name: 'big' } }), 'done');
    const { id: imageId } = await daemon.admin('GET /images/{id}', { params: { id: 'big' } });
    const body = {
      name: NAME,
      memoryBytes: 128 * MIB,
      vcpus: 1,
      accel: 'tcg',
      graphics: false,
      firmware: 'bios',
    } as const;
    await daemon.finish(await daemon.admin('POST /vms', { body: { ...body, nics: [], disks: [{ imageId }] } }));
    const bench = { folder, libvirtd, daemon, image };
    const full = await measureFull(bench);
    const lines = [...full.lines, ...(await measureIncremental(bench))];
    return [...lines, ...(await measureReading(bench, full.point)), ...(await measureRestore(bench, full.point))];
  } finally {
    await daemon.close();
    await libvirtd.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

interface Bench {
  readonly folder: string;
  readonly libvirtd: PrivateLibvirtd;
  readonly daemon: TestDaemon;
  /** The qcow2 that the guest's disk is a copy of. */
  readonly image: string;
}

async function backUp(daemon: TestDaemon, body: { readonly repository?: string } = {}): Promise<RestorePoint> {
  const begun = await daemon.admin('POST /vms/{id}/backup', { params: { id: NAME }, body });
  const { result } = await daemon.finish(begun);
  return daemon.admin('GET /restore-points/{id}', { params: { id: JSON.parse(JSON.stringify(result)).pointId } });
}

async function measureFull({ folder, libvirtd, daemon, image }: Bench) {
  const { value, mostBytes } = await mostMemoryOf(daemon.pid, () => costOfProcess(daemon.pid, () => backUp(daemon)));
  const { value: point, ...ours } = value;
  const socketPath = join(folder, 'rival.sock');
  const copy = await (async () => {
    await using _server = await startQemuNbd({ image, format: 'qcow2', exportName: 'vda', listenOn: socketPath });
    return await costOfProgram(['nbdcopy', `nbd+unix:///vda?socket=${socketPath}`, 'null:']);
  })();
  const raw = join(folder, 'disk.raw');
  await runChecked(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', image, raw], { timeoutMs: 30 * MINUTES_MS });
  const zstd = await costOfProgram(['zstd', '-q', '-1', '-T0', '-f', raw, '-o', join(folder, 'disk.zst')]);
  const { size: zstdBytes } = await stat(join(folder, 'disk.zst'));
  await rm(join(folder, 'disk.zst'));
  const restic = await measureRestic(folder, raw);
  await rm(raw);
  const better = await measureBetter(folder, daemon);
  const slower = copy.seconds > zstd.seconds ? copy : zstd;
  const other = await measureVirtnbdbackup(folder, libvirtd);
  const used = `${(point.readBytes / GIB).toFixed(1)} of 16 GiB`;
  return {
    point,
    lines: [
      compared(`full backup, ${used} | slower of nbdcopy to null: and zstd -1`, ours, slower, '≤ 1.5×'),
      compared(`full backup, ${used} | virtnbdbackup`, ours, other.full, '≤ 1.5×'),
      alone('full backup: most memory of hyperd', mostBytes / MIB, '≤ 200', 'MiB'),
      ratioOf('full backup: stored | zstd -1', point.storedBytes / MIB, zstdBytes / MIB, '≤ 1.15×', 'MiB'),
      ratioOf('full backup: stored | restic', point.storedBytes / MIB, inMib(restic?.storedBytes), '≤ 1.1×', 'MiB'),
      ratioOf(
        'full backup, better: stored | restic',
        better.point.storedBytes / MIB,
        inMib(restic?.storedBytes),
        '≤ 1.0×',
        'MiB',
      ),
      ratioOf('full backup | restic', ours.seconds, restic?.writeSeconds ?? null, '–', 's'),
      ratioOf('full backup, better | restic', better.seconds, restic?.writeSeconds ?? null, '–', 's'),
    ].flat(),
  };
}

const inMib = (bytes: number | undefined) => (bytes === undefined ? null : bytes / MIB);

/** The same disk into a repository that is slower and smaller. */
async function measureBetter(parent: string, daemon: TestDaemon) {
  const folder = join(parent, 'better');
  await daemon.admin('POST /repositories', { body: { name: 'better', folder, compression: 'better' } });
  const { value: point, seconds } = await costOfProcess(daemon.pid, () => backUp(daemon, { repository: 'better' }));
  return { point, seconds };
}

/** Null when it is not installed, or does not get along with this libvirt. */
async function measureVirtnbdbackup(folder: string, { uri }: PrivateLibvirtd): Promise<{ readonly full: Cost | null }> {
  const isThere = await runProgram(['virtnbdbackup', '--version'], { timeoutMs: MINUTES_MS }).then(
    ({ code }) => code === 0,
    () => false,
  );
  if (!isThere) return { full: null };
  const out = join(folder, 'virtnbdbackup');
  const where = ['-U', uri, '-d', NAME, '-o', out, '-S', folder, '-f', join(folder, 'virtnbd.sock'), '-n'];
  // A copy leaves no checkpoint behind, which ours would have to share the disk with.
  const full = await costOfProgram(['virtnbdbackup', ...where, '-l', 'copy']);
  await rm(out, { recursive: true, maxRetries: 20, retryDelay: 100 });
  return { full };
}

/** Turn about, each with the same changes. Both are on their storage at the end, and both have begun to note what changes next. */
async function measureIncremental({ folder, libvirtd, daemon }: Bench): Promise<Measurement[]> {
  const rounds: { readonly ours: Cost & { readonly value: RestorePoint }; readonly push: PushCost }[] = [];
  const markOf = (round: number) => `rival-${round}`;
  await libvirtd.virsh('checkpoint-create-as', NAME, markOf(0));
  for (let round = 0; round < ROUNDS; round += 1) {
    // As a guest would: through QEMU, in pieces all over the disk.
    for (let n = 0; n < DIRTY_MIB; n += 1) {
      const write = `qemu-io -d ${await deviceOf(libvirtd)} "write -P ${n + 1 + round} ${n * 600}M 1M"`;
      const said = await libvirtd.virsh('qemu-monitor-command', NAME, '--hmp', write);
      if (said.trim() !== '') throw new Error(`nothing was written: ${said}`);
    }
    const ours = await costOfProcess(daemon.pid, () => backUp(daemon));
    rounds.push({ ours, push: await pushBackup(folder, libvirtd, { since: markOf(round), mark: markOf(round + 1) }) });
  }
  await libvirtd.virsh('checkpoint-delete', NAME, markOf(ROUNDS));
  const last = rounds.at(-1);
  if (last === undefined) throw new Error('nothing was measured');
  return [
    compared(
      `incremental, ${DIRTY_MIB} MiB changed | push backup and checkpoints by virsh, synced`,
      middle(rounds.map(({ ours }) => ours)),
      { seconds: median(rounds.map(({ push }) => push.seconds)), processorSeconds: 0 },
      '≤ 1.3×',
    ),
    alone('incremental: read of the disk', last.ours.value.readBytes / MIB, `≤ ${DIRTY_MIB + 1}`, 'MiB'),
    ratioOf(
      'incremental: stored | qcow2 of the push backup',
      last.ours.value.storedBytes / MIB,
      last.push.bytes / MIB,
      '≤ 1.2×',
      'MiB',
    ),
  ].flat();
}

interface PushCost {
  readonly seconds: number;
  readonly bytes: number;
}

async function deviceOf({ virsh }: PrivateLibvirtd): Promise<string> {
  const blocks = JSON.parse(await virsh('qemu-monitor-command', NAME, '{"execute":"query-block"}'));
  for (const { inserted, qdev } of blocks.return) if (inserted?.drv === 'qcow2') return qdev;
  throw new Error('the guest has no qcow2 disk');
}

async function pushBackup(
  folder: string,
  { virsh }: PrivateLibvirtd,
  { since, mark }: { readonly since: string; readonly mark: string },
): Promise<PushCost> {
  const target = join(folder, 'push.qcow2');
  const [backup, checkpoint] = [join(folder, 'push.xml'), join(folder, 'mark.xml')];
  await writeFile(
    backup,
    `<domainbackup mode='push'><incremental>${since}</incremental><disks><disk name='vda' type='file'><target file='${target}'/><driver type='qcow2'/></disk></disks></domainbackup>`,
  );
  await writeFile(checkpoint, `<domaincheckpoint><name>${mark}</name></domaincheckpoint>`);
  const beginMs = performance.now();
  await virsh('backup-begin', NAME, backup, checkpoint);
  while (!/Job type:\s+None/.test(await virsh('domjobinfo', NAME))) await sleep(5);
  await runChecked(['sync', target], { timeoutMs: MINUTES_MS });
  await virsh('checkpoint-delete', NAME, since);
  const seconds = (performance.now() - beginMs) / 1000;
  const { blocks } = await stat(target);
  await rm(target);
  return { seconds, bytes: blocks * 512 };
}

/** The restore point as a disk for others, beside qemu-nbd of the same disk in a qcow2 that is compressed as ours is. */
async function measureReading({ folder, daemon, image }: Bench, { id }: RestorePoint): Promise<Measurement[]> {
  const packed = join(folder, 'packed.qcow2');
  const options = ['-c', '-o', 'compression_type=zstd', '-m', '2'];
  await runChecked(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'qcow2', ...options, image, packed], {
    timeoutMs: 30 * MINUTES_MS,
  });
  const theirs = join(folder, 'packed.sock');
  const ours = join(folder, 'ours.sock');
  await using server = await startQemuNbd({ image: packed, format: 'qcow2', exportName: 'vda', listenOn: theirs });
  const repository = await openRepository(join(daemon.stateDir, 'repositories/default'));
  const disk = await repository.openDisk(id, 'vda');
  const own = await serveNbd({ socketPath: ours, exports: new Map([['vda', disk]]) });
  const copy = (socketPath: string, pid: number) =>
    costOfProcess(pid, () =>
      runChecked(['nbdcopy', `nbd+unix:///vda?socket=${socketPath}`, 'null:'], { timeoutMs: 30 * MINUTES_MS }),
    );
  try {
    const [mine, other] = [await copy(ours, process.pid), await copy(theirs, server.process.pid ?? 0)];
    return compared('restore point read by nbdcopy | compressed qcow2 through qemu-nbd', mine, other, '≤ 2×');
  } finally {
    await own.close();
    await disk.close();
    await rm(packed);
  }
}

/** Turn about: memory that nobody used for a while costs its first user, and each leaves some to the next. Both have the data on its storage. */
async function measureRestore({ folder, daemon, image }: Bench, { id }: RestorePoint): Promise<Measurement[]> {
  const rounds: { readonly ours: Cost; readonly theirs: Cost }[] = [];
  const out = join(folder, 'restored.qcow2');
  for (let round = 0; round < ROUNDS; round += 1) {
    const name = `restored-${round}`;
    const ours = await costOfProcess(daemon.pid, async () =>
      daemon.finish(await daemon.admin('POST /restore-points/{id}/restore', { params: { id }, body: { name } })),
    );
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: name } }));
    for (const item of (await daemon.admin('GET /trash')).items)
      await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: item.id } }));
    const convert = 'qemu-img convert -f qcow2 -O qcow2 "$0" "$1" && sync "$1"';
    const theirs = await costOfProgram(['bash', '-c', convert, image, out]);
    await rm(out);
    rounds.push({ ours, theirs });
  }
  return compared(
    'restore as a new VM | qemu-img convert of the disk, then synced',
    middle(rounds.map(({ ours }) => ours)),
    middle(rounds.map(({ theirs }) => theirs)),
    '≤ 1.11×',
  );
}

const middle = (costs: readonly Cost[]): Cost => ({
  seconds: median(costs.map(({ seconds }) => seconds)),
  processorSeconds: median(costs.map(({ processorSeconds }) => processorSeconds)),
});

/** A line for the clock and one for the processor. */
function compared(name: string, ours: Cost, rival: Cost | null, bar: string): Measurement[] {
  const lines = [ratioOf(name, ours.seconds, rival?.seconds ?? null, bar, 's')];
  const theirs = rival === null || rival.processorSeconds === 0 ? null : rival.processorSeconds;
  return [...lines, ratioOf(`${name}: processor`, ours.processorSeconds, theirs, '–', 's')];
}

const ratioOf = (name: string, ours: number, rival: number | null, bar: string, unit: string): Measurement => ({
  name: `backups: ${name}`,
  ours,
  rival,
  ratio: rival === null ? null : ours / rival,
  bar,
  unit,
});

const alone = (name: string, ours: number, bar: string, unit: string) => ratioOf(name, ours, null, bar, unit);
