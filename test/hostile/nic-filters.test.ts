/** Row G4: a guest that sends in the name of others, plays DHCP server or router, and reaches for the API. Real guests on a real libvirtd,
 *  real frames; the kernel counts in the bridge what was sent, and what is left behind the filters. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ApiProblem } from '#contract/client.ts';
import type { NicFilter, Vm, VmCreateInput } from '#contract/vms.ts';
import { MIB } from '#kernel/units.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { arpReply, frame, frameSender, icmp6, ipv4, ipv6, ipv6Packet, tcpSyn, udp } from '../support/frames.ts';
import { helloDisk } from '../support/guest.ts';
import { type GuestShell, guestShell } from '../support/guest-shell.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { type Tenants, twoTenants } from '../support/tenants.ts';

const execute = promisify(execFile);
const isForbidden = (error: unknown) => error instanceof ApiProblem && error.problem.code === 'forbidden';
const skip = missingForLibvirtd() ?? false;

const MAC = '52:54:00:11:22:33';
const STRANGER = '52:54:00:ba:d0:01';
const LINK_LOCAL = 'fe80:0:0:0:5054:ff:fe11:2233';
const ALL_NODES = 'ff02:0:0:0:0:0:0:1';
/** The private libvirtd's bridge; its own address is the host's as well. */
const OTHER_HOST_ADDRESS = '192.0.2.1';
const ELSEWHERE = '198.51.100.9';

const SEND = 'cat >/run/frame && for n in 1 2 3; do /run/send </run/frame || exit 1; done';

interface Attack {
  readonly name: string;
  readonly frame: Buffer;
  /** How nftables knows it again in the family `bridge`. */
  readonly match: string;
  /** The weakest filter that stops it; null = it is harmless and must pass them all. */
  readonly stoppedBy: 'mac' | 'mac_ip' | null;
}

