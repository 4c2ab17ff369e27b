/** `hv vm create`: from an image, an ISO, a kernel, or an empty disk. */

import type { VmCreateInput } from '#contract/vms.ts';
import { parseBytes } from '#kernel/units.ts';
import { command, type Invocation } from './command.ts';
import type { CommandContext } from './context.ts';
import type { ExitCode } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { readSecretFile, readSmallFile, sshKeysFrom } from './files.ts';
import { finish } from './follow.ts';
import { about, collect } from './objects.ts';
import { showPlan } from './plan.ts';
import { projectOption } from './project-names.ts';
import { safeText } from './text.ts';
import { choiceOption, commaSeparated, countOption, flag, one, sizeOption, textList, textOption } from './values.ts';

const OPTIONS = {
  project: projectOption,
  image: textOption('IMAGE', 'cloud or disk image; the first disk is a full copy of it', { completes: 'image' }),
  iso: textOption('IMAGE', 'ISO in the drive, booted first', { completes: 'image' }),
  kernel: textOption('IMAGE', 'boot this kernel directly', { completes: 'image' }),
  initrd: textOption('IMAGE', 'initial RAM disk for --kernel', { completes: 'image' }),
  cmdline: textOption('TEXT', 'kernel command line for --kernel'),
  disk: textList('SIZE[,pool=POOL]', 'a disk; with --image the first one says how large the copy becomes'),
  memory: sizeOption('memory', { defaultBytes: 2 * 2 ** 30 }),
  vcpus: countOption('N', 'virtual CPUs', { defaultText: '2' }),
  network: textList('NETWORK', 'a network interface on this network', { completes: 'network', defaultText: 'default' }),
  bridge: textList('BRIDGE', 'a network interface on this bridge of the host'),
  'no-network': flag('no network interface'),
  'nic-filter': choiceOption(
    ['mac_ip', 'mac', 'off'],
    'what the network interfaces may send: as their MAC and the address from DHCP, as their MAC, anything',
    {
      defaultText: 'mac_ip where the network gives addresses, else mac',
    },
  ),
  firmware: choiceOption(['uefi', 'bios'], 'firmware', { defaultText: 'uefi' }),
  'secure-boot': flag('boot only signed systems; needs UEFI'),
  tpm: flag('add a TPM 2.0'),
  headless: flag('no screen, serial console only'),
  'ssh-key': textList('FILE|KEY', 'public key for the first user of a cloud image; a file or the key itself', {
    completes: 'file',
  }),
  user: textOption('NAME', 'first user of a cloud image', { defaultText: 'the one of the image' }),
  hostname: textOption('NAME', 'host name inside a cloud image', { defaultText: 'the name of the VM' }),
  package: textList('NAME', 'package that a cloud image installs at its first boot'),
  'password-file': textOption('FILE', 'file whose first line is the password of that user; - reads stdin', {
    completes: 'file',
  }),
  'user-data': textOption('FILE', 'whole cloud-init user-data; replaces the options above', { completes: 'file' }),
  'network-data': textOption('FILE', 'cloud-init network configuration', { completes: 'file' }),
  title: textOption('TEXT', 'one line for people'),
  description: textOption('TEXT', 'several lines for people'),
  tags: textOption('TAGS', 'separated by commas, as prod,db'),
  autostart: flag('start it when the host starts'),
  protect: flag('refuse to delete it'),
  accel: choiceOption(['auto', 'tcg'], 'auto = KVM where it is proven to work; tcg = software emulation, slow', {
    defaultText: 'auto',
  }),
  'no-start': flag('make it, do not start it'),
  'dry-run': flag('print what would be made'),
} as const;

const POSITIONALS = { name: one('NAME', 'lower-case letters, digits and dashes, at most 63') } as const;

type Options = Invocation<typeof POSITIONALS, typeof OPTIONS>['options'];

interface DiskChoice {
  readonly sizeBytes: number;
  readonly pool?: string;
}

