/** Two projects that know nothing of each other, on one real hyperd and libvirtd, with something of every kind in each, and people of
 *  every sort. All that belongs to the second project has the word ZEBRA in its names: whoever has no right there must never read it. */

import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ObjectType } from '#contract/define.ts';
import { BUILT_IN_ROLES, type BuiltInRoleName, PERMISSIONS, type Permission } from '#contract/permissions.ts';
import type { ProofEvidence } from '#contract/verification.ts';
import { ed25519Key } from '#features/access/ssh/fake-signer.ts';
import { newId, newSecret, newUuid } from '#kernel/ids.ts';
import { runChecked } from '#platform/process.ts';
import { type Asker, onSocket, signIn, stranger, withToken } from './asker.ts';
import { startDaemon, type TestDaemon } from './daemon.ts';
import { type PrivateLibvirtd, startPrivateLibvirtd } from './libvirtd.ts';
import { BACKUP_ROUND } from './route-expectations.ts';

/** The canary in all names of the other project. */
export const ZEBRA = 'zebra';

export interface Grant {
  readonly permissions: readonly Permission[];
  /** `all`, `project:<id>` or `vm:<uuid>`. */
  readonly scope: string;
}

/** Somebody who asks, and all that he was given. */
export interface Person {
  readonly name: string;
  readonly asker: Asker;
  /** Null for those who are nobody: strangers, tokens of disabled users. */
  readonly userId: string | null;
  readonly grants: readonly Grant[];
  /** What the token he comes with is narrowed to; null when he comes himself. */
  readonly token: Grant | null;
}

/** Where an object belongs, in the words of the design: the project that owns it, those it was given to, the VM it is, its user. */
export interface Place {
  readonly project: string | null;
  readonly sharedWith?: readonly string[];
  readonly vmId?: string;
  readonly owner?: string;
}

export interface Thing {
  /** `alpha` (one's own project), `zebra` (another's), `system`, `unknown`. */
  readonly whose: 'alpha' | 'zebra' | 'system' | 'unknown';
  readonly id: string;
  /** Null = there is no such object. */
  readonly place: Place | null;
}

export interface Everybody {
  readonly libvirtd: PrivateLibvirtd;
  readonly daemon: TestDaemon;
  /** Their ids. */
  readonly alpha: string;
  readonly zebra: string;
  readonly people: readonly Person[];
  person(name: string): Person;
  /** Objects of a type; sessions and tokens are those of two users, not of projects. */
  readonly things: Readonly<Record<ObjectType, readonly Thing[]>>;
  /** Makes a domain known to libvirt and waits until hyperd knows it. @param of number of the project, 0 = the default one */
  define(of: number, name: string, devices?: string): Promise<string>;
  close(): Promise<void>;
}

const UNKNOWN_UUID = '00000000-0000-4000-8000-000000000000';
const ROLES = Object.keys(BUILT_IN_ROLES) as BuiltInRoleName[];
const ofRole = (role: BuiltInRoleName): readonly Permission[] => BUILT_IN_ROLES[role].permissions;

/** What a token may be narrowed to, beside what its owner holds. */
const NARROW: readonly Permission[] = [
  'vm.read',
  'vm.power',
  'image.read',
  'project.read',
  'operation.read',
  'network.read',
];

const domainXml = (name: string, uuid: string, devices: string) =>
  `<domain type='qemu'><name>${name}</name><uuid>${uuid}</uuid><title>of ${name}</title><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>
   <devices><serial type='pty'/><console type='pty'/>${devices}</devices></domain>`;

