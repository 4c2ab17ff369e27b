/** The look after our network filters beside VMs that start with them. libvirtd 9.0 stops for ever when its filters are listed at the wrong
 *  moment of a start, and everything that asks it then waits; so hyperd never lists them. Real guests with the filter that learns addresses. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#kernel/clock.ts';
import { newMac, newUuid } from '#kernel/ids.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createLibvirtHost, type LibvirtHost } from '#libvirt/index.ts';
import { createNicFilters } from '../../src/features/networks/nic-filters.ts';
import { helloDiskCopy } from '../support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const ROUNDS = process.env['HV_TEST_FULL'] === undefined ? 12 : 60;
/** Daemons' worth of looks, each without a pause: the moment that matters is short. */
const LOOKERS = 3;
const VMS = 3;

let daemon: PrivateLibvirtd;
let host: LibvirtHost;
/** Looks through a connection of its own, so that starts do not queue behind it in the client. */
let lookerHost: LibvirtHost;

before(
  async () => {
    if (skip) return;
    daemon = await startPrivateLibvirtd();
    host = createLibvirtHost({ uri: daemon.uri });
    lookerHost = createLibvirtHost({ uri: daemon.uri });
    await Promise.all([host.start(), lookerHost.start()]);
    const network = await host.networks.define(
      '<network><name>default</name><forward mode="nat"/><bridge name="virbr0"/><ip address="192.168.122.1" netmask="255.255.255.0"><dhcp><range start="192.168.122.2" end="192.168.122.254"/></dhcp></ip></network>',
    );
    await host.networks.create(network.uuid);
  },
  { timeout: 60_000 },
);

after(async () => {
  await Promise.all([host?.stop(), lookerHost?.stop()]);
  await daemon?.close();
});

const domain = (
  name: string,
  uuid: string,
  disk: string,
) => `<domain type='qemu'><name>${name}</name><uuid>${uuid}</uuid>
<memory unit='MiB'>128</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>
<interface type='network'><mac address='${newMac()}'/><source network='default'/><model type='virtio'/>
<filterref filter='hyper-mac-ip'><parameter name='CTRL_IP_LEARNING' value='dhcp'/></filterref></interface></devices></domain>`;

test('VMs start and stop while the filters are looked after', { skip, timeout: 300_000 }, async () => {
  const looks = Array.from({ length: LOOKERS }, () =>
    createNicFilters({
      libvirt: lookerHost,
      known: { networks: () => [] },
      port: () => 8443,
      clock: systemClock,
      log: silentLogger,
    }),
  );
  await looks[0]?.ensure();
  const uuids = await Promise.all(
    Array.from({ length: VMS }, async (_, n) => {
      const uuid = newUuid();
      const disk = join(daemon.dir, `lock-${n}.qcow2`);
      await helloDiskCopy(disk);
      await host.domains.define(domain(`lock-${n}`, uuid, disk));
      return uuid;
    }),
  );
  let isOver = false;
  let looked = 0;
  const looking = looks.map(async ({ ensure }) => {
    while (!isOver) {
      assert.equal(await ensure(), true);
      looked += 1;
    }
  });
  const life = async (uuid: string) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      await host.domains.create(uuid, { deadlineMs: 60_000 });
      await host.domains.destroy(uuid, { deadlineMs: 60_000 });
    }
  };
  try {
    await Promise.all(uuids.map(life));
  } finally {
    isOver = true;
  }
  await Promise.all(looking);
  assert.ok(looked > ROUNDS, `${looked} looks`);
  console.log(`# count: ${VMS * ROUNDS} starts with a filter beside ${looked} looks after the filters, none stuck`);
});