/** `40GiB,pool=fast`. */
function diskOf(text: string): DiskChoice {
  const [size = '', ...settings] = text.split(',');
  const sizeBytes = parseBytes(size);
  if (sizeBytes === null)
    throw usageFailure(`--disk "${text}": "${size}" is not a size`, 'Write it as 40GiB or 40GiB,pool=fast.');
  let pool: string | undefined;
  for (const setting of settings) {
    const [key, value] = setting.split('=');
    if (key !== 'pool' || !value)
      throw usageFailure(`--disk "${text}": "${setting}" is not known`, 'Only pool=NAME can follow the size.');
    pool = value;
  }
  return { sizeBytes, ...(pool === undefined ? {} : { pool }) };
}

/** The id of a library image by its name: that of the project where it has one, else one that is shared with it. */
async function imageId(context: CommandContext, name: string, project: string | undefined): Promise<string> {
  if (project !== undefined && !name.includes('/')) {
    const query = { usableIn: project, q: name };
    const usable = await collect((page) => context.api('GET /images', { query: { ...query, ...page } }));
    const named = usable.filter((image) => image.name === name);
    const own = new Set((await context.api('GET /images', { query: { project, q: name } })).items.map(({ id }) => id));
    const found = named.find(({ id }) => own.has(id)) ?? (named.length === 1 ? named[0] : undefined);
    if (found) return found.id;
  }
  return (await about(context, 'image', name, (id) => context.api('GET /images/{id}', { params: { id } }))).id;
}

async function disksOf(context: CommandContext, options: Options): Promise<VmCreateInput['disks']> {
  const disks = options.disk.map(diskOf);
  if (options.image === undefined) return disks;
  const id = await imageId(context, options.image, options.project);
  return [{ imageId: id, ...disks[0] }, ...disks.slice(1)];
}

function nicsOf(options: Options): VmCreateInput['nics'] {
  const nics = [...options.network.map((network) => ({ network })), ...options.bridge.map((bridge) => ({ bridge }))];
  const filter = options['nic-filter'];
  if (options['no-network'] && filter !== undefined)
    throw usageFailure('--no-network contradicts --nic-filter', 'Leave one of them out.');
  if (options['no-network'] && nics.length > 0)
    throw usageFailure('--no-network contradicts --network and --bridge', 'Leave one of them out.');
  if (options['no-network']) return [];
  if (filter !== undefined) return (nics.length > 0 ? nics : [{}]).map((nic) => ({ ...nic, filter }));
  return nics.length > 0 ? nics : undefined;
}

async function kernelOf(context: CommandContext, options: Options): Promise<VmCreateInput['kernel']> {
  if (options.kernel === undefined) {
    if (options.initrd !== undefined || options.cmdline !== undefined)
      throw usageFailure('--initrd and --cmdline go with --kernel', 'Add --kernel IMAGE.');
    return undefined;
  }
  return {
    kernelImageId: await imageId(context, options.kernel, options.project),
    ...(options.initrd === undefined ? {} : { initrdImageId: await imageId(context, options.initrd, options.project) }),
    ...(options.cmdline === undefined ? {} : { commandLine: options.cmdline }),
  };
}

async function cloudInitOf(options: Options): Promise<VmCreateInput['cloudInit']> {
  const fields = {
    ...(options.hostname === undefined ? {} : { hostname: options.hostname }),
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options['ssh-key'].length === 0 ? {} : { sshKeys: await sshKeysFrom(options['ssh-key']) }),
    ...(options['password-file'] === undefined ? {} : { password: await readSecretFile(options['password-file']) }),
    ...(options.package.length === 0 ? {} : { packages: [...options.package] }),
    ...(options['user-data'] === undefined ? {} : { userData: await readSmallFile(options['user-data']) }),
    ...(options['network-data'] === undefined ? {} : { networkData: await readSmallFile(options['network-data']) }),
  };
  return Object.keys(fields).length === 0 ? undefined : fields;
}

