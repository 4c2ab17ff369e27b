import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fakeVm } from '#contract/fake-vm.ts';
import { type LibvirtExporterParts, libvirtExporterFamilies } from './libvirt-exporter.ts';
import { countersWith, REDUCED } from './vms.test-data.ts';

/** Names, labels and values as Tinkoff/libvirt-exporter 2.3.3 gives them (commit a9612be, 2022-12-22, `libvirt_exporter.go`); to see a change
 *  of ours, run with HV_TEST_WRITE_GOLDEN=1 and look at the difference. */
const GOLDEN = new URL('./libvirt-exporter.golden.txt', import.meta.url);

const web1 = fakeVm('1', {
  name: 'web1',
  state: 'running',
  vcpus: 2,
  memoryBytes: 2 ** 30,
  project: 'project-7',
  disks: [
    {
      target: 'vda',
      device: 'disk',
      bus: 'virtio',
      format: 'qcow2',
      source: 'web1.qcow2',
      imageId: null,
      sizeBytes: null,
      allocatedBytes: null,
      readOnly: false,
      bootOrder: 1,
    },
  ],
  nics: [
    {
      mac: '52:54:00:00:00:01',
      model: 'virtio',
      sourceType: 'bridge',
      source: 'br0',
      linkUp: true,
      filter: null,
      addresses: [],
      bootOrder: null,
      device: null,
    },
  ],
});
const off = fakeVm('2', { name: 'off1' });

const at = { runId: 1, atMs: 0, atWallMs: 0 };
const partsWith = (values: ReturnType<typeof countersWith>): LibvirtExporterParts => ({
  readings: { plain: new Map([[web1.id, { ...at, values }]]), monitor: new Map([[web1.id, { ...at, values }]]) },
  qemus: () => new Map(),
  isUp: () => true,
  domainName: ({ project, name }) => (project === 'default' ? name : `p7-${name}`),
  projectName: (id) => (id === 'project-7' ? 'shop' : id),
});
const POOLS = [{ name: 'hyper', capacityBytes: 1000, allocatedBytes: 400, availableBytes: 600 }];

const linesOf = (parts: LibvirtExporterParts, vms = [web1, off]): string[] =>
  libvirtExporterFamilies(parts, { vms, pools: POOLS }).flatMap(({ name, type, samples }) =>
    samples.map(
      ({ labels, value }) =>
        `${type} ${name}{${Object.entries(labels)
          .map(([label, text]) => `${label}="${text}"`)
          .join(',')}} ${value}`,
    ),
  );

test('the names, labels and units are those of the pinned version', async () => {
  const guest = { 'balloon.major_fault': 3, 'balloon.minor_fault': 40, 'balloon.disk_caches': 50_000 };
  const waits = { 'vcpu.0.wait': 500_000_000, 'vcpu.3.wait': 0 };
  const text = `${linesOf(partsWith(countersWith({ ...guest, ...waits }))).join('\n')}\n`;
  if (process.env['HV_TEST_WRITE_GOLDEN'] === '1') await writeFile(GOLDEN, text);
  assert.equal(text, await readFile(GOLDEN, 'utf8'));
});

test('a guest without a driver for its balloon, and one whose QEMU stands still, have no figures that nobody knows', () => {
  const names = (values: ReturnType<typeof countersWith>) =>
    new Set(linesOf(partsWith(values), [web1]).map((line) => /libvirt_\w+/.exec(line)?.[0]));
  const withoutDriver = names(countersWith({ 'balloon.last-update': 0 }));
  assert.ok(!withoutDriver.has('libvirt_domain_memory_stats_usable_bytes'));
  assert.ok(withoutDriver.has('libvirt_domain_memory_stats_actual_balloon_bytes'));
  const reduced = names(REDUCED);
  assert.ok(reduced.has('libvirt_domain_info_cpu_time_seconds_total'));
  assert.ok(![...reduced].some((name) => name?.startsWith('libvirt_domain_block_stats')));
});
