/** Can guests get onto a network? */

import { PREFLIGHT_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import { AppError } from '#kernel/errors.ts';
import { type CheckContext, type CheckDefinition, type Finding, ok, unknown, warn } from '../check.ts';
import { NAT_NETWORK } from './names.ts';

/** The newest libvirt that needs iptables; later ones use nft by themselves. Source: libvirt's news of 10.4.0. */
const NFT_SINCE = [10, 4] as const;

async function nat(context: CheckContext): Promise<Finding> {
  const { machine, libvirt } = context;
  if (libvirt.connection().state !== 'connected')
    return unknown('libvirt does not answer, so its networks are not known.', PREFLIGHT_WAITS_FOR_LIBVIRT);
  const problem = await packetFilterProblem(context);
  if (problem !== null) return problem;
  const network = libvirt.networks().find(({ name }) => name === NAT_NETWORK);
  const forwards = (await machine.readText('/proc/sys/net/ipv4/ip_forward'))?.trim() === '1';
  if (network === undefined)
    return ok(`There is no network "${NAT_NETWORK}" yet; it is made when the first VM needs it.`);
  if (network.state !== 'active') return ok(`The network "${NAT_NETWORK}" is off; it is started when a VM needs it.`);
  const where = network.addresses.map(({ address, prefix }) => `${address}/${prefix}`).join(', ') || 'no address';
  if (network.kind === 'nat' && !forwards) {
    return warn(
      `The network "${NAT_NETWORK}" is on (${where}), but this machine forwards no packets: guests reach only the machine itself.`,
      'Switch it on: `sysctl -w net.ipv4.ip_forward=1`, and for good in /etc/sysctl.d/.',
    );
  }
  return ok(`The network "${NAT_NETWORK}" is on: ${where}.`);
}

/** libvirt's NAT needs a packet filter that really takes rules. */
async function packetFilterProblem({ machine, libvirt, signal }: CheckContext): Promise<Finding | null> {
  const [major = 0, minor = 0] = (await libvirt.version()).split('.').map(Number);
  const usesNft = major > NFT_SINCE[0] || (major === NFT_SINCE[0] && minor >= NFT_SINCE[1]);
  const filters = usesNft
    ? [
        ['nft', 'list', 'tables'],
        ['iptables', '-w', '2', '-t', 'nat', '-S'],
      ]
    : [['iptables', '-w', '2', '-t', 'nat', '-S']];
  // Only root may look at the rules. Without it, that the program is there must do; a network that cannot start shows by itself.
  const isRoot = machine.userId() === 0;
  let complaint = '';
  for (const argv of filters) {
    try {
      const { code, stderr } = await machine.run(isRoot ? argv : [argv[0] ?? '', '--version'], {
        timeoutMs: 5_000,
        signal,
      });
      if (code === 0) return null;
      complaint ||= stderr.split('\n')[0]?.slice(0, 200) ?? '';
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'program_missing') throw error;
    }
  }
  if (complaint === '')
    return warn(
      `${usesNft ? 'Neither nft nor iptables' : 'iptables'} is installed: the NAT network cannot start.`,
      `Install it: \`apt-get install ${usesNft ? 'nftables' : 'iptables'}\`.`,
    );
  return warn(
    `The packet filter refuses: ${complaint}. The NAT network may not start.`,
    'Load the kernel modules: `modprobe iptable_nat nf_nat`, or use a kernel that has them.',
  );
}

async function bridges({ machine }: CheckContext): Promise<Finding> {
  const names: string[] = [];
  const idle: string[] = [];
  for (const name of (await machine.list('/sys/class/net')) ?? []) {
    if ((await machine.facts(`/sys/class/net/${name}/bridge`)) === null) continue;
    names.push(name);
    // virbr0 and its like belong to libvirt's networks, which add and take their ports themselves.
    const ports = (await machine.list(`/sys/class/net/${name}/brif`)) ?? [];
    if (ports.length === 0 && !name.startsWith('virbr')) idle.push(name);
  }
  if (names.length === 0)
    return ok(
      'The machine has no bridge: VMs use the NAT network. A bridge would put them into the network of the machine itself.',
    );
  const filtersBridges = (await machine.readText('/proc/sys/net/bridge/bridge-nf-call-iptables'))?.trim() === '1';
  if (idle.length > 0)
    return warn(
      `Bridges: ${names.join(', ')}. No network card is in ${idle.join(', ')}, so VMs there reach only each other and this machine.`,
      `Add a card: \`ip link set CARD master ${idle[0]}\`, and for good in the network configuration. If that is wanted, nothing needs doing.`,
    );
  if (filtersBridges && names.some((name) => !name.startsWith('virbr'))) {
    return warn(
      `Bridges: ${names.join(', ')}. The packet filter of this machine also sees what passes through them, and may drop packets of VMs.`,
      'Unless something (as Docker) needs it: `sysctl -w net.bridge.bridge-nf-call-iptables=0`.',
    );
  }
  return ok(`Bridges: ${names.join(', ')}.`);
}

async function filters({ libvirt }: CheckContext): Promise<Finding> {
  if (libvirt.connection().state !== 'connected')
    return unknown('libvirt does not answer, so it is not known whether it filters.', PREFLIGHT_WAITS_FOR_LIBVIRT);
  if (!(await libvirt.canFilterNics()))
    return warn(
      'libvirt cannot filter what VMs send here: VMs of projects cannot be made, others can take the addresses of their neighbours.',
      'Install its network filter driver: `apt-get install libvirt-daemon-driver-nwfilter` (part of libvirt-daemon on Debian 12); then restart libvirtd.',
    );
  const bare = libvirt.unfilteredVms();
  if (bare.length > 0)
    return warn(
      `NICs without a traffic filter, of VMs made before there were filters: ${bare.slice(0, 5).join(', ')}${bare.length > 5 ? ` and ${bare.length - 5} more` : ''}.`,
      `Any edit gives them one, from the next boot on: \`hv vm edit ${bare[0]} --nic-filter mac\`.`,
    );
  return ok('What VMs send is filtered: foreign MACs, false DHCP servers and routers, and the way to this API.');
}

const METRICS_DOORS = {
  loopback: '`/metrics` answers on this machine only: on its sockets and a loopback address.',
  closed: '`/metrics` answers on this machine only: on its sockets. `metrics.overNetwork` of config.json opens it.',
  network:
    '`/metrics` answers on the network, because `metrics.overNetwork` says so: whoever has a token with `metrics.read` sees what its owner may see.',
} as const;

async function metrics({ settings }: CheckContext): Promise<Finding> {
  return ok(METRICS_DOORS[settings.metricsDoor]);
}

export const networkChecks: readonly CheckDefinition[] = [
  {
    id: 'network.nat',
    title: 'NAT network',
    meaning:
      'Whether the network `default`, that VMs use unless told otherwise, is on or can be started: packet filter, forwarding.',
    run: nat,
  },
  {
    id: 'network.bridges',
    title: 'Bridges',
    meaning: 'Which bridges VMs can be attached to, and whether something stands in their way.',
    run: bridges,
  },
  {
    id: 'network.filters',
    title: 'Traffic filters',
    meaning:
      'Whether libvirt filters what VMs send, so that none takes the MAC or address of another, plays DHCP server or router, or reaches this API.',
    run: filters,
  },
  {
    id: 'network.metrics',
    title: 'Figures for Prometheus',
    meaning: 'Where `/metrics` answers. On the network it does so only when the configuration says so.',
    run: metrics,
  },
];