async function requestOf(context: CommandContext, name: string, options: Options): Promise<VmCreateInput> {
  const kernel = await kernelOf(context, options);
  const disks = await disksOf(context, options);
  const nics = nicsOf(options);
  const cloudInit = await cloudInitOf(options);
  if (options.image === undefined && options.iso === undefined && kernel === undefined && options.disk.length === 0) {
    throw usageFailure(
      'nothing says what it boots',
      'Give --image IMAGE, --iso IMAGE with --disk SIZE, or --kernel IMAGE. `hv image list` shows what is there, `hv image catalogue list` what can be had.',
    );
  }
  return {
    name,
    ...(options.project === undefined ? {} : { project: options.project }),
    ...(options.title === undefined ? {} : { title: options.title }),
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(options.tags === undefined ? {} : { tags: commaSeparated(options.tags) }),
    ...(options.vcpus === undefined ? {} : { vcpus: options.vcpus }),
    ...(options.memory === undefined ? {} : { memoryBytes: options.memory }),
    ...(options.firmware === undefined ? {} : { firmware: options.firmware }),
    ...(options.accel === undefined ? {} : { accel: options.accel }),
    ...(options.iso === undefined ? {} : { isoId: await imageId(context, options.iso, options.project) }),
    ...(kernel === undefined ? {} : { kernel }),
    ...(nics === undefined ? {} : { nics }),
    ...(cloudInit === undefined ? {} : { cloudInit }),
    disks,
    secureBoot: options['secure-boot'],
    tpm: options.tpm,
    graphics: !options.headless,
    autostart: options.autostart,
    isProtected: options.protect,
    start: !options['no-start'],
  };
}

/** A cloud image without a key or password lets nobody in: say so before it is made. */
async function warnLockedOut({ output, env }: CommandContext, body: VmCreateInput): Promise<void> {
  const hasImage = body.disks?.some((disk) => 'imageId' in disk) ?? false;
  const { sshKeys, password, userData } = body.cloudInit ?? {};
  if (!hasImage || (sshKeys && sshKeys.length > 0) || password !== undefined || userData !== undefined) return;
  const { publicKeyFiles } = await import('./files.ts');
  const [found] = await publicKeyFiles(env);
  output.message(
    `${output.paintMessage('yellow', '▲')} No key and no password is given: a cloud image lets nobody sign in. ${found ? `Add --ssh-key ${safeText(found)}` : 'Add --ssh-key FILE or --password-file FILE'}.`,
  );
}

async function create(context: CommandContext, name: string, options: Options): Promise<ExitCode> {
  const body = await requestOf(context, name, options);
  if (options['dry-run']) {
    const exit = showPlan(context, await context.api('POST /vms/plan', { body }));
    await warnLockedOut(context, body);
    return exit;
  }
  const operation = await context.api('POST /vms', { body });
  await warnLockedOut(context, body);
  const called = options.project === undefined ? name : `${options.project}/${name}`;
  const next = body.start ? `\`hv vm serial ${called}\` opens its console.` : `\`hv vm start ${called}\` starts it.`;
  return finish(context, operation, () => `${called} is made. ${next}`);
}

export const createCommands = [
  command({
    path: ['vm', 'create'],
    summary: 'Create a VM from an image, an ISO, a kernel, or an empty disk',
    details: 'Nothing half-made remains when it fails. --dry-run shows what would be made.',
    positionals: POSITIONALS,
    options: OPTIONS,
    isLong: true,
    examples: [
      'vm create web1 --image debian-13-cloud --disk 20GiB --ssh-key ~/.ssh/id_ed25519.pub',
      'vm create desk --iso nixos-minimal --disk 40GiB --memory 4GiB --vcpus 4',
      'vm create web1 --project shop --image debian-13-cloud --disk 20GiB --network shop-net',
      'vm create tiny --kernel vmlinuz --initrd initrd --cmdline console=ttyS0 --headless --no-network',
      'vm create db1 --image debian-13-cloud --disk 20GiB --disk 100GiB,pool=fast --protect --dry-run',
    ],
    run: (context, { args, options }) => create(context, args.name, options),
  }),
];
