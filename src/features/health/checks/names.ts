/** Does something else use the names, addresses and ports that we want? */

import { isIP } from 'node:net';
import { PREFLIGHT_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import { OWN_POOL } from '#features/storage/index.ts';
import { type CheckContext, type CheckDefinition, type Finding, ok, unknown, warn } from '../check.ts';

/** The network that VMs use unless told otherwise. */
export const NAT_NETWORK = 'default';

async function clashes({ machine, libvirt, settings }: CheckContext): Promise<Finding> {
  if (libvirt.connection().state !== 'connected')
    return unknown('libvirt does not answer, so the names in use are not known.', PREFLIGHT_WAITS_FOR_LIBVIRT);
  const found: { readonly what: string; readonly mend: string }[] = [];

  const pool = libvirt.pools().find(({ name }) => name === OWN_POOL);
  if (pool !== undefined && pool.path !== settings.disks) {
    found.push({
      what: `the storage pool "${OWN_POOL}" belongs to something else (${pool.path ?? pool.kind})`,
      mend: `rename it: \`virsh pool-dumpxml ${OWN_POOL}\`, change the name, define it, then \`virsh pool-undefine ${OWN_POOL}\``,
    });
  }
  const samePath = libvirt.pools().find(({ name, path }) => name !== OWN_POOL && path === settings.disks);
  if (samePath !== undefined) {
    found.push({
      what: `the folder of our disks is also the storage pool "${samePath.name}"`,
      mend: `take that pool away, its files stay: \`virsh pool-destroy ${samePath.name}; virsh pool-undefine ${samePath.name}\``,
    });
  }
  const network = libvirt.networks().find(({ name, kind }) => name === NAT_NETWORK && kind !== 'host_bridge');
  if (network !== undefined && network.kind !== 'nat') {
    found.push({
      what: `the network "${NAT_NETWORK}" is not NAT but ${network.kind}`,
      mend: 'VMs use it as it is; name another network when you create a VM, or make it NAT with `virsh net-edit default`',
    });
  }
  const overlap = subnetClash(network?.addresses ?? [], network?.bridge ?? null, machine.ipv4Networks());
  if (overlap !== null) {
    found.push({
      what: `the network "${NAT_NETWORK}" uses ${overlap.subnet}, which ${overlap.interfaceName} of this machine is in too`,
      mend: 'give the network another range with `virsh net-edit default`, then restart it',
    });
  }
  const hostName = machine.hostName().split('.')[0]?.toLowerCase() ?? '';
  if (hostName !== '' && libvirt.vmNames().some((name) => name.toLowerCase() === hostName)) {
    found.push({
      what: `a VM has the name of this machine (${hostName})`,
      mend: 'rename one of the two, or names in the network lead astray: `hv vm edit NAME --name OTHER`',
    });
  }
  if (found.length === 0)
    return ok('Nothing else uses the names of our pool and network, or the name of this machine.');
  return warn(
    `${upperFirst(found.map(({ what }) => what).join('; '))}.`,
    `${upperFirst(found.map(({ mend }) => mend).join('; '))}.`,
  );
}

const upperFirst = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** The interface, other than the network's own bridge, that lies in the same range. */
function subnetClash(
  addresses: readonly { address: string; prefix: number }[],
  bridge: string | null,
  interfaces: readonly { name: string; cidr: string }[],
): { subnet: string; interfaceName: string } | null {
  for (const { address, prefix } of addresses) {
    if (isIP(address) !== 4) continue;
    for (const { name, cidr } of interfaces) {
      const [other = '', otherPrefix = '32'] = cidr.split('/');
      const bits = Math.min(prefix, Number(otherPrefix));
      if (name !== bridge && networkPart(address, bits) === networkPart(other, bits))
        return { subnet: `${address}/${prefix}`, interfaceName: name };
    }
  }
  return null;
}

function networkPart(address: string, bits: number): number {
  const value = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  return Math.floor(value / 2 ** (32 - bits));
}

const TCP_LISTEN = '0A';

/** Who else listens on our port. Source: proc(5), /proc/net/tcp: local address, state and inode are columns 1, 3 and 9. */
async function port({ machine, settings }: CheckContext): Promise<Finding> {
  const wanted = settings.port();
  const inodes: string[] = [];
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of ((await machine.readText(table)) ?? '').split('\n').slice(1)) {
      const columns = line.trim().split(/\s+/);
      if (columns[3] === TCP_LISTEN && Number.parseInt(columns[1]?.split(':')[1] ?? '', 16) === wanted)
        inodes.push(columns[9] ?? '');
    }
  }
  if (inodes.length === 0) return ok(`Nothing listens on port ${wanted}.`);
  const own = new Set<string>();
  const descriptors = await machine.list('/proc/self/fd');
  if (descriptors === null)
    return unknown(
      `Something listens on port ${wanted}, but without /proc it cannot be told whether that is hyperd.`,
      `See which: \`ss -ltnp 'sport = :${wanted}'\`.`,
    );
  for (const descriptor of descriptors) {
    const inode = /^socket:\[(\d+)\]$/.exec((await machine.linkTarget(`/proc/self/fd/${descriptor}`)) ?? '')?.[1];
    if (inode !== undefined) own.add(inode);
  }
  if (inodes.every((inode) => own.has(inode))) return ok(`hyperd itself listens on port ${wanted}.`);
  return warn(
    `Another program listens on port ${wanted} too, on another address of this machine.`,
    `See which: \`ss -ltnp 'sport = :${wanted}'\`. Stop it, or choose another port: \`./hv up --listen 127.0.0.1:8443\`.`,
  );
}

export const nameChecks: readonly CheckDefinition[] = [
  {
    id: 'names.clash',
    title: 'Names in use',
    meaning:
      'Whether the storage pool `hyper`, the network `default`, its range of addresses, or the name of the machine are in other use.',
    run: clashes,
  },
  {
    id: 'port.clash',
    title: 'Port of the dashboard',
    meaning: 'Whether another program listens on the port of the dashboard.',
    run: port,
  },
];
