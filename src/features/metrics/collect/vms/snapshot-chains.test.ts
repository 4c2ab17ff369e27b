import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibvirtError } from '#libvirt/index.ts';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import { longestChain, snapshotChainsReader, snapshotTime } from './snapshot-chains.ts';
import { countersWith } from './vms.test-data.ts';

const chain = countersWith({
  'block.count': 4,
  'block.1.name': 'vda',
  'block.1.backingIndex': 1,
  'block.2.name': 'vda',
  'block.2.backingIndex': 2,
  'block.3.name': 'vdb',
});

test('the longest chain counts, and a VM without disks has none', () => {
  assert.equal(longestChain(countersWith()), 1);
  assert.equal(longestChain(chain), 3);
  assert.equal(longestChain(new Map([['block.count', 0]])), null);
  assert.equal(longestChain(new Map([['block.count', 2 ** 31]])), null);
});

test('the time of a snapshot is in its description', () => {
  assert.equal(snapshotTime('<domainsnapshot><creationTime>1767225600</creationTime></domainsnapshot>'), 1_767_225_600);
  assert.equal(snapshotTime('<domainsnapshot><creationTime>soon</creationTime></domainsnapshot>'), null);
  assert.equal(snapshotTime('<domainsnapshot/>'), null);
});

test('chains of running VMs, ages of all; each description is read once', async () => {
  const read: string[] = [];
  const asked: (readonly string[])[] = [];
  const reader = snapshotChainsReader({
    vms: () => [
      { id: 'on', isAsked: true },
      { id: 'off', isAsked: false },
      { id: 'gone', isAsked: false },
    ],
    async blockStats(uuids) {
      asked.push(uuids);
      return new Map([['on', chain]]);
    },
    async snapshots(uuid) {
      if (uuid === 'gone') throw new LibvirtError('not_found', { procedure: 'x' });
      return uuid === 'off' ? ['new', 'old'] : [];
    },
    async snapshotXml(_uuid, name) {
      read.push(name);
      return `<domainsnapshot><creationTime>${name === 'old' ? 1_000 : 2_000}</creationTime></domainsnapshot>`;
    },
    nowSeconds: () => 5_000,
  });
  const sink = createRecordingSink();
  const { signal } = new AbortController();
  for (let turn = 0; turn < 2; turn += 1) {
    sink.clear();
    reader.put(sink, (await reader.read(signal)) ?? new Map());
    assert.deepEqual(
      [...sink.values],
      [
        ['on:snapshot_chain', 3],
        ['off:snapshot_age', 4_000],
      ],
    );
  }
  assert.deepEqual(read, ['new', 'old']);
  assert.deepEqual(asked, [['on'], ['on']]);
});
