/** `hv project`: tenants with VMs and images of their own, and what of the system they may use. */

import type { Project, ResourceType } from '#contract/projects.ts';
import type { QuotaResource } from '#contract/quota-facts.ts';
import type { QuotaLimits } from '#contract/quotas.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import { toFailure } from './problems.ts';
import { usageCommand } from './project-usage.ts';
import { LIMIT_OPTIONS, limitsOf, printQuotas } from './quota.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { timeText } from './time.ts';
import { flag, one, textList, textOption } from './values.ts';

const COLUMNS: readonly Column<Project>[] = [
  {
    title: 'NAME',
    value: (project) => safeText(project.name),
    flexibleTo: 10,
    colour: (text, _project, paint) => paint('bold', text),
  },
  { title: 'VMS', value: (project) => String(project.vms), align: 'right' },
  { title: 'MAY USE', value: countsText, flexibleTo: 12, isOptional: true },
  { title: 'TITLE', value: (project) => safeText(project.title ?? ''), flexibleTo: 8, isOptional: true },
];

function countsText({ number, resources }: Project): string {
  if (number === 0) return 'everything';
  const count = (type: ResourceType, one: string) => {
    const found = resources.filter((resource) => resource.type === type).length;
    return found === 0 ? [] : [`${found} ${one}${found === 1 ? '' : 's'}`];
  };
  return [...count('network', 'network'), ...count('pool', 'pool'), ...count('image', 'image')].join(', ') || 'nothing';
}

const projectName = one('NAME', 'name or id of the project', { completes: 'project' });
const RESOURCE_OPTIONS = {
  network: textList('NAME', 'a network that its VMs may be attached to', { completes: 'network' }),
  pool: textList('NAME', 'a storage pool that its disks may lie in', { completes: 'pool' }),
  image: textList('NAME', 'an image of another project that it may boot', { completes: 'image' }),
} as const;
const TYPES = ['network', 'pool', 'image'] as const satisfies readonly ResourceType[];

type Resources = readonly { readonly type: ResourceType; readonly id: string }[];

/** @throws Failure exit 4 naming the nearest name */
async function readResources(
  context: CommandContext,
  options: Readonly<Record<ResourceType, readonly string[]>>,
): Promise<{ type: ResourceType; id: string }[]> {
  const { api } = context;
  const found: { type: ResourceType; id: string }[] = [];
  for (const type of TYPES)
    for (const name of options[type]) {
      const { id } = await about(context, type, name, async (one): Promise<{ id: string }> => {
        const at = { params: { id: one } };
        if (type === 'network') return api('GET /networks/{id}', at);
        return type === 'pool' ? api('GET /pools/{id}', at) : api('GET /images/{id}', at);
      });
      found.push({ type, id });
    }
  return found;
}

/** The network and pool that new VMs get unless told otherwise, as far as they are there. */
async function usualResources({ api }: CommandContext): Promise<{ type: ResourceType; id: string }[]> {
  const networks = await collect((query) => api('GET /networks', { query }));
  const pools = await collect((query) => api('GET /pools', { query }));
  return [
    ...networks.filter(({ name }) => name === 'default').map(({ id }) => ({ type: 'network' as const, id })),
    ...pools.filter(({ isDefault }) => isDefault).map(({ id }) => ({ type: 'pool' as const, id })),
  ];
}

/** Names of what it may use, as far as the asker sees them. */
async function resourceNames({ api }: CommandContext, resources: Resources): Promise<[ResourceType, string][]> {
  const lists = {
    network: await collect((query) => api('GET /networks', { query })),
    pool: await collect((query) => api('GET /pools', { query })),
    image: await collect((query) => api('GET /images', { query })),
  };
  return resources.map(({ type, id }) => [type, lists[type].find((one) => one.id === id)?.name ?? `${id} (not here)`]);
}

/** Without these no VM fits into a project. */
const FIRST_LIMITS = ['vms', 'vcpus', 'memory', 'disk'] as const satisfies readonly QuotaResource[];
const EXAMPLES = { vms: '10', vcpus: '20', memory: '64GiB', disk: '1TiB' } as const;

