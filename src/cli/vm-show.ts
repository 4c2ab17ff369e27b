/** Looking at VMs: list, show, definition, waiting for a state. */

import type { Vm } from '#contract/vms.ts';
import { formatBytes } from '#kernel/units.ts';
import { command } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { markOf, stateText } from './glyphs.ts';
import { about, collect } from './objects.ts';
import { problemFrom } from './problems.ts';
import { onlyProjectOption, projectNames, withProject } from './project-names.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeLines, safeText } from './text.ts';
import { ageText, pause, sinceText } from './time.ts';
import { choiceOption, countOption, one, textOption } from './values.ts';

/** Share of its vCPUs as `12 %`; `–` when it was not measured. */
function percentText(ratio: number | null | undefined): string {
  return ratio === null || ratio === undefined ? '–' : `${Math.round(ratio * 100)} %`;
}

function addressesOf(vm: Vm): string {
  return safeText(vm.nics.flatMap(({ addresses }) => addresses.map(({ address }) => address)).join(', '));
}

function remarksOf(vm: Vm): string {
  const remarks = [
    vm.accel === 'tcg' ? 'TCG' : '',
    vm.isProtected ? 'protected' : '',
    vm.managed ? '' : 'foreign',
    vm.pending.length > 0 ? 'pending changes' : '',
    vm.staleSince === null ? '' : `seen ${ageText(vm.staleSince)}`,
  ];
  return remarks.filter(Boolean).join(', ');
}

const COLUMNS: readonly Column<Vm>[] = [
  {
    title: 'NAME',
    value: (vm) => safeText(vm.name),
    flexibleTo: 12,
    colour: (text, _vm, paint) => paint('bold', text),
  },
  {
    title: 'STATE',
    value: (vm) => stateText(vm.state),
    colour: (text, vm, paint) => paint(markOf(vm.state).colour, text),
  },
  { title: 'VCPU', value: (vm) => String(vm.vcpus), align: 'right' },
  { title: 'MEMORY', value: (vm) => formatBytes(vm.memoryBytes), align: 'right' },
  { title: 'ADDRESS', value: addressesOf, flexibleTo: 15, isOptional: true },
  { title: 'CPU', value: (vm) => percentText(vm.usage?.cpuRatio), align: 'right', isOptional: true },
  { title: 'UP', value: (vm) => sinceText(vm.startedAt), align: 'right', isOptional: true },
  {
    title: 'NOTES',
    value: remarksOf,
    flexibleTo: 9,
    isOptional: true,
    colour: (text, _vm, paint) => paint('grey', text),
  },
];

/** libvirt says "destroyed" for a VM whose power was cut; nothing of it is destroyed. */
function reasonText(reason: string): string {
  return reason === 'destroyed' ? 'power was cut' : safeText(reason.replaceAll('_', ' '));
}

async function showVm(context: CommandContext, name: string): Promise<ExitCode> {
  const { api, output } = context;
  const vm = await about(context, 'vm', name, (id) => api('GET /vms/{id}', { params: { id } }));
  if (output.isJson) {
    output.json(vm);
    return EXIT.done;
  }
  const projects = await projectNames(context);
  const mark = markOf(vm.state);
  const reason = vm.stateReason && vm.stateReason !== 'unknown' ? ` (${reasonText(vm.stateReason)})` : '';
  const wish =
    vm.desired !== vm.state && !(vm.desired === 'running' && vm.state === 'idle') ? `, wanted: ${vm.desired}` : '';
  printFacts(output, [
    ['name', output.paint('bold', safeText(vm.name))],
    ['project', projects.areSeveral ? safeText(projects.nameOf(vm.project)) : null],
    ['title', vm.title === null ? null : safeText(vm.title)],
    [
      'state',
      output.paint(mark.colour, stateText(vm.state)) +
        reason +
        wish +
        (vm.staleSince === null ? '' : `, seen ${ageText(vm.staleSince)}`),
    ],
    ['up', vm.startedAt === null ? null : sinceText(vm.startedAt)],
    ['address', addressesOf(vm) || null],
    [
      'CPU',
      `${vm.vcpus} vCPU${vm.usage?.cpuRatio === undefined || vm.usage.cpuRatio === null ? '' : `, ${percentText(vm.usage.cpuRatio)} in use`}`,
    ],
    [
      'memory',
      formatBytes(vm.memoryBytes) +
        (vm.usage?.memoryUsedBytes ? `, ${formatBytes(vm.usage.memoryUsedBytes)} used` : ''),
    ],
    [
      'system',
      `${safeText(vm.arch)}, ${safeText(vm.machine)}, ${{ bios: 'BIOS', uefi: 'UEFI', kernel: 'direct kernel boot' }[vm.firmware]}${vm.hasTpm ? ', TPM' : ''}, ${{ kvm: 'KVM', tcg: 'software emulation (TCG, slow)', other: 'another accelerator' }[vm.accel]}`,
    ],
    ['consoles', [vm.hasVnc ? 'screen' : '', vm.hasSerial ? 'serial' : ''].filter(Boolean).join(', ') || 'none'],
    ['guest agent', vm.agent],
    ['autostart', vm.autostart ? 'yes' : 'no'],
    ['protected', vm.isProtected ? 'yes' : 'no'],
    ['tags', vm.tags.length === 0 ? null : vm.tags.map(safeText).join(', ')],
    ['made by', vm.managed ? null : 'another program; only the fields that you change are touched'],
    ['working', vm.operationId === null ? null : `\`hv op follow ${vm.operationId}\``],
    ['description', vm.description === null ? null : safeLines(vm.description)],
    ['id', vm.id],
  ]);
  showDevices(context, vm);
  return EXIT.done;
}

