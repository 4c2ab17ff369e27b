/** Schedules, retention and posture of two real VMs on a real libvirtd, of which one cannot be backed up. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackupRound, VmPosture } from '#contract/protection.ts';
import type { VmCreateInput } from '#contract/vms.ts';
import { MIB } from '#kernel/units.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { hvOn } from '../support/hv.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

const small = (name: string): VmCreateInput => ({
  name,
  memoryBytes: 128 * MIB,
  vcpus: 1,
  accel: 'tcg',
  graphics: false,
  firmware: 'bios',
  nics: [],
  disks: [{ sizeBytes: 8 * MIB }],
});

describe('protection', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let daemon: TestDaemon;
  let stateDir: string;

  before(async () => {
    libvirtd = await startPrivateLibvirtd();
    stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
    daemon = await startDaemon({ libvirtd, stateDir });
    await daemon.finish(await daemon.admin('POST /vms', { body: small('good') }));
    // One that is off: the disk of a VM that runs would still be there for its QEMU.
    await daemon.finish(await daemon.admin('POST /vms', { body: { ...small('broken'), start: false } }));
  });
  after(async () => {
    await daemon?.close();
    await libvirtd?.close();
  });

  const hv = (...args: readonly string[]) => hvOn(daemon, args);
  const restart = async (whileOff: () => void = () => undefined) => {
    await daemon.stop();
    whileOff();
    daemon = await startDaemon({ libvirtd, stateDir });
  };
  const postures = async (): Promise<Record<string, VmPosture>> => {
    const { items } = await daemon.admin('GET /backup-posture', { query: {} });
    return Object.fromEntries(items.map((row) => [row.vmName, row]));
  };
  const rounds = async (): Promise<readonly BackupRound[]> =>
    (await daemon.admin('GET /backup-runs', { query: {} })).items;
  const points = async (vm: string) => (await daemon.admin('GET /restore-points', { query: { vm } })).items;
  /** Resolves with the runs when they are so. */
  const roundsWhen = async (isSo: (all: readonly BackupRound[]) => boolean, withinMs: number) => {
    const untilMs = performance.now() + withinMs;
    for (;;) {
      const all = await rounds();
      if (isSo(all)) return all;
      assert.ok(performance.now() < untilMs, `after ${withinMs} ms: ${JSON.stringify(all)}`);
      await sleep(250);
    }
  };
  const diskOf = async (name: string) => {
    const vm = await daemon.admin('GET /vms/{id}', { params: { id: name } });
    return join(stateDir, 'disks', vm.disks[0]?.source ?? '');
  };

  test('what no schedule covers is unprotected, and the exit code says so', async () => {
    const shown = await hv('backup', 'posture');
    assert.equal(shown.code, 1, shown.stderr);
    assert.match(shown.stdout, /No schedule backs it up\..*hv backup schedule create nightly/);
    assert.equal((await postures())['good']?.posture, 'unprotected');
  });

  test('a schedule is made, previewed, changed and found by its name', async () => {
    const made = await hv(
      'backup',
      'schedule',
      'create',
      'nightly',
      '--zone',
      'Europe/Berlin',
      '--jitter',
      '0',
      '--scrub',
      '7',
      '--keep',
      'everything',
      // A proof holds the restore point that it reads; proofs have tests of their own.
      '--proof',
      'never',
      '--json',
    );
    assert.equal(made.code, 0, made.stderr);
    assert.equal(JSON.parse(made.stdout).scrubDays, 7);
    const preview = JSON.parse((await hv('backup', 'schedule', 'preview', 'nightly', '--json')).stdout);
    assert.equal(preview.runs.length, 10);
    assert.deepEqual(preview.vms.map(({ name }: { name: string }) => name).toSorted(), ['broken', 'good']);
    const narrowed = await hv('backup', 'schedule', 'edit', 'nightly', '--except', 'broken', '--json');
    assert.equal(JSON.parse(narrowed.stdout).covered, 1, narrowed.stderr);
    const taken = await hv('backup', 'schedule', 'create', 'nightly');
    assert.match(taken.stderr, /There is a schedule nightly/);
    const wrong = await hv('backup', 'schedule', 'create', 'odd', '--calendar', '0 0 */2 * mon');
    assert.match(wrong.stderr, /list the days of the month/i);
    await daemon.admin('PATCH /backup-schedules/{id}', {
      params: { id: 'nightly' },
      body: { targets: { kind: 'all', except: [] } },
    });
  });

  test('one of two fails: the other is backed up, and run, exit code and posture name exactly that one', async () => {
    const disk = await diskOf('broken');
    await rename(disk, `${disk}.away`);
    const run = await hv('backup', 'schedule', 'run', 'nightly');
    assert.equal(run.code, 1, run.stdout);
    assert.match(run.stderr, /1 of 2: broken:/);
    const [round] = await rounds();
    assert.ok(round);
    assert.deepEqual(round.counts, { all: 2, done: 1, failed: 1, notReached: 0, open: 0 });
    const report = await hv('backup', 'runs', round.id, '--json');
    assert.equal(report.code, 1);
    assert.deepEqual(
      JSON.parse(report.stdout)
        .vms.map(({ vmName, state }: { vmName: string; state: string }) => [vmName, state])
        .toSorted(),
      [
        ['broken', 'failed'],
        ['good', 'done'],
      ],
    );
    assert.equal((await points('good')).length, 1);
    assert.equal((await points('broken')).length, 0);
    const now = await postures();
    assert.equal(now['good']?.posture, 'attention');
    assert.deepEqual(
      now['good']?.reasons.map(({ code }) => code),
      ['never_proven'],
    );
    assert.equal(now['broken']?.posture, 'unprotected');
    assert.equal(now['broken']?.lastRun?.state, 'failed');
    await rename(`${disk}.away`, disk);
  });

  test('a run that was missed for days while hyperd was off is made up for once', async () => {
    const before = (await rounds()).length;
    await restart(() => {
      const db = new DatabaseSync(join(stateDir, 'state.db'));
      db.prepare('UPDATE backup_schedule SET next_ms = ?').run(Date.now() - 3 * 86_400_000);
      db.close();
    });
    const all = await roundsWhen((now) => now.length > before && now.every(({ state }) => state !== 'running'), 60_000);
    assert.equal(all.length, before + 1);
    assert.equal(all[0]?.state, 'done', all[0]?.note ?? '');
    const schedule = await daemon.admin('GET /backup-schedules/{id}', { params: { id: 'nightly' } });
    assert.ok(Date.parse(schedule.nextAt ?? '') > Date.now());
    assert.equal((await points('broken')).length, 1);
  });

  test('a run that kill -9 breaks off is taken up: each VM is backed up once', async () => {
    const before = (await rounds()).length;
    await daemon.admin('POST /backup-schedules/{id}/run', { params: { id: 'nightly' } });
    await roundsWhen((now) => now.length === before + 1, 20_000);
    await daemon.kill('SIGKILL');
    daemon = await startDaemon({ libvirtd, stateDir });
    const all = await roundsWhen((now) => now.every(({ state }) => state !== 'running'), 90_000);
    assert.equal(all.length, before + 1);
    assert.equal(all[0]?.state, 'done', all[0]?.note ?? '');
    assert.deepEqual(all[0]?.counts, { all: 2, done: 2, failed: 0, notReached: 0, open: 0 });
  });

  test('retention keeps what it says and what is protected; the preview is what is done', async () => {
    await daemon.finish(await daemon.admin('POST /vms/{id}/backup', { params: { id: 'good' }, body: { full: true } }));
    const all = await points('good');
    const oldest = all.at(-1);
    assert.ok(oldest && all.length >= 4, `${all.length} points`);
    assert.equal((await hv('backup', 'protect', oldest.id, '--reason', 'before the upgrade')).code, 0);
    assert.equal((await hv('backup', 'schedule', 'edit', 'nightly', '--keep', '1 last')).code, 0);
    const dry = await hv('backup', 'prune', '--dry-run', '--vm', 'good', '--json');
    const preview = JSON.parse(dry.stdout);
    assert.deepEqual(
      preview.items
        .filter(({ isKept }: { isKept: boolean }) => isKept)
        .map(({ pointId }: { pointId: string }) => pointId),
      [all[0]?.id, oldest.id],
      dry.stdout,
    );
    assert.equal((await points('good')).length, all.length, 'a preview removes nothing');
    const refused = await hv('backup', 'delete', oldest.id, '--yes', '--name', oldest.id);
    assert.match(refused.stderr, /is protected/);
    const pruned = await hv('backup', 'prune', '--repo', 'default');
    assert.equal(pruned.code, 0, pruned.stderr);
    assert.deepEqual(
      (await points('good')).map(({ id }) => id),
      [all[0]?.id, oldest.id],
    );
    assert.equal((await hv('backup', 'unprotect', oldest.id)).code, 0);
    assert.equal((await hv('backup', 'prune', '--repo', 'default')).code, 0);
    assert.deepEqual(
      (await points('good')).map(({ id }) => id),
      [all[0]?.id],
    );
  });

  test('a manifest that cannot be read ends the cleaning before anything is removed, and people are told', async () => {
    const kept = (await points('broken')).map(({ id }) => id);
    const folder = join(stateDir, 'repositories/default/manifests');
    const path = (await readdir(folder, { recursive: true })).find((name) => name.endsWith('.json'));
    assert.ok(path);
    const whole = await readFile(join(folder, path));
    await writeFile(join(folder, path), 'torn');
    const pruned = await hv('backup', 'prune', '--repo', 'default');
    assert.equal(pruned.code, 1, pruned.stdout);
    assert.match(pruned.stderr, /cannot be read|damaged/);
    await writeFile(join(folder, path), whole);
    assert.deepEqual(
      (await points('broken')).map(({ id }) => id),
      kept,
    );
    assert.equal((await hv('backup', 'prune', '--repo', 'default')).code, 0);
  });

  test('the report is a page, a document and a PDF', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'hv-report-'));
    try {
      const page = await hv('backup', 'report');
      assert.match(page.stdout, /<!doctype html>[\s\S]*good/);
      const json = JSON.parse((await hv('backup', 'report', '--format', 'json')).stdout);
      assert.equal(json.vms.length, 2);
      assert.ok(json.runs.length >= 3);
      assert.equal((await hv('backup', 'report', '--format', 'pdf', '--out', join(dir, 'r.pdf'))).code, 0);
      assert.match((await readFile(join(dir, 'r.pdf'))).toString('latin1'), /^%PDF-1\.4[\s\S]*\(good\)[\s\S]*%%EOF/);
    } finally {
      await rm(dir, { recursive: true, maxRetries: 20, retryDelay: 100 });
    }
  });

  test('a disk that no restore point holds asks for attention until somebody says that it is right', async () => {
    const path = join(stateDir, 'only-read.raw');
    await writeFile(path, Buffer.alloc(MIB));
    await libvirtd.virsh('attach-disk', 'broken', path, 'vdz', '--mode', 'readonly', '--config');
    await daemon.finish(await daemon.admin('POST /vms/{id}/backup', { params: { id: 'broken' }, body: {} }));
    const reasons = async () => (await postures())['broken']?.reasons.map(({ code }) => code);
    assert.ok((await reasons())?.includes('disk_left_out'));
    const strange = await hv('backup', 'leave-out', 'broken', 'vdy');
    assert.match(strange.stderr, /"vdy" is none of the disks .* leaves out \(vdz\)/);
    const said = await hv('backup', 'leave-out', 'broken', 'vdz', '--reason', 'an image for all');
    assert.equal(said.code, 0, said.stderr);
    assert.ok(!(await reasons())?.includes('disk_left_out'));
    await restart();
    assert.deepEqual((await postures())['broken']?.disksAccepted, ['vdz']);
    assert.equal((await hv('backup', 'leave-out', 'broken')).code, 0);
    assert.ok((await reasons())?.includes('disk_left_out'));
  });

  test('restore points of a VM that is gone are listed as such, stay, and count for nothing', async () => {
    const vm = await daemon.admin('GET /vms/{id}', { params: { id: 'broken' } });
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: vm.id } }));
    const { items, orphans } = await daemon.admin('GET /backup-posture', { query: {} });
    assert.deepEqual(
      items.map(({ vmName }) => vmName),
      ['good'],
    );
    assert.deepEqual(
      orphans.map(({ vmName }) => vmName),
      ['broken'],
    );
    const { items: kept } = await daemon.admin('GET /backup-retention', { query: { vm: vm.id } });
    assert.ok(kept.length > 0 && kept.every(({ reasons }) => reasons.includes('vm_is_gone')));
  });

  test('a schedule whose minute comes begins by itself', async () => {
    const made = await hv(
      'backup',
      'schedule',
      'create',
      'often',
      '--calendar',
      '* * * * *',
      '--jitter',
      '0',
      '--vm',
      'good',
    );
    assert.equal(made.code, 0, made.stderr);
    const all = await roundsWhen(
      (now) => now.some(({ scheduleName, state }) => scheduleName === 'often' && state === 'done'),
      150_000,
    );
    const own = all.find(({ scheduleName }) => scheduleName === 'often');
    assert.equal(new Date(own?.dueAt ?? '').getUTCSeconds(), 0);
    await roundsWhen((now) => now.every(({ state }) => state !== 'running'), 60_000);
    assert.equal((await hv('backup', 'schedule', 'delete', 'often')).code, 0);
  });
});
