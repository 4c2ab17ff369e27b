/** Changing VMs: edit, rename, protect, delete. */

import { nicFilterSchema, type VmEdit } from '#contract/vms.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { command } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { finish } from './follow.ts';
import { about } from './objects.ts';
import { showPlan } from './plan.ts';
import { safeText } from './text.ts';
import { commaSeparated, countOption, flag, one, sizeOption, textOption } from './values.ts';
import { vmName } from './vm-show.ts';

const NIC_FILTERS = nicFilterSchema.options;

const EDIT_OPTIONS = {
  name: textOption('NEWNAME', 'another name, as `hv vm rename`'),
  vcpus: countOption('N', 'virtual CPUs'),
  memory: sizeOption('memory, as 4GiB'),
  title: textOption('TEXT', 'one line; an empty text removes it'),
  description: textOption('TEXT', 'several lines; an empty text removes it'),
  tags: textOption('TAGS', 'all its tags, separated by commas; an empty text removes them'),
  autostart: flag('start it when the host starts'),
  'no-autostart': flag('do not start it when the host starts'),
  protect: flag('refuse to delete it'),
  unprotect: flag('allow deleting it'),
  'boot-order': textOption('LIST', 'disk targets and MACs in the order they are tried, as vda,52:54:00:12:34:56'),
  'nic-filter': textOption(
    'FILTER[,MAC]',
    'what network interfaces may send from the next boot on: mac_ip, mac or off; all of them unless one is named',
  ),
  insert: textOption('IMAGE', 'put an ISO in the drive', { completes: 'image' }),
  eject: flag('empty the drive'),
  drive: textOption('TARGET', 'which drive, where there are several', { defaultText: 'the only one' }),
} as const;

interface EditChoices {
  readonly name: string | undefined;
  readonly vcpus: number | undefined;
  readonly memory: number | undefined;
  readonly title: string | undefined;
  readonly description: string | undefined;
  readonly tags: string | undefined;
  readonly autostart: boolean;
  readonly 'no-autostart': boolean;
  readonly protect: boolean;
  readonly unprotect: boolean;
  readonly 'boot-order': string | undefined;
  readonly 'nic-filter': string | undefined;
  readonly insert: string | undefined;
  readonly eject: boolean;
  readonly drive: string | undefined;
}

function either(
  choices: EditChoices,
  yes: 'autostart' | 'protect',
  no: 'no-autostart' | 'unprotect',
): boolean | undefined {
  if (choices[yes] && choices[no])
    throw usageFailure(`--${yes} and --${no} contradict each other`, 'Give one of them.');
  return choices[yes] || choices[no] ? choices[yes] : undefined;
}

async function editOf(context: CommandContext, name: string, choices: EditChoices): Promise<VmEdit> {
  const autostart = either(choices, 'autostart', 'no-autostart');
  const isProtected = either(choices, 'protect', 'unprotect');
  const cdrom = await driveChange(context, name, choices);
  const nics = await filtersOf(context, name, choices['nic-filter']);
  const edit: VmEdit = {
    ...(choices.name === undefined ? {} : { name: choices.name }),
    ...(choices.vcpus === undefined ? {} : { vcpus: choices.vcpus }),
    ...(choices.memory === undefined ? {} : { memoryBytes: choices.memory }),
    ...(choices.title === undefined ? {} : { title: choices.title || null }),
    ...(choices.description === undefined ? {} : { description: choices.description || null }),
    ...(choices.tags === undefined ? {} : { tags: commaSeparated(choices.tags) }),
    ...(autostart === undefined ? {} : { autostart }),
    ...(isProtected === undefined ? {} : { isProtected }),
    ...(choices['boot-order'] === undefined ? {} : { bootOrder: commaSeparated(choices['boot-order']) }),
    ...(cdrom === undefined ? {} : { cdrom }),
    ...(nics === undefined ? {} : { nics }),
  };
  if (Object.keys(edit).length === 0)
    throw usageFailure('there is nothing to change', 'Name a field, as --memory 4GiB. See `hv vm edit --help`.');
  return edit;
}

