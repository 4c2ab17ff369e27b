/** Two tenants on a real libvirtd: VMs and images of one name in both, what each may use, what each sees, and a VM that moves. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runHv } from '#cli/fake-daemon.ts';
import { ApiProblem } from '#contract/client.ts';
import type { Problem } from '#contract/common.ts';
import type { Vm, VmCreateInput } from '#contract/vms.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { type Tenant, type Tenants, twoTenants } from '../support/tenants.ts';

const skip = missingForLibvirtd() ?? false;

let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;
let tenants: Tenants;
const imageIds = new Map<string, string>();

before(async () => {
  if (skip !== false) return;
  libvirtd = await startPrivateLibvirtd();
  for (const [name, bridge] of [
    ['both-net', 'hvb0'],
    ['shop-net', 'hvb1'],
    ['lab-net', 'hvb2'],
  ]) {
    const file = join(libvirtd.dir, `${name}.xml`);
    await writeFile(file, `<network><name>${name}</name><bridge name="${bridge}"/></network>`);
    await libvirtd.virsh('net-define', file);
  }
  daemon = await startDaemon({ libvirtd });
  tenants = await twoTenants(daemon, libvirtd, { both: 'both-net', shop: 'shop-net', lab: 'lab-net' });
  const disk = join(libvirtd.dir, 'disk.qcow2');
  await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', disk, '4M'], { timeoutMs: 20_000 });
  for (const project of ['default', 'shop', 'lab']) {
    const body = { path: disk, name: 'golden', project, kind: 'disk' as const };
    const done = await daemon.finish(await daemon.admin('POST /images/import', { body }));
    imageIds.set(project, (done.result as { id: string }).id);
  }
});
after(async () => {
  await tenants?.[Symbol.asyncDispose]();
  await daemon?.close();
  await libvirtd?.close();
});

const problemOf = async (work: Promise<unknown>): Promise<Problem> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof ApiProblem) return error.problem;
    throw error;
  }
  throw new assert.AssertionError({ message: 'it was not refused' });
};

const small = (name: string, tenant: Tenant, more: Partial<VmCreateInput> = {}): VmCreateInput => ({
  name,
  project: tenant.project.name,
  memoryBytes: 32 * MIB,
  vcpus: 1,
  firmware: 'bios',
  start: false,
  disks: [{ sizeBytes: MIB }],
  nics: [{ network: `${tenant.project.name}-net` }],
  ...more,
});

async function create(tenant: Tenant, body: VmCreateInput): Promise<Vm> {
  const done = await daemon.finish(await tenant.api('POST /vms', { body }));
  return daemon.admin('GET /vms/{id}', { params: { id: done.objectId ?? '' } });
}

async function hv(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runHv(daemon.runtimeDir, args);
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  return stdout;
}

test('both have a VM of one name; each sees his own, the administrator sees both', { skip }, async () => {
  const { shop, lab } = tenants;
  const [inShop, inLab] = [await create(shop, small('web', shop)), await create(lab, small('web', lab))];
  const names = (await libvirtd.virsh('list', '--all', '--name')).split('\n').filter(Boolean).sort();
  assert.deepEqual(names, [`p${shop.project.number}-web`, `p${lab.project.number}-web`].sort());
  for (const [tenant, own, other] of [
    [shop, inShop, inLab],
    [lab, inLab, inShop],
  ] as const) {
    const seen = await tenant.api('GET /vms');
    assert.deepEqual(
      seen.items.map(({ id, name, project }) => [id, name, project]),
      [[own.id, 'web', tenant.project.id]],
    );
    assert.equal(seen.total, 1);
    assert.equal((await tenant.api('GET /vms/{id}', { params: { id: 'web' } })).id, own.id);
    const named = `${tenant.project.name}/web`;
    assert.equal((await tenant.api('GET /vms/{id}', { params: { id: named } })).id, own.id);
    assert.equal((await problemOf(tenant.api('GET /vms/{id}', { params: { id: other.id } }))).code, 'not_found');
  }
  assert.equal((await problemOf(daemon.admin('GET /vms/{id}', { params: { id: 'web' } }))).code, 'ambiguous_name');
  assert.equal((await daemon.admin('GET /vms/{id}', { params: { id: 'lab/web' } })).id, inLab.id);
  const taken = await problemOf(shop.api('POST /vms', { body: small('web', shop) }));
  assert.deepEqual([taken.code, taken.fields?.[0]?.path], ['already_exists', 'name']);
  const table = await hv('vm', 'list');
  assert.match(table, /NAME +PROJECT/);
  assert.match(table, /web +lab\b[\s\S]*web +shop\b|web +shop\b[\s\S]*web +lab\b/);
  assert.doesNotMatch(await hv('vm', 'list', '--project', 'lab'), /web +shop/);
  assert.match(await hv('vm', 'show', 'shop/web'), /project +shop/);
});

test('networks, pools and images of others are not there, in the very words', { skip }, async () => {
  const { shop, lab } = tenants;
  const asked = (more: Partial<VmCreateInput>) =>
    problemOf(shop.api('POST /vms/plan', { body: small('probe', shop, more) }));
  const alike = async (own: (name: string) => Partial<VmCreateInput>, hidden: string, absent: string) => {
    const [one, other] = [await asked(own(hidden)), await asked(own(absent))];
    const plain = (problem: Problem, name: string) =>
      JSON.stringify([problem.status, problem.code, problem.detail, problem.fields]).replaceAll(name, 'NAME');
    assert.equal(plain(one, hidden), plain(other, absent));
    assert.equal(one.code, 'invalid_input');
  };
  await alike((network) => ({ nics: [{ network }] }), 'lab-net', 'no-net');
  await alike((network) => ({ nics: [{ network }] }), 'default', 'no-net');
  await alike((bridge) => ({ nics: [{ bridge }] }), 'hvb2', 'hvb9');
  await alike((imageId) => ({ disks: [{ imageId }] }), imageIds.get('lab') ?? '', 'img-0');
  await alike((imageId) => ({ disks: [{ imageId }] }), 'lab/golden', 'lab/nothing');
  await alike((pool) => ({ disks: [{ sizeBytes: MIB, pool }] }), 'default', 'nothing');
  // The name means the own one, though two more projects have an image called so.
  const plan = await shop.api('POST /vms/plan', { body: small('probe', shop, { disks: [{ imageId: 'golden' }] }) });
  assert.match(JSON.stringify(plan.changes), /copy of golden/);
  const without = await daemon.admin('PATCH /projects/{id}', {
    params: { id: lab.project.id },
    body: { resources: lab.project.resources.filter(({ type }) => type !== 'pool') },
  });
  const noPool = await problemOf(lab.api('POST /vms/plan', { body: small('probe', lab) }));
  assert.equal(noPool.fields?.[0]?.path, 'disks.0.pool');
  await daemon.admin('PATCH /projects/{id}', {
    params: { id: without.id },
    body: { resources: [...lab.project.resources] },
  });
});

test('who has less rights in the project than it has things gets less of them', { skip }, async () => {
  const { shop } = tenants;
  const { admin } = daemon;
  await admin('POST /roles', { body: { name: 'maker', permissions: ['vm.read', 'vm.create', 'project.read'] } });
  await admin('POST /users', { body: { name: 'carol' } });
  await admin('POST /grants', { body: { user: 'carol', role: 'maker', scope: `project:${shop.project.id}` } });
  // Everything in the other project: none of it helps in this one.
  await admin('POST /grants', {
    body: { user: 'carol', role: 'project-admin', scope: `project:${tenants.lab.project.id}` },
  });
  const { api } = await tenants.signIn('carol');
  const problem = await problemOf(
    api('POST /vms/plan', {
      body: small('probe', shop, { nics: [{ network: 'both-net' }], disks: [{ imageId: 'golden' }] }),
    }),
  );
  const paths = problem.fields?.map(({ path }) => path) ?? [];
  for (const path of ['disks.0.imageId', 'disks.0.pool', 'nics.0.network']) assert.ok(paths.includes(path), path);
});

test('what is shared tells nothing of the others who use it', { skip }, async () => {
  const { shop, lab } = tenants;
  const image = await daemon.admin('PATCH /images/{id}', {
    params: { id: imageIds.get('default') ?? '' },
    body: { isShared: true },
  });
  assert.equal(image.isShared, true);
  const iso = join(libvirtd.dir, 'empty.iso');
  await runChecked(['xorriso', '-as', 'mkisofs', '-quiet', '-volid', 'EMPTY', '-o', iso, '/etc/hostname'], {
    timeoutMs: 20_000,
  });
  await daemon.finish(await daemon.admin('POST /images/import', { body: { path: iso, name: 'tools' } }));
  await daemon.admin('PATCH /images/{id}', { params: { id: 'tools' }, body: { isShared: true } });
  for (const tenant of [shop, lab])
    await create(tenant, small('reader', tenant, { isoId: 'tools', nics: [{ network: 'both-net' }] }));
  const all = await daemon.admin('GET /images/{id}', { params: { id: 'tools' } });
  assert.equal(all.usedBy.length, 2);
  for (const tenant of [shop, lab]) {
    const own = tenant.project.id;
    const seen = await tenant.api('GET /images/{id}', { params: { id: 'tools' } });
    assert.deepEqual(
      seen.usedBy.map(({ name, project }) => [name, project]),
      [['reader', own]],
    );
    const listed = (await tenant.api('GET /images')).items.find(({ name }) => name === 'tools');
    assert.deepEqual(listed?.usedBy, seen.usedBy);
    const networks = (await tenant.api('GET /networks')).items;
    assert.deepEqual(networks.map(({ name }) => name).sort(), ['both-net', `${tenant.project.name}-net`].sort());
    const both = networks.find(({ name }) => name === 'both-net');
    assert.deepEqual(
      both?.usedBy.map(({ project }) => project),
      [own],
    );
    const [pool] = (await tenant.api('GET /pools')).items;
    assert.equal(pool?.path, null);
    assert.ok((pool?.volumes.length ?? 0) > 0);
    assert.ok(pool?.volumes.every(({ usedBy }) => usedBy?.project === own));
  }
  const whole = await daemon.admin('GET /pools/{id}', { params: { id: 'hyper' } });
  assert.ok(whole.path?.startsWith('/'));
  assert.ok(whole.volumes.length >= 4);
  const text = JSON.stringify(await shop.api('GET /operations'));
  assert.ok(!text.includes(lab.project.id));
});

test('an image belongs to one project, by a name that others may have too', { skip }, async () => {
  const { shop, lab } = tenants;
  const found = await shop.api('GET /images', { query: { q: 'golden' } });
  assert.deepEqual(
    found.items.map(({ project }) => project).sort(),
    ['default', shop.project.id].sort(),
    'the own one and the one that is shared with all',
  );
  const usable = await shop.api('GET /images', { query: { usableIn: 'lab' } });
  assert.deepEqual(
    usable.items.filter(({ project }) => project === lab.project.id),
    [],
  );
  assert.equal((await problemOf(shop.api('GET /images/{id}', { params: { id: 'golden' } }))).code, 'ambiguous_name');
  const own = await shop.api('GET /images/{id}', { params: { id: 'shop/golden' } });
  assert.equal(own.id, imageIds.get('shop'));
  const sharing = shop.api('PATCH /images/{id}', { params: { id: own.id }, body: { isShared: true } });
  assert.equal((await problemOf(sharing)).code, 'forbidden');
  const begin = (tenant: Tenant) =>
    tenant.api('POST /images/uploads', { body: { name: 'coming', sizeBytes: 10, project: tenant.project.name } });
  const [first, second] = [await begin(shop), await begin(lab)];
  assert.equal((await problemOf(begin(shop))).code, 'already_exists');
  assert.equal((await problemOf(lab.api('GET /images/uploads/{id}', { params: { id: first.id } }))).code, 'not_found');
  assert.deepEqual(
    (await lab.api('GET /images/uploads')).items.map(({ id }) => id),
    [second.id],
  );
  assert.match(await hv('image', 'list'), /golden +lab\b/);
  assert.match(await hv('image', 'share', 'lab/golden'), /shared with all projects/);
  assert.equal((await shop.api('GET /images/{id}', { params: { id: 'lab/golden' } })).project, lab.project.id);
  await hv('image', 'unshare', 'lab/golden');
  assert.equal((await problemOf(shop.api('GET /images/{id}', { params: { id: 'lab/golden' } }))).code, 'not_found');
});

test('a VM moves where its mover may make one, with its grants, and back', { skip }, async () => {
  const { shop, lab } = tenants;
  const { admin } = daemon;
  const vm = await create(shop, small('mover', shop, { nics: [{ network: 'both-net' }] }));
  const grant = await admin('POST /grants', { body: { user: 'bob', role: 'vm-operator', scope: `vm:${vm.id}` } });
  const move = (api: Tenant['api'], project: string, id = vm.id) =>
    api('POST /vms/{id}/move', { params: { id }, body: { project } });

  // Alice does not know the other project: it might as well not be there.
  const hidden = await problemOf(move(shop.api, 'lab'));
  const absent = await problemOf(move(shop.api, 'nix'));
  assert.deepEqual([hidden.status, hidden.detail.replace('lab', 'nix')], [absent.status, absent.detail]);
  const byId = await problemOf(move(shop.api, lab.project.id));
  assert.ok(!byId.detail.includes('lab'), byId.detail);
  // Bob may look at the VM and make VMs, but not take it away.
  assert.equal((await problemOf(move(lab.api, 'lab'))).code, 'forbidden');

  await daemon.finish(await admin('POST /vms/{id}/start', { params: { id: vm.id } }));
  assert.equal((await problemOf(move(admin, 'lab'))).code, 'wrong_state');
  await daemon.finish(await admin('POST /vms/{id}/stop', { params: { id: vm.id } }));

  const used = async (project: string) => {
    const { quotas } = await admin('GET /projects/{id}/quotas', { params: { id: project } });
    return quotas.find(({ resource }) => resource === 'vms')?.used ?? 0;
  };
  const before = { shop: await used('shop'), lab: await used('lab') };
  await admin('PATCH /projects/{id}/quotas', {
    params: { id: 'lab' },
    body: { limits: { vms: before.lab } },
  });
  assert.equal((await problemOf(move(admin, 'lab'))).code, 'quota_exceeded');
  await admin('PATCH /projects/{id}/quotas', { params: { id: 'lab' }, body: { limits: { vms: null } } });
  await hv('vm', 'move', 'shop/mover', '--project', 'lab');
  assert.match(await libvirtd.virsh('dominfo', vm.id), new RegExp(`Name: +p${lab.project.number}-mover`));
  assert.deepEqual([await used('shop'), await used('lab')], [before.shop - 1, before.lab + 1]);
  assert.equal((await lab.api('GET /vms/{id}', { params: { id: 'mover' } })).project, lab.project.id);
  assert.equal((await problemOf(shop.api('GET /vms/{id}', { params: { id: vm.id } }))).code, 'not_found');
  // Those it was taken from may see that it went, not where to.
  const told = (await shop.api('GET /operations')).items.filter(({ kind }) => kind === 'vm.move');
  assert.equal(told.length, 1);
  assert.equal(told[0]?.title, 'Move mover to another project');
  assert.ok(!JSON.stringify(told).includes(lab.project.id), JSON.stringify(told));
  // The grant is the new project's to see and to take.
  const granted = async (api: Tenant['api']) => (await api('GET /grants')).items.some(({ id }) => id === grant.id);
  assert.deepEqual([await granted(lab.api), await granted(shop.api)], [true, false]);
  const [record] = (await admin('GET /audit', { query: { limit: 5 } })).items.filter(
    ({ action }) => action === 'POST /vms/{id}/move',
  );
  assert.deepEqual([record?.objectId, record?.outcome], [vm.id, 'done']);

  const clash = await create(lab, small('clash', lab, { nics: [] }));
  await create(shop, small('clash', shop, { nics: [] }));
  assert.equal((await problemOf(move(admin, 'shop', clash.id))).code, 'already_exists');
  const bound = await create(lab, small('bound', lab));
  const refused = await problemOf(move(admin, 'shop', bound.id));
  assert.deepEqual([refused.code, refused.fields?.[0]?.path], ['invalid_input', 'project']);
  await daemon.finish(await move(admin, 'default', bound.id));
  assert.equal((await admin('GET /vms/{id}', { params: { id: bound.id } })).project, 'default');
  assert.match(await libvirtd.virsh('dominfo', bound.id), /Name: +bound\n/);
});

test('a VM of a project goes to the trash and comes back as what it was', { skip }, async () => {
  const { shop, lab } = tenants;
  const vm = await create(shop, small('leaver', shop));
  await daemon.finish(await shop.api('DELETE /vms/{id}', { params: { id: vm.id } }));
  const [item] = (await shop.api('GET /trash')).items;
  assert.deepEqual([item?.name, item?.project], ['leaver', shop.project.id]);
  assert.deepEqual((await lab.api('GET /trash')).items, []);
  const notThere = lab.api('POST /trash/{id}/restore', { params: { id: item?.id ?? '' } });
  assert.equal((await problemOf(notThere)).code, 'not_found');
  assert.match(await hv('trash', 'list'), /leaver +shop/);
  await daemon.finish(await shop.api('POST /trash/{id}/restore', { params: { id: 'shop/leaver' } }));
  const back = await shop.api('GET /vms/{id}', { params: { id: 'leaver' } });
  assert.deepEqual([back.id, back.disks.length], [vm.id, vm.disks.length]);
  const remaining = await problemOf(daemon.admin('DELETE /projects/{id}', { params: { id: 'shop' } }));
  assert.equal(remaining.code, 'project_not_empty');
  assert.match(remaining.detail, /images and 1 uploads/);
});