function attacks(own: string, gateway: string, port: number): Attack[] {
  const me = { from: MAC };
  const subnet = own.replace(/\d+$/, '');
  const free = `${subnet}${own.endsWith('.251') ? 252 : 251}`;
  const advert = (source = LINK_LOCAL) => [{ source, target: ALL_NODES }, 'icmpv6', icmp6(134)] as const;
  const to = (target: string) => ({ source: own, target });
  return [
    {
      name: 'foreign MAC',
      frame: ipv4({ from: STRANGER }, to(gateway), 'udp', udp(9, 10_001)),
      match: `ether saddr ${STRANGER}`,
      stoppedBy: 'mac',
    },
    {
      name: 'ARP for a foreign MAC',
      frame: arpReply(me, { mac: '52:54:00:ba:d0:02', address: own }),
      match: 'arp saddr ether 52:54:00:ba:d0:02',
      stoppedBy: 'mac',
    },
    {
      name: 'ARP as the gateway',
      frame: arpReply(me, { mac: MAC, address: gateway }),
      match: `arp saddr ip ${gateway}`,
      stoppedBy: 'mac',
    },
    {
      name: 'address of the gateway',
      frame: ipv4(me, { source: gateway, target: own }, 'udp', udp(9, 10_002)),
      match: `ip saddr ${gateway}`,
      stoppedBy: 'mac',
    },
    {
      name: 'DHCP server',
      frame: ipv4(me, { source: own, target: '255.255.255.255' }, 'udp', udp(67, 68)),
      match: 'udp sport 67 ip saddr != 0.0.0.0',
      stoppedBy: 'mac',
    },
    {
      name: 'DHCPv6 server',
      frame: ipv6(me, { source: LINK_LOCAL, target: ALL_NODES }, 'udp', udp(547, 546)),
      match: 'udp sport 547',
      stoppedBy: 'mac',
    },
    {
      name: 'router advertisement',
      frame: ipv6(me, ...advert()),
      match: 'icmpv6 type nd-router-advert',
      stoppedBy: 'mac',
    },
    {
      name: 'redirect',
      frame: ipv6(me, { source: LINK_LOCAL, target: ALL_NODES }, 'icmpv6', icmp6(137)),
      match: 'icmpv6 type nd-redirect',
      stoppedBy: 'mac',
    },
    {
      name: 'router advertisement in a VLAN',
      frame: frame(me, 0x8100, Buffer.concat([Buffer.from([0, 7, 0x86, 0xdd]), ipv6Packet(...advert())])),
      match: 'ether type 8021q',
      stoppedBy: 'mac',
    },
    {
      name: 'frame of another protocol',
      frame: frame(me, 0x88b5, Buffer.alloc(46)),
      match: 'ether type 0x88b5',
      stoppedBy: 'mac',
    },
    ...[gateway, OTHER_HOST_ADDRESS].map(
      (address): Attack => ({
        name: `API at ${address}`,
        frame: ipv4(me, to(address), 'tcp', tcpSyn(port)),
        match: `ip daddr ${address} tcp dport ${port}`,
        stoppedBy: 'mac',
      }),
    ),
    {
      name: 'API over IPv6',
      frame: ipv6(me, { source: LINK_LOCAL, target: 'fe80:0:0:0:0:0:0:1' }, 'tcp', tcpSyn(port)),
      match: `ip6 daddr fe80::1 tcp dport ${port}`,
      stoppedBy: 'mac',
    },
    {
      name: 'foreign address',
      frame: ipv4(me, { source: free, target: gateway }, 'udp', udp(9, 10_003)),
      match: `ip saddr ${free}`,
      stoppedBy: 'mac_ip',
    },
    {
      name: 'ARP for a foreign address',
      frame: arpReply(me, { mac: MAC, address: free }),
      match: `arp saddr ip ${free}`,
      stoppedBy: 'mac_ip',
    },
    {
      name: 'the port of the API on another machine',
      frame: ipv4(me, to(ELSEWHERE), 'tcp', tcpSyn(port)),
      match: `ip daddr ${ELSEWHERE} tcp dport ${port}`,
      stoppedBy: null,
    },
    {
      name: 'its own address',
      frame: ipv4(me, to(gateway), 'udp', udp(9, 10_004)),
      match: `ip saddr ${own} udp dport 10004`,
      stoppedBy: null,
    },
  ];
}

