/** The libvirt client against a real libvirtd with QEMU (TCG): one guest from definition to removal. virsh is the oracle. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newMac, newUuid } from '#kernel/ids.ts';
import {
  buildDomainXml,
  createLibvirtHost,
  editDomain,
  isNotFound,
  type LibvirtError,
  type LibvirtEvent,
  type LibvirtHost,
  readDomain,
} from '#libvirt/index.ts';
import { helloDiskCopy } from '../support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const AGENT_WAIT_MS = 60_000;

describe('a guest through the libvirt client', { skip }, () => {
  let daemon: PrivateLibvirtd;
  let host: LibvirtHost;
  const uuid = newUuid();
  const mac = newMac();
  const events: LibvirtEvent[] = [];

  const until = async (what: string, condition: () => boolean | Promise<boolean>, withinMs = 10_000) => {
    const end = performance.now() + withinMs;
    while (!(await condition())) {
      assert.ok(performance.now() < end, `${what} within ${withinMs} ms`);
      await sleep(50);
    }
  };

  before(async () => {
    daemon = await startPrivateLibvirtd();
    host = createLibvirtHost({ uri: daemon.uri });
    host.onEvent((event) => events.push(event));
    await host.start();
    await helloDiskCopy(join(daemon.dir, 'hello.qcow2'));
    const network = await host.networks.define(
      '<network><name>default</name><forward mode="nat"/><bridge name="virbr0"/><ip address="192.168.122.1" netmask="255.255.255.0"><dhcp><range start="192.168.122.2" end="192.168.122.254"/></dhcp></ip></network>',
    );
    await host.networks.create(network.uuid);
  });

  after(async () => {
    await host?.stop();
    await daemon?.close();
  });

  test('the host tells about itself', async () => {
    assert.match(await host.node.libVersion(), /^\d+\.\d+\.\d+$/);
    assert.equal(`${await host.node.hostname()}\n`, await daemon.virsh('hostname'));
    assert.match(await host.node.capabilities(), /<arch name='x86_64'>/);
    assert.match(await host.node.domainCapabilities({ virtType: 'qemu', machine: 'q35' }), /<domain>qemu<\/domain>/);
    const info = await host.node.info();
    assert.ok(info.cpus > 0 && info.memoryKib > 100_000 && info.cpuModel === 'x86_64');
    assert.ok(Number((await host.node.memoryStats()).get('total')) > 100_000);
    assert.ok((await host.node.cpuStats()).has('idle'));
    assert.ok((await host.node.cpuMap()).online > 0);
    assert.ok((await host.node.freeMemoryBytes()) > 0);
  });

  test('a connection takes another identity, and only that connection', async () => {
    const identity = {
      userName: 'nobody',
      userId: 65_534,
      groupName: 'nogroup',
      groupId: 65_534,
    };
    const before = host.openConnections;
    assert.deepEqual(await host.asIdentity(identity, (domains) => domains.list()), []);
    assert.equal(host.openConnections, before);
  });

  test('define, list, look up: as virsh sees it', async () => {
    const xml = buildDomainXml({
      name: 'guest-1',
      uuid,
      title: 'A <guest> & more',
      virtType: 'qemu',
      memoryKib: 262_144,
      vcpus: 1,
      firmware: { kind: 'bios' },
      disks: [{ path: join(daemon.dir, 'hello.qcow2'), format: 'qcow2', bootOrder: 1 }],
      nics: [{ mac, source: { kind: 'network', network: 'default' } }],
      metadata: { operation: 'op-1' },
    });
    const ref = await host.domains.define(xml);
    assert.deepEqual(ref, { uuid, name: 'guest-1', id: null });
    assert.deepEqual(await host.domains.list(), [ref]);
    assert.deepEqual(await host.domains.byName('guest-1'), ref);
    assert.equal((await daemon.virsh('list', '--all', '--name')).trim(), 'guest-1');
    assert.equal((await daemon.virsh('desc', '--title', 'guest-1')).trim(), 'A <guest> & more');
    assert.equal(readDomain(await host.domains.xml(uuid, { inactive: true })).metadata['operation'], 'op-1');
  });

  test('a definition that libvirt refuses is invalid_definition and changes nothing', async () => {
    const bad = '<domain type="qemu"><name>bad</name><memory>1</memory><os><type>nonsense</type></os></domain>';
    await assert.rejects(host.domains.define(bad), (error: LibvirtError) => error.code === 'invalid_definition');
    const clash = `<domain type="qemu"><name>guest-1</name><memory>65536</memory><os><type>hvm</type></os></domain>`;
    await assert.rejects(host.domains.define(clash), (error: LibvirtError) => error.code === 'already_exists');
    assert.equal((await host.domains.list()).length, 1);
  });

  test('start: events, state, live facts', async () => {
    events.length = 0;
    const id = await host.domains.create(uuid);
    assert.ok(id > 0);
    await until('the started event', () =>
      events.some((event) => event.type === 'domain-lifecycle' && event.event === 'started'),
    );
    assert.equal((await host.domains.state(uuid)).state, 'running');
    await assert.rejects(host.domains.create(uuid), (error: LibvirtError) => error.code === 'wrong_state');
    const facts = readDomain(await host.domains.xml(uuid));
    const socket = connect(daemon.mapPath(facts.graphics[0]?.socketPath ?? ''));
    const [banner] = await once(socket, 'data');
    assert.match(String(banner), /^RFB 003/);
    socket.destroy();
  });

  test('the serial console carries bytes both ways', async () => {
    const console = await host.domains.openConsole(uuid, { force: true });
    let seen = '';
    console.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    await until(
      'the guest on the serial port',
      () => seen.includes('HELLO-READY') || seen.includes('#') || seen.length > 200,
      AGENT_WAIT_MS,
    );
    await until(
      'an echo of what is typed',
      async () => {
        console.write('echo to"ge"ther\n');
        await sleep(300);
        return seen.includes('together');
      },
      AGENT_WAIT_MS,
    );
    const closed = once(console, 'close');
    console.destroy();
    await closed;
    assert.equal((await host.domains.state(uuid)).state, 'running');
  });

  test('a second console without force is refused, with force it takes over', async () => {
    const first = await host.domains.openConsole(uuid, { force: true });
    first.on('error', () => undefined);
    await assert.rejects(
      host.domains.openConsole(uuid),
      (error: LibvirtError) => error.code === 'wrong_state' || error.code === 'busy' || error.code === 'libvirt_failed',
    );
    const lost = new Promise((resolve) => first.once('close', resolve));
    const second = await host.domains.openConsole(uuid, { force: true });
    await lost;
    second.destroy();
  });

  test('the screen is a picture, keys are taken', async () => {
    const { mime, bytes } = await host.domains.screenshot(uuid);
    assert.ok(
      mime === 'image/png' ? bytes.subarray(1, 4).toString() === 'PNG' : bytes.subarray(0, 2).toString() === 'P6',
      mime,
    );
    await host.domains.sendKey(uuid, [30]);
  });

  test('the agent answers, tells addresses and file systems', async () => {
    await until(
      'the agent',
      async () => {
        try {
          return JSON.parse(await host.agent.command(uuid, '{"execute":"guest-ping"}')).return !== undefined;
        } catch (error) {
          assert.equal((error as LibvirtError).code, 'agent_unavailable');
          return false;
        }
      },
      AGENT_WAIT_MS,
    );
    await until('a lease', async () => (await host.agent.addresses(uuid, 'lease')).length > 0, 30_000);
    const [lease] = await host.agent.addresses(uuid, 'lease');
    assert.match(lease?.addresses[0]?.address ?? '', /^192\.168\.122\./);
    assert.equal(lease?.mac, mac);
    const network = await host.networks.byName('default');
    assert.equal((await host.networks.leases(network.uuid))[0]?.mac, mac);
    assert.ok(events.some((event) => event.type === 'domain-agent' && event.isConnected));
  });

  test('statistics of every group are there', async () => {
    const [stats] = await host.domains.stats([uuid], ['state', 'cpu', 'balloon', 'vcpu', 'interface', 'block', 'vm']);
    assert.equal(stats?.domain.uuid, uuid);
    for (const name of ['state.state', 'cpu.time', 'balloon.current', 'vcpu.current', 'net.0.name', 'block.0.name'])
      assert.ok(stats?.values.has(name), name);
    assert.equal((await host.domains.stats('all', ['state']))[0]?.values.get('state.state'), 1);
  });

  test('pause, resume, metadata and devices of a running guest', async () => {
    await host.domains.suspend(uuid);
    assert.equal((await host.domains.state(uuid)).state, 'paused');
    await host.domains.resume(uuid);
    await host.domains.setMetadata(uuid, '<vm fence="2"/>', {
      key: 'hyper',
      uri: 'urn:hyper-nixos:1',
      live: true,
      config: true,
    });
    assert.match(await host.domains.metadata(uuid, 'urn:hyper-nixos:1', { config: true }), /fence='2'|fence="2"/);
    assert.ok(events.some((event) => event.type === 'domain-metadata-changed'));
    await host.domains.setAutostart(uuid, true);
    assert.equal((await host.domains.list({ autostart: true })).length, 1);
    assert.ok((await host.domains.blockInfo(uuid, 'vda')).capacityBytes > 0n);
    assert.deepEqual(await host.domains.diskErrors(uuid), []);
    assert.equal((await host.domains.controlInfo(uuid)).control, 'ok');
    assert.ok((await host.domains.blockIoTune(uuid, 'vda')).some(({ name }) => name === 'total_iops_sec'));
    await host.domains.setBlockIoTune(uuid, 'vda', [{ name: 'total_iops_sec', type: 'ullong', value: 1000 }], {
      live: true,
    });
    assert.ok(
      (await host.domains.blockIoTune(uuid, 'vda')).some(
        ({ name, value }) => name === 'total_iops_sec' && value === 1000,
      ),
    );
  });

  test('a checkpoint and a pull backup begin and end', async () => {
    await host.backup.begin(
      uuid,
      `<domainbackup mode='pull'><server transport='unix' socket='${join(daemon.dir, 'nbd.sock')}'/></domainbackup>`,
      '<domaincheckpoint><name>cp1</name></domaincheckpoint>',
    );
    assert.match(await host.backup.xml(uuid), /mode='pull'/);
    await host.backup.end(uuid);
    assert.deepEqual(await host.checkpoints.list(uuid), ['cp1']);
    assert.match(await host.checkpoints.xml(uuid, 'cp1'), /cp1/);
    await host.checkpoints.delete(uuid, 'cp1');
    await assert.rejects(host.backup.xml(uuid));
  });

  test('a disk snapshot, and its commit as a block job', async () => {
    const xml = `<domainsnapshot><name>s1</name><disks><disk name='vda' snapshot='external'><source file='${join(daemon.dir, 's1.qcow2')}'/></disk></disks></domainsnapshot>`;
    await host.snapshots.create(uuid, xml, { diskOnly: true, noMetadata: true, atomic: true });
    assert.equal(readDomain(await host.domains.xml(uuid)).disks[0]?.source, join(daemon.dir, 's1.qcow2'));
    await host.blockJobs.commit(uuid, 'vda', { active: true, bandwidthBytesPerSecond: 0n });
    await until(
      'the job to be ready',
      () => events.some((event) => event.type === 'domain-block-job' && event.status === 'ready'),
      30_000,
    );
    assert.equal((await host.blockJobs.info(uuid, 'vda'))?.job, 'active-commit');
    await host.blockJobs.abort(uuid, 'vda', { pivot: true });
    assert.equal(await host.blockJobs.info(uuid, 'vda'), null);
    assert.equal(readDomain(await host.domains.xml(uuid)).disks[0]?.source, join(daemon.dir, 'hello.qcow2'));
  });

  test('stop, edit, rename, undefine', async () => {
    events.length = 0;
    await host.domains.destroy(uuid);
    await until('the stopped event', () =>
      events.some(
        (event) => event.type === 'domain-lifecycle' && event.event === 'stopped' && event.reason === 'destroyed',
      ),
    );
    const before = await host.domains.xml(uuid, { inactive: true, secure: true });
    await host.domains.define(editDomain(before, { memoryKib: 300_032, description: 'edited', vcpus: 2 }));
    const facts = readDomain(await host.domains.xml(uuid, { inactive: true }));
    assert.deepEqual(
      [facts.memoryKib, facts.vcpus, facts.description, facts.title],
      [300_032, 2, 'edited', 'A <guest> & more'],
    );
    await host.domains.rename(uuid, 'guest-2');
    assert.equal((await host.domains.byUuid(uuid)).name, 'guest-2');
    await host.domains.undefine(uuid, { leftovers: 'delete' });
    await assert.rejects(host.domains.byUuid(uuid), isNotFound);
    assert.equal((await daemon.virsh('list', '--all', '--name')).trim(), '');
  });

  test('secrets, filters and node devices are listed, defined and removed', async () => {
    const secret = await host.secrets.define(
      "<secret ephemeral='no' private='yes'><usage type='volume'><volume>/x</volume></usage></secret>",
    );
    await host.secrets.setValue(secret.uuid, Buffer.from('passphrase'));
    assert.deepEqual(
      (await host.secrets.list()).map(({ usage, usageId }) => [usage, usageId]),
      [['volume', '/x']],
    );
    await host.secrets.undefine(secret.uuid);
    const filter = await host.networkFilters.define('<filter name="f1" chain="root"/>');
    assert.match(await host.networkFilters.xml(filter.uuid), /f1/);
    await host.networkFilters.undefine(filter.uuid);
    const names = await host.nodeDevices.list();
    assert.ok(names.includes('computer'));
    assert.match(await host.nodeDevices.xml('computer'), /<device>/);
  });
});