/** The project is made by now: whoever reads the failure has to know. */
async function setFirstLimits({ api }: CommandContext, project: Project, limits: QuotaLimits): Promise<void> {
  try {
    await api('PATCH /projects/{id}/quotas', { params: { id: project.id }, body: { limits } });
  } catch (error) {
    const failure = toFailure(error);
    throw new Failure(`project "${project.name}" is made, but its limits are not set: ${failure.message}`, {
      exit: failure.exit,
      code: failure.code,
      hint: `Set them with \`hv quota set ${project.name}\`.`,
    });
  }
}

export const commands = defineCommands([
  command({
    path: ['project', 'list'],
    summary: 'List projects',
    options: { search: textOption('TEXT', 'only with this in the name') },
    examples: ['project list'],
    run: async ({ api, output }, { options }) => {
      const q = options.search;
      const projects = await collect((page) => api('GET /projects', { query: { ...page, ...(q ? { q } : {}) } }));
      if (output.isJson) output.json(projects);
      else printTable(output, COLUMNS, projects, 'No project fits.');
      return EXIT.done;
    },
  }),
  command({
    path: ['project', 'show'],
    summary: 'Show a project: what it may use, limits, members, VMs',
    positionals: { name: projectName },
    examples: ['project show shop'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const project = await about(context, 'project', args.name, (id) => api('GET /projects/{id}', { params: { id } }));
      const { anywhere } = await api('GET /auth/session');
      const grants = anywhere.includes('access.read')
        ? await collect((page) => api('GET /grants', { query: { ...page, scope: `project:${project.id}` } }))
        : null;
      const vms = await collect((page) => api('GET /vms', { query: { ...page, project: project.id } }));
      const { quotas } = await api('GET /projects/{id}/quotas', { params: { id: project.id } });
      if (output.isJson) {
        output.json({ ...project, quotas, grants, vms: vms.map(({ id, name, state }) => ({ id, name, state })) });
        return EXIT.done;
      }
      const names = await resourceNames(context, project.resources);
      const namesOf = (type: ResourceType) =>
        project.number === 0
          ? 'all'
          : safeText(
              names
                .filter(([each]) => each === type)
                .map(([, name]) => name)
                .join(', '),
            ) || 'none';
      printFacts(output, [
        ['name', output.paint('bold', safeText(project.name))],
        ['title', project.title === null ? null : safeText(project.title)],
        ['networks', namesOf('network')],
        ['pools', namesOf('pool')],
        ['images of others', project.number === 0 ? null : namesOf('image')],
        ['names in libvirt', project.number === 0 ? 'without prefix' : `p${project.number}-NAME`],
        ['made', timeText(project.createdAt)],
        ['id', project.id],
      ]);
      if (grants !== null) {
        printHeading(output, 'Members');
        printTable(
          output,
          [
            {
              title: 'WHO',
              value: (grant) => `${grant.subject.type === 'group' ? 'group ' : ''}${safeText(grant.subject.name)}`,
              flexibleTo: 10,
            },
            { title: 'ROLE', value: (grant) => safeText(grant.role), flexibleTo: 10 },
          ],
          grants,
          `Nobody, but who holds roles on the whole system. \`hv grant create --user NAME --role project-admin --project ${safeText(project.name)}\` adds one.`,
        );
      }
      printHeading(output, 'Limits');
      printQuotas(output, quotas);
      printHeading(output, 'VMs');
      printTable(
        output,
        [
          { title: 'NAME', value: (vm) => safeText(vm.name), flexibleTo: 12 },
          { title: 'STATE', value: (vm) => vm.state.replaceAll('_', ' ') },
        ],
        vms,
        'None.',
      );
      return EXIT.done;
    },
  }),
  command({
    path: ['project', 'create'],
    summary: 'Make a project',
    details:
      'Unless networks and pools are named, it may use the network "default" and the pool that new disks go to; --bare gives nothing. Shared images are there for every project. It may hold nothing until it has limits: give them here or with `hv quota set`.',
    positionals: { name: one('NAME', 'name of the project') },
    options: {
      title: textOption('TEXT', 'what it is for'),
      ...RESOURCE_OPTIONS,
      bare: flag('it may use nothing of the system yet'),
      vms: LIMIT_OPTIONS.vms,
      vcpus: LIMIT_OPTIONS.vcpus,
      memory: LIMIT_OPTIONS.memory,
      disk: LIMIT_OPTIONS.disk,
    },
    examples: [
      'project create shop --vms 10 --vcpus 20 --memory 64GiB --disk 1TiB',
      'project create lab --network default --pool hyper',
    ],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const named = await readResources(context, options);
      if (options.bare && named.length > 0)
        throw usageFailure('--bare gives nothing', 'Leave it out, or leave --network, --pool and --image out.');
      const limits = limitsOf({
        vms: options.vms,
        vcpus: options.vcpus,
        memory: options.memory,
        disk: options.disk,
      });
      const isUsual = !options.bare && options.network.length + options.pool.length === 0;
      const resources = [...named, ...(isUsual ? await usualResources(context) : [])];
      const project = await api('POST /projects', {
        body: { name: args.name, resources, ...(options.title === undefined ? {} : { title: options.title }) },
      });
      if (Object.keys(limits).length > 0) await setFirstLimits(context, project, limits);
      if (output.isJson) {
        output.json(project);
        return EXIT.done;
      }
      output.message(
        `${output.paintMessage('green', '●')} project ${safeText(project.name)} is made; it may use ${countsText(project)}`,
      );
      if (project.resources.length === 0 && !options.bare)
        output.message(
          `  No network or pool is there yet; later: hv project edit ${safeText(project.name)} --network NAME --pool NAME`,
        );
      const missing = FIRST_LIMITS.filter((resource) => limits[resource] === undefined);
      if (missing.length > 0)
        output.message(
          `  No VM fits in yet; say how much:  hv quota set ${safeText(project.name)} ${missing.map((resource) => `--${resource} ${EXAMPLES[resource]}`).join(' ')}`,
        );
      output.message(
        `  Add a member:  hv grant create --user NAME --role project-admin --project ${safeText(project.name)}`,
      );
      return EXIT.done;
    },
  }),
  command({
    path: ['project', 'edit'],
    summary: 'Rename a project, or change what it may use',
    details: 'What running VMs use already stays attached; what is taken away cannot be used anew.',
    positionals: { name: projectName },
    options: {
      rename: textOption('NAME', 'new name'),
      title: textOption('TEXT', 'what it is for; empty takes it away'),
      ...RESOURCE_OPTIONS,
      'drop-network': textList('NAME', 'take this network away', { completes: 'network' }),
      'drop-pool': textList('NAME', 'take this pool away', { completes: 'pool' }),
      'drop-image': textList('NAME', 'take this image away', { completes: 'image' }),
    },
    examples: ['project edit shop --title "Shop and till"', 'project edit shop --network default'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const before = await about(context, 'project', args.name, (id) => api('GET /projects/{id}', { params: { id } }));
      const added = await readResources(context, options);
      const dropped = await readResources(context, {
        network: options['drop-network'],
        pool: options['drop-pool'],
        image: options['drop-image'],
      });
      const isDropped = (one: Resources[number]) => dropped.some(({ type, id }) => type === one.type && id === one.id);
      const body = {
        ...(options.rename === undefined ? {} : { name: options.rename }),
        ...(options.title === undefined ? {} : { title: options.title || null }),
        ...(added.length + dropped.length === 0
          ? {}
          : { resources: [...before.resources, ...added].filter((one) => !isDropped(one)) }),
      };
      if (Object.keys(body).length === 0)
        throw usageFailure(
          'nothing to change',
          'Give --rename, --title, --network, --pool, --image or one of these with --drop-.',
        );
      const project = await api('PATCH /projects/{id}', { params: { id: before.id }, body });
      if (output.isJson) output.json(project);
      else
        output.message(
          `${output.paintMessage('green', '●')} project ${safeText(project.name)} may use ${countsText(project)}`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['project', 'delete'],
    summary: 'Delete an empty project with its grants',
    details: 'Its VMs and images have to be deleted before, those in the trash too.',
    positionals: { name: projectName },
    options: CONFIRM_OPTIONS,
    examples: ['project delete lab', 'project delete lab --yes --name lab'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const project = await about(context, 'project', args.name, (id) => api('GET /projects/{id}', { params: { id } }));
      await confirmByName(context, {
        what: `project "${project.name}" goes with its grants`,
        name: project.name,
        options,
      });
      await api('DELETE /projects/{id}', { params: { id: project.id } });
      if (output.isJson) output.json({ id: project.id, name: project.name, state: 'deleted' });
      else output.message(`${output.paintMessage('green', '●')} project ${safeText(project.name)} is deleted`);
      return EXIT.done;
    },
  }),
  usageCommand,
]);