describe('what guests send', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let daemon: TestDaemon;
  let tenants: Tenants;

  const host = async (...argv: readonly string[]): Promise<string> => {
    const [program, ...args] = libvirtd.enter(argv);
    return (await execute(program, args)).stdout;
  };
  const show = (): Promise<Vm> => daemon.admin('GET /vms/{id}', { params: { id: 'evil' } });

  before(async () => {
    libvirtd = await startPrivateLibvirtd({ bridge: true });
    daemon = await startDaemon({ libvirtd, env: { HV_LISTEN: '0.0.0.0:0' } });
    const { finish, admin } = daemon;
    await finish(await admin('POST /images/import', { body: { path: await helloDisk(), name: 'hello' } }));
    tenants = await twoTenants(daemon, libvirtd, { both: 'default', shop: 'hvbr0', lab: 'hvbr0' });
  });
  after(async () => {
    await tenants?.[Symbol.asyncDispose]();
    await daemon?.close();
    await libvirtd?.close();
  });

  /** The guest once it has its address, with the program that sends frames. */
  const ready = async (): Promise<{ shell: GuestShell; own: string; gateway: string }> => {
    const shell = await guestShell(libvirtd, 'evil');
    const { code, text } = await shell.run(
      'cat >/run/send; chmod 755 /run/send; for n in $(seq 150); do ip route show default | grep -q via && break; sleep 0.2; done; ip route show default; ip -4 addr show eth0',
      frameSender(),
    );
    const gateway = /default via (\S+)/.exec(text)?.[1];
    const own = /inet (\S+)\//.exec(text)?.[1];
    assert.ok(code === 0 && gateway !== undefined && own !== undefined, `no address by DHCP: ${text}`);
    return { shell, own, gateway };
  };

  /** Sends each attack; answers how often the bridge saw it before and behind the filters. */
  const send = async (
    list: readonly Attack[],
    shell: GuestShell,
  ): Promise<Map<string, { sent: number; left: number }>> => {
    const chain = (name: string, priority: number) =>
      `chain ${name} { type filter hook prerouting priority ${priority}; ${list.map(({ match }) => `${match} counter;`).join(' ')} }`;
    // libvirt's rules are in the chain of ebtables with the priority -300.
    await host('nft', `table bridge watch { ${chain('sent', -400)}\n${chain('left', 100)}\n}`);
    const counts = async (name: string) => {
      const packets = (await host('nft', 'list', 'chain', 'bridge', 'watch', name)).matchAll(/counter packets (\d+)/g);
      return new Map([...packets].map(([, count], n) => [list[n], Number(count)]));
    };
    // Right after a lease, while libvirt makes the rules for the new address, the first frames may never reach the bridge.
    let missing: readonly Attack[] = list;
    for (let round = 0; missing.length > 0 && round < 40; round += 1) {
      if (round > 0) await sleep(250);
      for (const attack of missing) assert.equal((await shell.run(SEND, attack.frame)).code, 0, attack.name);
      const seen = await counts('sent');
      missing = list.filter((attack) => (seen.get(attack) ?? 0) === 0);
    }
    if (missing.length > 0)
      assert.fail(
        `never reached the bridge: ${missing.map(({ name }) => name).join(', ')}\n${await host('ip', '-s', 'link')}\n${await host('nft', 'list', 'ruleset')}`,
      );
    const [sent, left] = [await counts('sent'), await counts('left')];
    await host('nft', 'delete', 'table', 'bridge', 'watch');
    return new Map(list.map((attack) => [attack.name, { sent: sent.get(attack) ?? 0, left: left.get(attack) ?? 0 }]));
  };

  const port = () => Number(new URL(daemon.origin).port);
  const connects = async (shell: GuestShell, address: string, to: number): Promise<boolean> =>
    (await shell.run(`nc -w 3 ${address} ${to} </dev/null`)).code === 0;

  const restart = async (filter: NicFilter) => {
    const { admin, finish } = daemon;
    const params = { id: 'evil' };
    await finish(await admin('PATCH /vms/{id}', { params, body: { nics: [{ mac: MAC, filter }] } }));
    await finish(await admin('POST /vms/{id}/stop', { params }));
    await finish(await admin('POST /vms/{id}/start', { params }));
    assert.equal((await show()).nics[0]?.filter, filter);
  };

  const check = async (filter: NicFilter, t: { diagnostic(text: string): void }) => {
    const { shell, own, gateway } = await ready();
    // Rules that change while libvirt makes its own for the new address make that fail, and then it switches the NIC off (libvirt 9.0).
    const end = performance.now() + 120_000;
    while (filter === 'mac_ip' && !(await host('nft', 'list', 'ruleset', 'bridge')).includes(own)) {
      assert.ok(performance.now() < end, `no rule of libvirt names ${own}`);
      await sleep(500);
    }
    const list = attacks(own, gateway, port());
    const seen = await send(list, shell);
    const isStopped = ({ stoppedBy }: Attack) =>
      stoppedBy === 'mac' ? filter !== 'off' : stoppedBy === 'mac_ip' && filter === 'mac_ip';
    for (const attack of list) {
      const { sent, left } = seen.get(attack.name) ?? { sent: 0, left: 0 };
      assert.ok(sent > 0, `${attack.name} was sent`);
      if (isStopped(attack)) assert.equal(left, 0, `${attack.name} passes the filter ${filter}`);
      else assert.ok(left > 0, `${attack.name} is stopped by the filter ${filter}: ${sent} sent`);
    }
    assert.match((await shell.run(`ping -c 2 -W 3 ${gateway}`)).text, / 0% packet loss/, 'it reaches its gateway');
    assert.equal(await connects(shell, gateway, 53), true, 'and the name server there');
    assert.equal(await connects(shell, gateway, port()), filter === 'off', 'the API');
    const stopped = list.filter(isStopped).length;
    t.diagnostic(`count: filter ${filter}: ${stopped} of ${list.length} kinds of frames stopped, 0 of them left`);
  };

  test('G4 a guest on the NAT network sends as itself only, by MAC and address, and does not reach the API', async (t) => {
    const { admin, finish } = daemon;
    await finish(
      await admin('POST /vms', {
        body: {
          name: 'evil',
          memoryBytes: 256 * MIB,
          vcpus: 1,
          firmware: 'bios',
          disks: [{ imageId: 'hello' }],
          nics: [{ mac: MAC }],
          graphics: false,
          accel: 'tcg',
        },
      }),
    );
    assert.equal((await show()).nics[0]?.filter, 'mac_ip');
    await check('mac_ip', t);
  });

  test('G4 filters that another program took away or changed are back before the next start', async () => {
    const { admin, finish } = daemon;
    const params = { id: 'evil' };
    await finish(await admin('POST /vms/{id}/stop', { params }));
    const before = await libvirtd.virsh('nwfilter-dumpxml', 'hyper-mac');
    for (const name of ['hyper-mac-ip', 'hyper-mac']) await libvirtd.virsh('nwfilter-undefine', name);
    await finish(await admin('POST /vms/{id}/start', { params }));
    const withoutId = (xml: string) => xml.replace(/<uuid>.*<\/uuid>/, '');
    assert.equal(withoutId(await libvirtd.virsh('nwfilter-dumpxml', 'hyper-mac')), withoutId(before));
  });

  test('G4 with the filter by MAC a guest may have any address but those of the host, and nothing else more', async (t) => {
    await restart('mac');
    await check('mac', t);
  });

  test('G4 a NIC that was opened sends everything: so the filters it is that stop the rest', async (t) => {
    await restart('off');
    await check('off', t);
  });

  test('G4 who administers a project cannot open a NIC, nor have one without a filter', async () => {
    const { shop } = tenants;
    const nic = { network: 'default' };
    const body = {
      name: 'till',
      project: shop.project.id,
      memoryBytes: 32 * MIB,
      firmware: 'bios',
      disks: [{ sizeBytes: 4 * MIB }],
      start: false,
      accel: 'tcg',
    } satisfies Partial<VmCreateInput>;
    for (const filter of ['off', 'mac'] as const)
      await assert.rejects(shop.api('POST /vms', { body: { ...body, nics: [{ ...nic, filter }] } }), isForbidden);
    await daemon.finish(await shop.api('POST /vms', { body: { ...body, nics: [nic] } }));
    const { id, nics } = await shop.api('GET /vms/{id}', { params: { id: 'till' } });
    const [{ mac = '', filter } = {}] = nics;
    assert.equal(filter, 'mac_ip');
    for (const weaker of ['off', 'mac'] as const)
      await assert.rejects(
        shop.api('PATCH /vms/{id}', { params: { id }, body: { nics: [{ mac, filter: weaker }] } }),
        isForbidden,
      );
    const stored = await libvirtd.virsh('dumpxml', '--inactive', id);
    assert.match(stored, /<filterref filter='hyper-mac-ip'>/);
    // What an administrator opened stays open through edits of others, and they may close it.
    const open = await daemon.admin('PATCH /vms/{id}', { params: { id }, body: { nics: [{ mac, filter: 'off' }] } });
    await daemon.finish(open);
    await daemon.finish(await shop.api('PATCH /vms/{id}', { params: { id }, body: { title: 'till' } }));
    assert.equal((await shop.api('GET /vms/{id}', { params: { id } })).nics[0]?.filter, 'off');
    await daemon.finish(
      await shop.api('PATCH /vms/{id}', { params: { id }, body: { nics: [{ mac, filter: 'mac_ip' }] } }),
    );
    assert.match(await libvirtd.virsh('dumpxml', '--inactive', id), /<filterref filter='hyper-mac-ip'>/);
  });
});