/** Takes about ten seconds. */
export async function startEverybody(): Promise<Everybody> {
  const stateDir = await mkdtemp(join(tmpdir(), 'hv-tenants-'));
  const libvirtd = await startPrivateLibvirtd();
  const env = { HV_LIBVIRT_URI: libvirtd.uri };
  let daemon = await startDaemon({ stateDir, env });
  const close = async () => {
    await daemon.close();
    await libvirtd.close();
    await rm(stateDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  try {
    const { admin } = daemon;
    const projectIds = await Promise.all(
      ['alpha', ZEBRA].map(async (name) => (await admin('POST /projects', { body: { name } })).id),
    );
    const [alpha = '', zebra = ''] = projectIds;
    // Quotas have tests of their own.
    const limits = { vms: null, vcpus: null, memory: null, disk: null, images: null };
    for (const id of [alpha, zebra]) await admin('PATCH /projects/{id}/quotas', { params: { id }, body: { limits } });
    const numbers = new Map(
      (await admin('GET /projects')).items.map((project) => [project.id, project.number] as const),
    );

    const define = async (of: number, name: string, devices = '') => {
      const id = newUuid();
      const file = join(libvirtd.dir, `${id}.xml`);
      await writeFile(file, domainXml(of === 0 ? name : `p${of}-${name}`, id, devices));
      await libvirtd.virsh('define', file);
      await until(`VM ${name}`, async () => (await admin('GET /vms')).items.some((vm) => vm.id === id));
      return id;
    };
    const inEach = async <Value>(make: (project: string, prefix: string) => Promise<Value>) => {
      const made: Record<string, Value> = {};
      for (const [project, prefix] of [
        [alpha, 'alpha'],
        [zebra, ZEBRA],
        ['default', 'plain'],
      ] as const)
        made[prefix] = await make(project, prefix);
      return { alpha: must(made['alpha']), zebra: must(made[ZEBRA]), system: must(made['plain']) };
    };

    // Networks and pools are the system's; each project was given one, and the other project's VM uses alpha's too.
    const networks = await inEach(async (_project, prefix) => {
      const id = newUuid();
      const file = join(libvirtd.dir, `${prefix}-net.xml`);
      await writeFile(
        file,
        `<network><name>${prefix}-net</name><uuid>${id}</uuid><bridge name='hv${prefix}'/></network>`,
      );
      await libvirtd.virsh('net-define', file);
      return id;
    });
    const pools = await inEach(async (_project, prefix) => {
      await libvirtd.virsh('pool-define-as', `${prefix}-pool`, 'dir', '--target', `/var/lib/libvirt/images/${prefix}`);
      await libvirtd.virsh('pool-build', `${prefix}-pool`);
      await libvirtd.virsh('pool-start', `${prefix}-pool`);
      return (await libvirtd.virsh('pool-uuid', `${prefix}-pool`)).trim();
    });
    await libvirtd.virsh('vol-create-as', 'alpha-pool', 'disk1', '1M');
    await until('networks and pools', async () => {
      const [known, stored] = [await admin('GET /networks'), await admin('GET /pools')];
      return (
        Object.values(networks).every((id) => known.items.some((one) => one.id === id)) &&
        Object.values(pools).every((id) => stored.items.some((one) => one.id === id && one.state === 'active'))
      );
    });
    for (const [project, whose] of [
      [alpha, 'alpha'],
      [zebra, 'zebra'],
    ] as const)
      await admin('PATCH /projects/{id}', {
        params: { id: project },
        body: {
          resources: [
            { type: 'network', id: networks[whose] },
            { type: 'pool', id: pools[whose] },
          ],
        },
      });

    const borrowed = `<interface type='network'><source network='alpha-net'/></interface>
      <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/var/lib/libvirt/images/alpha/disk1'/><target dev='vda' bus='virtio'/></disk>`;
    const vms = await inEach((project, prefix) =>
      define(numbers.get(project) ?? 0, `${prefix}-web`, prefix === ZEBRA ? borrowed : ''),
    );
    const operations: Record<string, string> = {};
    const trash = await inEach(async (project, prefix) => {
      const vmId = await define(numbers.get(project) ?? 0, `${prefix}-doomed`);
      const operation = await daemon.finish(await admin('DELETE /vms/{id}', { params: { id: vmId } }));
      operations[prefix] = operation.id;
      const item = (await admin('GET /trash')).items.find(({ name }) => name === `${prefix}-doomed`);
      return { id: must(item).id, vmId };
    });
    const source = join(libvirtd.dir, 'small.qcow2');
    await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', source, '1M'], { timeoutMs: 20_000 });
    const images = await inEach(async (project, prefix) => {
      await daemon.finish(
        await admin('POST /images/import', { body: { project, path: source, name: `${prefix}-disk` } }),
      );
      return must((await admin('GET /images')).items.find(({ name }) => name === `${prefix}-disk`)).id;
    });
    const uploads = await inEach(
      async (project, prefix) =>
        (await admin('POST /images/uploads', { body: { project, name: `${prefix}-upload`, sizeBytes: 1000 } })).id,
    );
    const check = await daemon.finish(await admin('POST /images/catalogue/check', { body: { ids: [] } }));

    const customRole = async (name: string, permissions: Permission[]) =>
      (await admin('POST /roles', { body: { name, permissions } })).id;
    const powerOnly = await customRole('power-only', ['vm.power']);
    await customRole('read-vms', ['vm.read']);

    const channels = await inEach(async (project, prefix) => {
      const place = prefix === 'plain' ? {} : { project };
      const secrets = { url: `https://${prefix}.example/hook` };
      return (await admin('POST /channels', { body: { name: `${prefix}-hook`, kind: 'webhook', ...place, secrets } }))
        .id;
    });
    const silences = await inEach(async (project, prefix) => {
      const place = prefix === 'plain' ? {} : { project };
      const body = { ...place, match: { rule: `${prefix}-*` } };
      const to = new Date(Date.now() + 86_400_000).toISOString();
      return (await admin('POST /silences', { body: { ...body, to, reason: `work on ${prefix}` } })).id;
    });

    const userIds = new Map<string, string>();
    const newUser = async (name: string) => {
      const { id } = await admin('POST /users', { body: { name, title: `the user ${name}` } });
      userIds.set(name, id);
      return id;
    };
    const grantIds = new Map<string, string>();
    const grant = async (subject: { user: string } | { group: string }, role: string, scope: string) => {
      const made = await admin('POST /grants', { body: { ...subject, role, scope } });
      grantIds.set(Object.values(subject)[0] ?? '', made.id);
    };
    interface Wanted {
      readonly user: string;
      readonly role: string;
      readonly scope: string;
      readonly permissions: readonly Permission[];
    }
    const wanted: Wanted[] = [
      ...ROLES.map((role) => ({ user: `${role}-everywhere`, role, scope: 'all', permissions: ofRole(role) })),
      ...(['project-admin', 'vm-operator', 'backup-operator'] as const).map((role) => ({
        user: `${role}-of-alpha`,
        role,
        scope: `project:${alpha}`,
        permissions: ofRole(role),
      })),
      { user: 'power-only', role: 'power-only', scope: 'all', permissions: ['vm.power'] },
      { user: 'reader-of-alpha', role: 'read-vms', scope: `project:${alpha}`, permissions: ['vm.read'] },
      { user: 'of-one-vm', role: 'vm-operator', scope: `vm:${vms.alpha}`, permissions: ofRole('vm-operator') },
      { user: 'gone', role: 'admin', scope: 'all', permissions: ofRole('admin') },
      {
        user: `${ZEBRA}-keeper`,
        role: 'project-admin',
        scope: `project:${zebra}`,
        permissions: ofRole('project-admin'),
      },
    ];
    for (const { user, role, scope } of wanted) {
      await newUser(user);
      await grant({ user }, role, scope);
    }
    await newUser('nobody');
    await newUser('by-group');
    const newGroup = async (name: string) => (await admin('POST /groups', { body: { name } })).id;
    const groups = await inEach(async (_project, prefix) => newGroup(`${prefix}-crew`));
    await grant({ group: 'alpha-crew' }, 'vm-operator', `project:${alpha}`);
    await grant({ group: `${ZEBRA}-crew` }, 'vm-operator', `project:${zebra}`);
    await admin('PATCH /groups/{id}', { params: { id: groups.alpha }, body: { members: ['by-group'] } });
    await admin('PATCH /groups/{id}', { params: { id: groups.zebra }, body: { members: [`${ZEBRA}-keeper`] } });
    await admin('PATCH /users/{id}', { params: { id: 'gone' }, body: { state: 'disabled' } });
    const userId = (name: string) => must(userIds.get(name));

    const keyOf = async (user: string) =>
      (await admin('POST /users/{id}/keys', { params: { id: user }, body: { key: ed25519Key().line } })).id;
    const keys = { alpha: await keyOf('vm-operator-of-alpha'), zebra: await keyOf(`${ZEBRA}-keeper`) };

    const rules = await inEach(async (project, prefix) => {
      const owner = prefix === 'plain' ? null : project;
      const rule = { name: `${prefix}-rule`, condition: 'vm_state == crashed', project: owner };
      return (await admin('POST /rules', { body: rule })).id;
    });

    const shelf = (name: string) => admin('POST /repositories', { body: { name, folder: join(libvirtd.dir, name) } });
    const { repository } = await shelf('shelf');
    await shelf('other-shelf');

    const backUp = (name: string) => admin('POST /backup-schedules', { body: { name, isEnabled: false } });
    const schedule = await backUp('nightly');
    await backUp('monthly');

    // Making a token needs a fresh proof in a browser. What is wanted here is a token, not the way to one.
    await daemon.stop();
    const narrowed = {
      'token of an admin for alpha': { user: 'admin-everywhere', permissions: NARROW, scope: `project:${alpha}` },
      'token of an admin for one VM': { user: 'admin-everywhere', permissions: NARROW, scope: `vm:${vms.alpha}` },
      // Made as wide as a token can be: it holds no more than its owner.
      'token of a project-admin of alpha': { user: 'project-admin-of-alpha', permissions: PERMISSIONS, scope: 'all' },
      'token of a disabled user': { user: 'gone', permissions: ofRole('admin'), scope: 'all' },
      [`token of ${ZEBRA}`]: { user: `${ZEBRA}-keeper`, permissions: NARROW, scope: 'all' },
    };
    const tokens = new Map(
      Object.entries(narrowed).map(([name, { user, permissions, scope }]) => [
        name,
        writeToken(join(stateDir, 'state.db'), {
          userId: userId(user),
          name: name.replaceAll(' ', '-').toLowerCase(),
          permissions,
          scope,
        }),
      ]),
    );
    const alerts = writeAlerts(join(stateDir, 'state.db'), [
      { name: 'alpha', ruleId: rules.alpha, project: alpha, vmId: vms.alpha },
      { name: ZEBRA, ruleId: rules.zebra, project: zebra, vmId: vms.zebra },
      { name: 'plain', ruleId: rules.system, project: null, vmId: null },
    ]);
    writeInstantRestores(join(stateDir, 'state.db'), newId('repo'), [alpha, zebra, 'default']);
    const points = writePoints(join(stateDir, 'state.db'), repository.id, [
      { vmId: vms.alpha, vmName: 'alpha-web', project: alpha },
      { vmId: vms.zebra, vmName: `${ZEBRA}-web`, project: zebra },
      { vmId: vms.system, vmName: 'plain-web', project: 'default' },
    ]);
    writeRound(join(stateDir, 'state.db'), schedule, [
      { vmId: vms.alpha, vmName: 'alpha-web', project: alpha },
      { vmId: vms.zebra, vmName: `${ZEBRA}-web`, project: zebra },
      { vmId: vms.system, vmName: 'plain-web', project: 'default' },
    ]);
    const proofs = writeProofs(join(stateDir, 'state.db'), [
      { vmId: vms.alpha, vmName: 'alpha-web', project: alpha },
      { vmId: vms.zebra, vmName: `${ZEBRA}-web`, project: zebra },
      { vmId: vms.system, vmName: 'plain-web', project: 'default' },
    ]);
    daemon = await startDaemon({ stateDir, env });

    const visitors = new Map<string, { asker: Asker; sessionId: string }>();
    for (const user of [...wanted.map((one) => one.user).filter((name) => name !== 'gone'), 'by-group']) {
      const visitor = await signIn(daemon, user);
      visitors.set(user, { asker: visitor, sessionId: visitor.sessionId });
    }
    const people: Person[] = [
      { name: 'stranger', asker: stranger(daemon), userId: null, grants: [], token: null },
      {
        name: 'operator socket',
        asker: onSocket(daemon, 'operator'),
        userId: 'local:operator',
        grants: [{ permissions: ofRole('operator'), scope: 'all' }],
        token: null,
      },
      ...[...visitors].map(([name, { asker }]): Person => {
        const given = wanted.find(({ user }) => user === name) ?? {
          permissions: ofRole('vm-operator'),
          scope: `project:${alpha}`,
        };
        return { name, asker, userId: userId(name), grants: [given], token: null };
      }),
      ...Object.entries(narrowed).map(([name, { user, permissions, scope }]): Person => {
        const given = must(wanted.find((one) => one.user === user));
        const isNobody = user === 'gone';
        return {
          name,
          asker: withToken(daemon, must(tokens.get(name)).secret),
          userId: isNobody ? null : userId(user),
          grants: isNobody ? [] : [given],
          token: { permissions, scope },
        };
      }),
    ];

    const of = (
      ids: { readonly alpha: string; readonly zebra: string; readonly system?: string },
      place: (whose: 'alpha' | 'zebra' | 'system', id: string) => Place,
      unknown: string,
    ): Thing[] => [
      { whose: 'alpha', id: ids.alpha, place: place('alpha', ids.alpha) },
      { whose: 'zebra', id: ids.zebra, place: place('zebra', ids.zebra) },
      ...(ids.system === undefined
        ? []
        : [{ whose: 'system' as const, id: ids.system, place: place('system', ids.system) }]),
      { whose: 'unknown', id: unknown, place: null },
    ];
    const projectOf = { alpha, zebra, system: 'default' };
    const owned = (whose: 'alpha' | 'zebra' | 'system'): Place => ({ project: projectOf[whose] });
    const given = (whose: 'alpha' | 'zebra' | 'system'): Place => ({
      project: null,
      sharedWith: whose === 'system' ? [] : [projectOf[whose]],
    });
    const things: Everybody['things'] = {
      vm: of(vms, (whose, id) => ({ project: projectOf[whose], vmId: id }), UNKNOWN_UUID),
      trash: of(
        { alpha: trash.alpha.id, zebra: trash.zebra.id, system: trash.system.id },
        (whose) => ({ project: projectOf[whose], vmId: trash[whose].vmId }),
        newId('trash'),
      ),
      image: of(images, owned, newId('img')),
      upload: of(uploads, owned, newId('upl')),
      network: of(networks, given, UNKNOWN_UUID),
      pool: of(pools, given, UNKNOWN_UUID),
      operation: of(
        { alpha: must(operations['alpha']), zebra: must(operations[ZEBRA]), system: check.id },
        (whose) => (whose === 'system' ? { project: null } : { project: projectOf[whose], vmId: trash[whose].vmId }),
        newId('op'),
      ),
      host: [
        { whose: 'system', id: must((await daemon.admin('GET /hosts')).items[0]).id, place: { project: null } },
        { whose: 'unknown', id: 'no-such-host', place: null },
      ],
      project: of({ alpha, zebra, system: 'default' }, owned, newId('prj')),
      user: of(
        { alpha: userId('vm-operator-of-alpha'), zebra: userId(`${ZEBRA}-keeper`), system: userId('nobody') },
        given,
        newId('usr'),
      ),
      group: of(groups, given, newId('grp')),
      role: [
        // Whoever sees access anywhere sees all roles: they are what can be granted.
        { whose: 'system', id: powerOnly, place: { project: null, sharedWith: [alpha, zebra] } },
        { whose: 'system', id: 'admin', place: { project: null, sharedWith: [alpha, zebra] } },
        { whose: 'unknown', id: newId('role'), place: null },
      ],
      alert: of(
        { alpha: must(alerts[0]), zebra: must(alerts[1]), system: must(alerts[2]) },
        (whose) =>
          whose === 'system'
            ? { project: null }
            : { project: projectOf[whose], vmId: whose === 'zebra' ? vms.zebra : vms.alpha },
        'no-such-alert',
      ),
      rule: [
        ...of(rules, (whose) => (whose === 'system' ? { project: null } : owned(whose)), newId('rule')),
        // What comes with the program is no secret.
        { whose: 'system', id: 'default:vm_down', place: { project: null, sharedWith: [alpha, zebra] } },
      ],
      grant: of(
        {
          alpha: must(grantIds.get('vm-operator-of-alpha')),
          zebra: must(grantIds.get(`${ZEBRA}-keeper`)),
          system: must(grantIds.get('power-only')),
        },
        (whose) => (whose === 'system' ? { project: null } : owned(whose)),
        newId('grant'),
      ),
      channel: of(channels, (whose) => (whose === 'system' ? { project: null } : owned(whose)), newId('chn')),
      silence: of(silences, (whose) => (whose === 'system' ? { project: null } : owned(whose)), newId('sil')),
      repository: [
        { whose: 'system', id: repository.id, place: { project: null, sharedWith: [alpha, zebra] } },
        { whose: 'unknown', id: newId('repo'), place: null },
      ],
      schedule: [
        { whose: 'system', id: schedule.id, place: { project: null, sharedWith: [alpha, zebra] } },
        { whose: 'unknown', id: newId('sched'), place: null },
      ],
      'restore-point': of(
        { alpha: must(points[0]), zebra: must(points[1]), system: must(points[2]) },
        (whose) => ({ project: projectOf[whose], vmId: vms[whose] }),
        newId('rp'),
      ),
      proof: of(
        { alpha: must(proofs[0]), zebra: must(proofs[1]), system: must(proofs[2]) },
        (whose) => ({ project: projectOf[whose], vmId: vms[whose] }),
        newId('proof'),
      ),
      session: of(
        {
          alpha: must(visitors.get('vm-operator-of-alpha')).sessionId,
          zebra: must(visitors.get(`${ZEBRA}-keeper`)).sessionId,
        },
        (whose) => ({ project: null, owner: userId(whose === 'zebra' ? `${ZEBRA}-keeper` : 'vm-operator-of-alpha') }),
        newId('ses'),
      ),
      key: of(
        keys,
        (whose) => ({ project: null, owner: userId(whose === 'zebra' ? `${ZEBRA}-keeper` : 'vm-operator-of-alpha') }),
        newId('key'),
      ),
      token: of(
        {
          alpha: must(tokens.get('token of a project-admin of alpha')).id,
          zebra: must(tokens.get(`token of ${ZEBRA}`)).id,
        },
        (whose) => ({ project: null, owner: userId(whose === 'zebra' ? `${ZEBRA}-keeper` : 'project-admin-of-alpha') }),
        newId('tok'),
      ),
    };
    return {
      libvirtd,
      daemon,
      alpha,
      zebra,
      people,
      person: (name) => must(people.find((one) => one.name === name)),
      things,
      define: async (of, name, devices) => {
        const id = newUuid();
        const file = join(libvirtd.dir, `${id}.xml`);
        await writeFile(file, domainXml(of === 0 ? name : `p${of}-${name}`, id, devices ?? ''));
        await libvirtd.virsh('define', file);
        await until(`VM ${name}`, async () => (await daemon.admin('GET /vms')).items.some((vm) => vm.id === id));
        return id;
      },
      close: async () => {
        for (const { asker } of people) asker.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

export async function until(what: string, isTrue: () => Promise<boolean> | boolean, withinMs = 20_000): Promise<void> {
  for (const deadline = performance.now() + withinMs; !(await isTrue()); await sleep(25))
    if (performance.now() > deadline) throw new Error(`no ${what} within ${withinMs} ms`);
}

function must<Value>(value: Value | undefined | null): Value {
  if (value === undefined || value === null) throw new Error('the two projects are not as they should be');
  return value;
}

/** Writes firing alerts into the database of a stopped daemon, without figures that would make one. @returns their ids */
function writeAlerts(
  databaseFile: string,
  wanted: readonly {
    readonly name: string;
    readonly ruleId: string;
    readonly project: string | null;
    readonly vmId: string | null;
  }[],
): string[] {
  const db = new DatabaseSync(databaseFile);
  const insert = db.prepare(
    `INSERT INTO alert(id, rule_id, rule_name, owner_type, owner_id, kind, sub, labels, project, phase, episode, since_ms, started_ms,
       severity, value, is_no_data, told_episode, timers)
     VALUES(?, ?, ?, ?, ?, ?, '', ?, ?, 'firing', 1, ?, ?, 'warning', 5, 0, 1, ?)`,
  );
  const timers = { heldMs: 0, agreed: 2, isRunning: false, savedBootMs: null, quietUntilBootMs: null };
  const ids = wanted.map(({ name, ruleId, project, vmId }) => {
    const id = `alert-${createHash('sha256').update(name).digest('hex').slice(0, 18)}`;
    const kind = vmId === null ? 'host' : 'vm';
    const labels = vmId === null ? { host: 'plain-host' } : { host: 'plain-host', vm: `${name}-web` };
    const owner = vmId ?? 'plain-host';
    const now = Date.now();
    insert.run(
      id,
      ruleId,
      `${name}-rule`,
      kind,
      owner,
      kind,
      JSON.stringify(labels),
      project,
      now,
      now,
      JSON.stringify(timers),
    );
    return id;
  });
  db.close();
  return ids;
}

/** Writes restore points into the database of a stopped daemon: what lies in a repository is not looked at by those who list. */
function writePoints(
  databaseFile: string,
  repositoryId: string,
  wanted: readonly { readonly vmId: string; readonly vmName: string; readonly project: string }[],
): string[] {
  const db = new DatabaseSync(databaseFile);
  const insert = db.prepare(
    `INSERT INTO restore_point(id, repository_id, vm_id, vm_name, project, seq, operation_id, point_in_time, finished_at, consistency,
       size_bytes, read_bytes, stored_bytes, new_bytes, detail, state)
     VALUES(?, ?, ?, ?, ?, 1, ?, ?, ?, 'crash', 1048576, 1048576, 1000, 1048576, ?, 'good')`,
  );
  const detail = JSON.stringify({ disks: [], skipped: [], warnings: [] });
  const at = new Date().toISOString();
  const ids = wanted.map(({ vmId, vmName, project }) => {
    const id = newId('rp');
    insert.run(id, repositoryId, vmId, vmName, project, newId('op'), at, at, detail);
    return id;
  });
  db.close();
  return ids;
}

/** Writes instant restores that began and whose VMs are not there yet, so that nothing is done for them. */
function writeInstantRestores(databaseFile: string, repositoryId: string, projects: readonly string[]): void {
  const db = new DatabaseSync(databaseFile);
  const insert = db.prepare(
    `INSERT INTO instant_restore(vm_id, operation_id, name, project, point_id, repository_id, disks, state, boot_id, started_at)
     VALUES(?, ?, ?, ?, ?, ?, '[]', 'making', '', ?)`,
  );
  for (const project of projects)
    insert.run(
      newUuid(),
      newId('op'),
      `back-in-${project}`,
      project,
      newId('rp'),
      repositoryId,
      new Date().toISOString(),
    );
  db.close();
}

/** Writes a run of a schedule into the database of a stopped daemon. */
function writeRound(
  databaseFile: string,
  schedule: { readonly id: string; readonly name: string },
  wanted: readonly { readonly vmId: string; readonly vmName: string; readonly project: string }[],
): void {
  const db = new DatabaseSync(databaseFile);
  const at = new Date().toISOString();
  db.prepare(
    `INSERT INTO backup_round(id, schedule_id, schedule_name, due_at, began_at, ended_at, state) VALUES(?, ?, ?, ?, ?, ?, 'done')`,
  ).run(BACKUP_ROUND, schedule.id, schedule.name, at, at, at);
  const insert = db.prepare(
    `INSERT INTO backup_round_vm(round_id, vm_id, vm_name, project, n, state) VALUES(?, ?, ?, ?, ?, 'done')`,
  );
  for (const [n, { vmId, vmName, project }] of wanted.entries()) insert.run(BACKUP_ROUND, vmId, vmName, project, n);
  db.close();
}

/** Writes proofs into the database of a stopped daemon: a real one takes minutes. */
function writeProofs(
  databaseFile: string,
  wanted: readonly { readonly vmId: string; readonly vmName: string; readonly project: string }[],
): string[] {
  const db = new DatabaseSync(databaseFile);
  const insert = db.prepare(
    `INSERT INTO proof(id, vm_id, vm_name, project, operation_id, started_at, finished_at, verdict, reason, accel, evidence, evidence_digest)
     VALUES(?, ?, ?, ?, ?, ?, ?, 'fail', 'nothing_checked', 'tcg', ?, '')`,
  );
  const evidence: ProofEvidence = {
    notes: [],
    disks: [],
    filesystems: [],
    data: { checkedBytes: 0, checkedAt: null, problem: null },
    attempts: [],
    guest: { hostname: null, os: null, machineId: null, probe: null },
    host: { accel: 'tcg', qemu: null, load: 0, network: 'none', networkNote: null },
    files: [],
  };
  const at = new Date().toISOString();
  const ids = wanted.map(({ vmId, vmName, project }) => {
    const id = newId('proof');
    insert.run(id, vmId, vmName, project, newId('op'), at, at, JSON.stringify(evidence));
    return id;
  });
  db.close();
  return ids;
}

/** Writes an API token into the database of a stopped daemon. */
export function writeToken(
  databaseFile: string,
  wanted: {
    readonly userId: string;
    readonly name: string;
    readonly permissions: readonly Permission[];
    readonly scope: string;
    readonly livesMs?: number;
  },
): { readonly id: string; readonly secret: string } {
  const db = new DatabaseSync(databaseFile);
  const [id, secret] = [newId('tok'), newSecret()];
  const now = Date.now();
  db.prepare('INSERT INTO api_token VALUES(?, ?, ?, ?, ?, ?, ?, ?, NULL)').run(
    id,
    createHash('sha256').update(secret).digest('hex'),
    wanted.userId,
    wanted.name,
    JSON.stringify(wanted.permissions),
    wanted.scope,
    new Date(now).toISOString(),
    new Date(now + (wanted.livesMs ?? 86_400_000)).toISOString(),
  );
  db.close();
  return { id, secret: `hyp_${id}_${secret}` };
}