function showDevices({ output }: CommandContext, vm: Vm): void {
  if (vm.pending.length > 0) {
    printHeading(output, 'At the next boot');
    printTable(
      output,
      [
        { title: 'FIELD', value: (change) => safeText(change.field) },
        { title: 'NOW', value: (change) => safeText(change.now), flexibleTo: 8 },
        { title: 'THEN', value: (change) => safeText(change.next), flexibleTo: 8 },
      ],
      vm.pending,
      '',
    );
  }
  if (vm.disks.length > 0) {
    printHeading(output, 'Disks');
    printTable(
      output,
      [
        { title: 'TARGET', value: (disk) => safeText(disk.target) },
        { title: 'KIND', value: (disk) => disk.device },
        {
          title: 'SIZE',
          value: (disk) => (disk.sizeBytes === null ? '–' : formatBytes(disk.sizeBytes)),
          align: 'right',
        },
        {
          title: 'USED',
          value: (disk) => (disk.allocatedBytes === null ? '–' : formatBytes(disk.allocatedBytes)),
          align: 'right',
          isOptional: true,
        },
        { title: 'FORMAT', value: (disk) => safeText(disk.format ?? '–'), isOptional: true },
        { title: 'BUS', value: (disk) => safeText(disk.bus ?? '–'), isOptional: true },
        { title: 'SOURCE', value: (disk) => safeText(disk.source ?? '(empty)'), flexibleTo: 12 },
      ],
      vm.disks,
      '',
    );
  }
  if (vm.nics.length > 0) {
    printHeading(output, 'Network interfaces');
    printTable(
      output,
      [
        { title: 'MAC', value: (nic) => safeText(nic.mac) },
        { title: 'ON', value: (nic) => safeText(`${nic.sourceType} ${nic.source ?? ''}`.trim()), flexibleTo: 10 },
        { title: 'LINK', value: (nic) => (nic.linkUp ? '● up' : '○ down') },
        { title: 'FILTER', value: (nic) => nic.filter ?? '–', isOptional: true },
        { title: 'MODEL', value: (nic) => safeText(nic.model ?? '–'), isOptional: true },
        {
          title: 'ADDRESS',
          value: (nic) =>
            safeText(nic.addresses.map(({ address, prefix, from }) => `${address}/${prefix} (${from})`).join(', ')) ||
            '–',
          flexibleTo: 15,
        },
      ],
      vm.nics,
      '',
    );
  }
}

const WAIT_STATES = ['running', 'off', 'paused', 'address', 'agent'] as const;

function hasReached(vm: Vm, wanted: (typeof WAIT_STATES)[number]): boolean {
  if (wanted === 'address') return vm.nics.some(({ addresses }) => addresses.length > 0);
  if (wanted === 'agent') return vm.agent === 'connected';
  return (
    vm.state === wanted || (wanted === 'running' && vm.state === 'idle') || (wanted === 'off' && vm.state === 'crashed')
  );
}