async function filtersOf(context: CommandContext, name: string, text: string | undefined): Promise<VmEdit['nics']> {
  if (text === undefined) return undefined;
  const [word = '', mac] = text.split(',');
  const filter = NIC_FILTERS.find((known) => known === word);
  if (filter === undefined)
    throw usageFailure(`--nic-filter "${text}": "${word}" is no filter`, `Use ${NIC_FILTERS.join(', ')}.`);
  if (mac !== undefined) return [{ mac, filter }];
  const vm = await about(context, 'vm', name, (id) => context.api('GET /vms/{id}', { params: { id } }));
  const nics = vm.nics.filter(({ sourceType }) => sourceType === 'network' || sourceType === 'bridge');
  if (nics.length === 0)
    throw usageFailure(
      `"${safeText(vm.name)}" has no network interface to filter`,
      'Only those on networks and bridges can be.',
    );
  return nics.map((nic) => ({ mac: nic.mac, filter }));
}

async function driveChange(context: CommandContext, name: string, choices: EditChoices): Promise<VmEdit['cdrom']> {
  const iso = choices.insert;
  if (iso === undefined && !choices.eject) {
    if (choices.drive !== undefined)
      throw usageFailure('--drive alone changes nothing', 'Add --insert IMAGE or --eject.');
    return undefined;
  }
  if (iso !== undefined && choices.eject)
    throw usageFailure('--insert and --eject contradict each other', 'Give one of them.');
  const target = choices.drive ?? (await onlyDrive(context, name));
  const imageId =
    iso === undefined
      ? null
      : (await about(context, 'image', iso, (id) => context.api('GET /images/{id}', { params: { id } }))).id;
  return { target, imageId };
}

async function onlyDrive(context: CommandContext, name: string): Promise<string> {
  const vm = await about(context, 'vm', name, (id) => context.api('GET /vms/{id}', { params: { id } }));
  const drives = vm.disks.filter(({ device }) => device === 'cdrom').map(({ target }) => target);
  const [only] = drives;
  if (only !== undefined && drives.length === 1) return only;
  throw usageFailure(
    drives.length === 0
      ? `"${vm.name}" has no drive for ISOs`
      : `"${vm.name}" has several drives: ${drives.join(', ')}`,
    drives.length === 0 ? 'A drive is made when the VM is created with --iso.' : 'Name one with --drive.',
  );
}

async function change(context: CommandContext, name: string, body: VmEdit, said?: string): Promise<ExitCode> {
  const operation = await about(context, 'vm', name, (id) => context.api('PATCH /vms/{id}', { params: { id }, body }));
  return finish(
    context,
    operation,
    async () => `${safeText(body.name ?? name)}: ${said ?? 'changed'}${await pendingText(context, operation.objectId)}`,
  );
}

/** What waits for the next boot, so that nobody takes a stored change for a live one. */
async function pendingText({ api }: CommandContext, id: string | null): Promise<string> {
  if (id === null) return '';
  const { pending } = await api('GET /vms/{id}', { params: { id } });
  if (pending.length === 0) return '';
  return `; at its next boot: ${pending.map(({ field, now, next }) => safeText(`${field} ${now} → ${next}`)).join(', ')}`;
}

async function plan(context: CommandContext, name: string, body: VmEdit): Promise<ExitCode> {
  return showPlan(
    context,
    await about(context, 'vm', name, (id) => context.api('POST /vms/{id}/plan', { params: { id }, body })),
  );
}

interface RemoveOptions {
  readonly yes: boolean;
  readonly name: string | undefined;
  readonly stop: boolean;
}

