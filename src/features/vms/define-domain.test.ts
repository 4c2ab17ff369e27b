/** Row A10: every way to define a domain × every forbidden part: refused before libvirt hears of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import { vmErrors } from '#contract/vms.ts';
import { registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createDomainDefiner, type DefineRequest, type DefinerDependencies } from './define-domain.ts';
import { FORBIDDEN_PARTS, withPart } from './forbidden-parts.test-data.ts';
import { vmFiles } from './layout.ts';
import { LIBVIRT_DEFINITION } from './libvirt-definition.test-data.ts';

registerErrors(vmErrors);

const vmId = '11111111-1111-4111-8111-111111111111';
const state = {
  root: '/s',
  ca: '/s/ca',
  images: '/s/images',
  disks: '/s/disks',
  scratch: '/s/scratch',
  trash: '/s/trash',
  quarantine: '/s/quarantine',
};
const disk = `/s/disks/op-${'0'.repeat(26)}-0.qcow2`;
const clean = LIBVIRT_DEFINITION.replace('/s/disks/op-own-0.qcow2', disk)
  .replaceAll('/s/serial/own.log', `/s/serial/${vmId}.log`)
  .replace('/s/nvram/own.fd', `/s/nvram/${vmId}.fd`);

function stage(owner: string | null = null) {
  const calls: string[] = [];
  const defined: string[] = [];
  const given = (id: string) => (['lab', 'br0'].includes(id) ? ['prj-3'] : []);
  const network = (id: string) => ({
    type: 'network' as const,
    id,
    name: id,
    project: null,
    sharedWith: [DEFAULT_PROJECT, ...given(id)],
  });
  const dependencies = {
    libvirt: {
      domains: {
        define: async (xml: string) => {
          calls.push('define');
          defined.push(xml);
        },
        rename: async (_id: string, to: string) => void calls.push(to),
      },
    } as unknown as DefinerDependencies['libvirt'],
    known: {
      fileUsers: (path: string) => (owner !== null && path === disk ? [{ vmId: owner, name: 'x', project: 'y' }] : []),
      describeFile: (path: string) => ({ imageId: null, name: path }),
      row: () => null,
    },
    images: { object: () => null },
    networks: { networkObject: network, bridgeObject: network, hasFilters: () => true },
    projects: {
      ofDomain: (name: string) =>
        name.startsWith('p3-') ? { project: 'prj-3', name: name.slice(3) } : { project: DEFAULT_PROJECT, name },
    },
    trash: { list: () => [] },
    files: vmFiles(state),
    log: silentLogger,
  } satisfies DefinerDependencies;
  return { definer: createDomainDefiner(dependencies), calls, defined };
}

const project = 'prj-3';
/** How each path asks. */
const PATHS: readonly (DefineRequest & { readonly path: string; readonly rename?: string })[] = [
  { path: 'create', vmId, project, before: null },
  { path: 'edit', vmId, project, before: clean },
  { path: 'edit, undone', vmId, project, before: clean, isUndo: true },
  { path: 'restore from the trash', vmId, project, before: null },
  { path: 'stand-in of a purge', vmId, project, before: null, validate: false },
  { path: 'delete, undone', vmId, project, before: clean, isUndo: true },
  { path: 'rename', vmId, project, before: clean, rename: 'p3-other' },
  { path: 'rename, undone', vmId, project, before: clean, isUndo: true, rename: 'p3-web' },
  { path: 'move', vmId, project, before: null, rename: 'p3-web' },
  { path: 'edit in the default project', vmId, project: DEFAULT_PROJECT, before: clean },
  { path: 'create in the default project', vmId, project: DEFAULT_PROJECT, before: null },
];

test('A10 every way to define a domain refuses every forbidden part', async () => {
  let count = 0;
  for (const { path, rename, ...request } of PATHS) {
    // The default project may use every network, and a prefix of no project is part of a name; a rename brings the right one itself.
    const parts = FORBIDDEN_PARTS.filter(
      ({ name }) =>
        !(request.project === DEFAULT_PROJECT && /^(network|bridge) of another$|^name of/.test(name)) &&
        !(rename !== undefined && name === 'name of another project'),
    );
    for (const part of parts) {
      const { definer, calls } = stage();
      const xml = withPart(clean, part);
      const work = rename === undefined ? definer.define(xml, request) : definer.rename(xml, rename, request);
      await assert.rejects(work, { code: 'definition_not_allowed' }, `${path}: ${part.name}`);
      assert.deepEqual(calls, [], `${path}: ${part.name}`);
      count += 1;
    }
    const { definer, calls } = stage();
    const own = request.project === DEFAULT_PROJECT ? clean.replace('p3-web', 'web') : clean;
    if (rename === undefined) await definer.define(own, request);
    else await definer.rename(own, rename, request);
    assert.equal(calls.length, 1, `${path} does what is allowed`);
  }
  console.log(`# count: ${count} definitions refused: ${PATHS.length} ways × ${FORBIDDEN_PARTS.length} parts`);
});

test('a VM of ours that had no traffic filters gets them by MAC when it is defined; foreign ones and undoing leave it as it is', async () => {
  const bare = clean.replaceAll(/<filterref[^>]*\/>|<filterref[\s\S]*?<\/filterref>/g, '');
  const request = { vmId, project, before: bare };
  const tenants = stage();
  await tenants.definer.define(bare, request);
  assert.equal(tenants.defined.at(-1)?.match(/<filterref filter="hyper-mac"\/>/g)?.length, 2);
  await tenants.definer.rename(bare, 'p3-other', request);
  assert.deepEqual(tenants.calls, ['define', 'define', 'p3-other'], 'a rename gives them too');

  const foreign = stage();
  await foreign.definer.define(bare.replace('p3-web', 'web'), { ...request, project: DEFAULT_PROJECT });
  await foreign.definer.define(bare, { ...request, isUndo: true });
  assert.equal(foreign.defined.join('').includes('filterref'), false);
});

test('E5 a disk of another VM is no disk of this one, wherever it lies', async () => {
  const { definer, calls } = stage('22222222-2222-4222-8222-222222222222');
  const request = { vmId, project, before: null };
  await assert.rejects(definer.define(clean, request), { code: 'definition_not_allowed' });
  assert.deepEqual(calls, []);
  await stage(vmId).definer.define(clean, request);
});

test('E7 a VM cannot be renamed into another project by its name in libvirt', async () => {
  const { definer, calls } = stage();
  for (const to of ['web', 'p4-web'])
    await assert.rejects(definer.rename(clean, to, { vmId, project, before: clean }), {
      code: 'definition_not_allowed',
    });
  assert.deepEqual(calls, []);
});