async function waitFor(
  context: CommandContext,
  name: string,
  wanted: (typeof WAIT_STATES)[number],
  timeoutSeconds: number,
): Promise<ExitCode> {
  const { api, output } = context;
  const controller = new AbortController();
  const deadlineMs = performance.now() + timeoutSeconds * 1000;
  let vm = await about(context, 'vm', name, (id) => api('GET /vms/{id}', { params: { id } }));
  while (!hasReached(vm, wanted)) {
    if (performance.now() > deadlineMs) {
      throw new Failure(`"${vm.name}" is ${vm.state}; it did not reach "${wanted}" within ${timeoutSeconds} s`, {
        exit: EXIT.failed,
        code: 'timeout',
        hint: `Look at \`hv vm serial ${vm.name} --log\`, or give --timeout a larger number.`,
      });
    }
    await pause(500, controller.signal);
    vm = await api('GET /vms/{id}', { params: { id: vm.id } });
  }
  if (output.isJson) output.json(vm);
  else
    output.message(
      `${output.paintMessage('green', '●')} ${safeText(vm.name)}: ${wanted === 'address' ? addressesOf(vm) : wanted}`,
    );
  return EXIT.done;
}

async function printDefinition({ transport, output }: CommandContext, id: string, name: string): Promise<void> {
  const response = await transport.send({ method: 'GET', path: `/api/v1/vms/${encodeURIComponent(id)}/xml` });
  if (response.status >= 400) throw problemFrom(response.body.toString('utf8'), response.status);
  const xml = response.body.toString('utf8');
  if (output.isJson) output.json({ name, xml });
  else output.line(safeLines(xml).trimEnd());
}

export const vmName = one('NAME', 'name, PROJECT/NAME or UUID of the VM', { completes: 'vm' });

export const showCommands = [
  command({
    path: ['vm', 'list'],
    summary: 'List VMs',
    options: {
      project: onlyProjectOption,
      state: textOption('STATES', 'only these states, separated by commas, as running,paused'),
      search: textOption('TEXT', 'only with this in the name, title, description, tags, address or MAC'),
      tag: textOption('TAGS', 'only VMs with all of these tags, separated by commas'),
      sort: choiceOption(
        ['name', '-name', 'state', '-state', 'cpu', '-cpu', 'memory', '-memory'],
        'order; a dash reverses it',
        { defaultText: 'name' },
      ),
    },
    examples: [
      'vm list',
      'vm list --project shop',
      'vm list --state running --sort=-cpu',
      'vm list --tag prod,db',
      'vm list --json',
    ],
    run: async (context, { options }) => {
      const { api, output } = context;
      const filter = {
        ...(options.project === undefined ? {} : { project: options.project }),
        ...(options.state === undefined ? {} : { state: options.state }),
        ...(options.tag === undefined ? {} : { tag: options.tag }),
        ...(options.search === undefined ? {} : { q: options.search }),
        ...(options.sort === undefined ? {} : { sort: options.sort }),
      };
      const vms = await collect((page) => api('GET /vms', { query: { ...filter, ...page } }));
      const empty =
        Object.keys(filter).length > 0
          ? 'No VM fits.'
          : 'No VMs yet. Make one with `hv vm create NAME --image IMAGE`; `hv image catalogue list` shows images.';
      if (output.isJson) output.json(vms);
      else printTable(output, withProject(COLUMNS, await projectNames(context)), vms, empty);
      return EXIT.done;
    },
  }),
  command({
    path: ['vm', 'show'],
    summary: 'Show a VM with its disks and network interfaces',
    positionals: { name: vmName },
    examples: ['vm show web1'],
    run: (context, { args }) => showVm(context, args.name),
  }),
  command({
    path: ['vm', 'xml'],
    summary: 'Print the libvirt definition, without secrets',
    positionals: { name: vmName },
    examples: ['vm xml web1'],
    run: async (context, { args }) => {
      await about(context, 'vm', args.name, (id) => printDefinition(context, id, args.name));
      return EXIT.done;
    },
  }),
  command({
    path: ['vm', 'wait'],
    summary: 'Wait until a VM is running, off, paused, has an address, or its guest agent answers',
    positionals: { name: vmName, for: one('STATE', 'what to wait for', { choices: WAIT_STATES }) },
    options: { timeout: countOption('SECONDS', 'give up after so long', { defaultText: '120' }) },
    examples: ['vm wait web1 address', 'vm wait web1 off --timeout 30'],
    run: (context, { args, options }) => {
      const wanted = WAIT_STATES.find((state) => state === args.for);
      if (wanted === undefined)
        throw usageFailure(`"${args.for}" is not one of ${WAIT_STATES.join(', ')}`, 'hv vm wait --help');
      return waitFor(context, args.name, wanted, options.timeout ?? 120);
    },
  }),
];
