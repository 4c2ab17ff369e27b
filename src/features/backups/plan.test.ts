import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GIB } from '#kernel/units.ts';
import { buildBackupXml, buildCheckpointXml } from '#libvirt/index.ts';
import { asFull, backupDisks, type ParentDisk, type PlanWorld, planDisks, type VmDisk } from './plan.ts';

const NOW = new Date('2026-03-01T00:00:00Z');
const disk = (target: string, change: Partial<VmDisk> = {}): VmDisk => ({
  target,
  device: 'disk',
  sourceType: 'file',
  source: `/disks/${target}`,
  format: 'qcow2',
  isReadOnly: false,
  isShareable: false,
  serial: null,
  sizeBytes: GIB,
  ...change,
});
const before = (target: string, change: Partial<ParentDisk> = {}): [string, ParentDisk] => [
  target,
  {
    serial: null,
    sizeBytes: GIB,
    source: `/disks/${target}`,
    fullReadAt: new Date('2026-02-20T00:00:00Z'),
    isDamaged: false,
    isSuspect: false,
    ...change,
  },
];
const world = (
  disks: readonly VmDisk[],
  parents: readonly [string, ParentDisk][] = [before('vda')],
  change: Partial<PlanWorld> = {},
): PlanWorld => ({
  disks,
  parent: { pointId: 'rp-1', checkpoint: 'hyp-r-1', marked: new Set(['vda', 'vdb']), disks: new Map(parents) },
  isFullWanted: false,
  scrubDays: 30,
  now: NOW,
  ...change,
});
const only = (from: PlanWorld) => {
  const [first] = planDisks(from).disks;
  assert.ok(first);
  return { mode: first.mode, reason: first.reason, since: first.since, parent: first.parentPointId };
};

test('a disk that is as it was is read by its changes since the mark of the newest restore point', () => {
  assert.deepEqual(only(world([disk('vda')])), {
    mode: 'incremental',
    reason: null,
    since: 'hyp-r-1',
    parent: 'rp-1',
  });
});

const FULL: Readonly<Record<string, PlanWorld>> = {
  'first backup into this repository': world([disk('vda')], [], { parent: null }),
  'new disk': world([disk('vdb')]),
  'another disk than before': world([disk('vda', { source: '/disks/other' })]),
  'not known where it was read from before': world([disk('vda')], [before('vda', { source: null })]),
  'its size changed': world([disk('vda', { sizeBytes: 2 * GIB })]),
  'damaged in the repository: what is missing is written again': world(
    [disk('vda')],
    [before('vda', { isDamaged: true })],
  ),
  'its change tracking missed something': world([disk('vda')], [before('vda', { isSuspect: true })]),
  'the mark of the last backup is gone': world([disk('vda')], undefined, {
    parent: { pointId: 'rp-1', checkpoint: null, marked: new Set(), disks: new Map([before('vda')]) },
  }),
  'last read as a whole 31 d ago': world(
    [disk('vda')],
    [before('vda', { fullReadAt: new Date('2026-01-29T00:00:00Z') })],
  ),
  'no change tracking in this format': world([disk('vda', { format: 'raw' })]),
  'asked for': world([disk('vda')], undefined, { isFullWanted: true }),
};
for (const [reason, from] of Object.entries(FULL))
  test(`a disk is read as a whole: ${reason}`, () => {
    const { mode, reason: told, since, parent } = only(from);
    assert.deepEqual([mode, told], ['full', reason]);
    // Where its changes are told all the same, the whole reading is held against them.
    const isCompared = ['asked for', 'its change tracking missed something', 'last read as a whole 31 d ago'].includes(
      reason,
    );
    assert.deepEqual([since, parent], isCompared ? ['hyp-r-1', 'rp-1'] : [null, null]);
  });

test('a disk with another serial number is another disk', () => {
  assert.equal(only(world([disk('vda', { serial: 'B' })], [before('vda', { serial: 'A' })])).mode, 'full');
});

test('what cannot be read as it was at one moment is left out, with its reason', () => {
  const { disks, skipped } = planDisks(
    world([
      disk('sda', { device: 'cdrom' }),
      disk('fda', { device: 'floppy' }),
      disk('vdb', { isReadOnly: true }),
      disk('vdc', { isShareable: true }),
      disk('vdd', { sourceType: 'network' }),
      disk('vde', { source: null }),
      disk('vdf', { sizeBytes: null }),
      disk('sdb', { device: 'lun' }),
      disk('vda'),
    ]),
  );
  assert.deepEqual(
    disks.map(({ target }) => target),
    ['vda'],
  );
  assert.deepEqual(
    skipped.map(({ target }) => target),
    ['sda', 'fda', 'vdb', 'vdc', 'vdd', 'vde', 'vdf', 'sdb'],
  );
  assert.ok(skipped.every(({ reason }) => reason !== ''));
});

test('libvirt is told of every disk: how each is read, which is marked, which is left out', () => {
  const plan = planDisks(
    world([disk('vda'), disk('vdb'), disk('vdc', { format: 'raw' }), disk('sda', { device: 'cdrom' })]),
  );
  const disks = backupDisks(plan, (target) => `/scratch/${target}`);
  const xml = buildBackupXml({ socketPath: '/run/nbd', disks });
  assert.match(xml, /<server transport="unix" socket="\/run\/nbd"\/>/);
  assert.match(xml, /<disk name="vda" [^>]*backupmode="incremental" incremental="hyp-r-1">/);
  assert.match(xml, /<disk name="vdb" [^>]*exportname="vdb" backupmode="full">/);
  assert.match(xml, /<disk name="vdc" [^>]*backupmode="full">/);
  assert.match(xml, /<disk name="sda" backup="no"\/>/);
  assert.match(xml, /<scratch file="\/scratch\/vda"\/>/);
  const mark = buildCheckpointXml('hyp-r-2', disks) ?? '';
  assert.match(mark, /<disk name="vdb" checkpoint="bitmap"\/>/);
  assert.match(mark, /<disk name="vdc" checkpoint="no"\/>/);
  assert.match(mark, /<disk name="sda" checkpoint="no"\/>/);
});

test('no mark is asked for when no disk can hold one', () => {
  const plan = planDisks(world([disk('vda', { format: 'raw' })]));
  assert.equal(
    buildCheckpointXml(
      'hyp-r-2',
      backupDisks(plan, () => '/scratch'),
    ),
    null,
  );
  assert.equal(plan.warnings.length, 1);
});

test('a disk whose mark turned out to be broken is read as a whole, the others as planned', () => {
  const plan = asFull(
    planDisks(world([disk('vda'), disk('vdb')], [before('vda'), before('vdb')])),
    new Set(['vda']),
    'lost',
  );
  assert.deepEqual(
    plan.disks.map(({ mode, reason, since }) => ({ mode, reason, since })),
    [
      { mode: 'full', reason: 'lost', since: null },
      { mode: 'incremental', reason: null, since: 'hyp-r-1' },
    ],
  );
});