async function remove(context: CommandContext, name: string, options: RemoveOptions): Promise<ExitCode> {
  const vm = await about(context, 'vm', name, (id) => context.api('GET /vms/{id}', { params: { id } }));
  if (vm.isProtected) {
    throw new Failure(`"${vm.name}" is protected`, {
      exit: EXIT.conflict,
      code: 'vm_protected',
      hint: `\`hv vm unprotect ${vm.name}\` allows deleting it.`,
    });
  }
  const isOff = vm.state === 'off' || vm.state === 'crashed';
  const running = isOff ? '' : ` It is ${vm.state.replaceAll('_', ' ')}: its power is cut.`;
  const isAsked = await confirmByName(context, {
    what: `"${vm.name}" and its disks go to the trash, from where they can be restored.${running}`,
    name: vm.name,
    options,
  });
  // Who typed the name has read that the power is cut; a script has to say so.
  const query = options.stop || (isAsked && !isOff) ? { stop: 'true' } : {};
  const operation = await context.api('DELETE /vms/{id}', { params: { id: vm.id }, query });
  return finish(
    context,
    operation,
    () => `${safeText(vm.name)} is in the trash. \`hv trash restore ${safeText(vm.name)}\` brings it back.`,
  );
}

export const editCommands = [
  command({
    path: ['vm', 'edit'],
    summary: 'Change a VM',
    details: 'Changes that a running VM cannot take wait for its next boot; --dry-run tells which.',
    positionals: { name: vmName },
    options: { ...EDIT_OPTIONS, 'dry-run': flag('print what would change and when it takes hold') },
    isLong: true,
    examples: ['vm edit web1 --memory 4GiB --vcpus 4', 'vm edit web1 --memory 8GiB --dry-run', 'vm edit web1 --eject'],
    run: async (context, { args, options }) => {
      const body = await editOf(context, args.name, options);
      return options['dry-run'] ? plan(context, args.name, body) : change(context, args.name, body);
    },
  }),
  command({
    path: ['vm', 'plan'],
    summary: 'Show what an edit would change and when it takes hold',
    positionals: { name: vmName },
    options: EDIT_OPTIONS,
    examples: ['vm plan web1 --vcpus 4'],
    run: async (context, { args, options }) => plan(context, args.name, await editOf(context, args.name, options)),
  }),
  command({
    path: ['vm', 'rename'],
    summary: 'Give a VM another name',
    positionals: { name: vmName, to: one('NEWNAME', 'lower-case letters, digits and dashes, at most 63') },
    isLong: true,
    examples: ['vm rename web1 web-old'],
    run: (context, { args }) =>
      change(context, args.name, { name: args.to }, `is the name of ${safeText(args.name)} now`),
  }),
  command({
    path: ['vm', 'move'],
    summary: 'Give a VM that is off to another project',
    details: 'Needs vm.delete where it is and vm.create where it goes; grants on the VM itself move along.',
    positionals: { name: vmName },
    options: { project: textOption('PROJECT', 'name or id of the project that gets it', { completes: 'project' }) },
    isLong: true,
    examples: ['vm move web1 --project shop', 'vm move shop/web1 --project default'],
    run: async (context, { args, options }) => {
      const { project } = options;
      if (project === undefined) throw usageFailure('--project is missing', 'Say which project gets it.');
      const operation = await about(context, 'vm', args.name, (id) =>
        context.api('POST /vms/{id}/move', { params: { id }, body: { project } }),
      );
      return finish(
        context,
        operation,
        () => `${safeText(operation.objectName ?? args.name)} is in the project ${safeText(project)} now`,
      );
    },
  }),
  command({
    path: ['vm', 'protect'],
    summary: 'Refuse to delete a VM',
    positionals: { name: vmName },
    isLong: true,
    examples: ['vm protect db1'],
    run: (context, { args }) => change(context, args.name, { isProtected: true }, 'protected'),
  }),
  command({
    path: ['vm', 'unprotect'],
    summary: 'Allow deleting a VM again',
    positionals: { name: vmName },
    isLong: true,
    examples: ['vm unprotect db1'],
    run: (context, { args }) => change(context, args.name, { isProtected: false }, 'no longer protected'),
  }),
  command({
    path: ['vm', 'delete'],
    summary: 'Move a VM with its disks to the trash',
    details:
      'It can be restored until the trash is emptied. On a terminal its name is asked for; elsewhere --yes --name NAME is needed.',
    positionals: { name: vmName },
    options: { ...CONFIRM_OPTIONS, stop: flag('cut the power of a running VM first') },
    isLong: true,
    examples: ['vm delete web1', 'vm delete web1 --stop --yes --name web1'],
    run: (context, { args, options }) => remove(context, args.name, options),
  }),
];
