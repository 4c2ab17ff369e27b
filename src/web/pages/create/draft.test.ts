/** What the wizard sends must be what the API takes, whatever was filled in before in steps that do not apply any more. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { vmCreateSchema } from '#contract/vms.ts';
import {
  type Draft,
  EMPTY_DRAFT,
  hasNoWayIn,
  isStepReady,
  projectFor,
  requestOf,
  stepOfField,
  withoutChanged,
  withProject,
} from './draft.ts';

const cloud: Draft = { ...EMPTY_DRAFT, name: 'web1', cloudImageId: 'img-1' };

test('nothing is sent while something needed is missing', () => {
  assert.equal(requestOf(EMPTY_DRAFT), null);
  assert.equal(requestOf({ ...cloud, name: 'Not A Name' }), null);
  assert.equal(requestOf({ ...cloud, diskBytes: null }), null);
});

test('a cloud image comes with cloud-init and a disk that copies it', () => {
  const request = requestOf({ ...cloud, user: 'me', sshKeys: 'ssh-ed25519 AAAA me\n\n' });
  assert.equal(request?.disks?.[0]?.imageId, 'img-1');
  assert.deepEqual(request?.cloudInit, { user: 'me', sshKeys: ['ssh-ed25519 AAAA me'], packages: [] });
});

test('choices of another source do not leak into the request', () => {
  const request = requestOf({ ...cloud, source: 'iso', isoId: 'iso-1', user: 'me', kernelImageId: 'k' });
  assert.equal(request?.isoId, 'iso-1');
  assert.equal(request?.cloudInit, undefined);
  assert.equal(request?.kernel, undefined);
  assert.equal(request?.disks?.[0]?.imageId, undefined);
});

test('every complete set of answers is valid for the API', () => {
  const drafts = fc.record({
    source: fc.constantFrom('iso', 'cloud', 'empty', 'kernel'),
    firmware: fc.constantFrom('uefi', 'bios'),
    secureBoot: fc.boolean(),
    tpm: fc.boolean(),
    graphics: fc.boolean(),
    hasDisk: fc.boolean(),
    attach: fc.constantFrom('network:default', 'bridge:br0', 'none'),
    hasUserData: fc.boolean(),
    password: fc.constantFrom('', 'correct horse'),
    title: fc.constantFrom('', 'A title'),
    start: fc.boolean(),
    autostart: fc.boolean(),
  });
  fc.assert(
    fc.property(drafts, (part) => {
      const request = requestOf({ ...cloud, isoId: 'iso-1', kernelImageId: 'kernel-1', ...(part as Partial<Draft>) });
      assert.notEqual(request, null);
      assert.equal(vmCreateSchema.safeParse(request).success, true);
    }),
  );
});

test('a cloud image without key, password or user-data is pointed out', () => {
  assert.equal(hasNoWayIn(cloud), true);
  assert.equal(hasNoWayIn({ ...cloud, password: 'correct horse' }), false);
  assert.equal(isStepReady('guest', { ...cloud, password: 'short' }), false);
});

test('a refused field leads to the step where it stands', () => {
  assert.equal(stepOfField('disks.0.imageId'), 'source');
  assert.equal(stepOfField('disks.0.sizeBytes'), 'resources');
  assert.equal(stepOfField('nics.0.mac'), 'network');
  assert.equal(stepOfField('cloudInit.sshKeys.0'), 'guest');
  assert.equal(stepOfField('name'), 'resources');
});

test('a mark goes away when its field is changed, and only then', () => {
  const field = (path: string) => ({ path, problem: 'It does not fit.', mend: 'Change it.' });
  const problem = {
    type: 'about:blank',
    title: '',
    status: 400,
    code: 'invalid_input',
    detail: '',
    hint: '',
    requestId: '',
    fields: [field('nics.0.mac'), field('cloudInit.sshKeys.1'), field('disks.0.sizeBytes')],
  };
  const left = (part: Partial<Draft>) => withoutChanged(problem, part)?.fields?.map(({ path }) => path) ?? [];
  assert.deepEqual(left({ name: 'x' }), ['nics.0.mac', 'cloudInit.sshKeys.1', 'disks.0.sizeBytes']);
  assert.deepEqual(left({ sshKeys: '' }), ['nics.0.mac', 'disks.0.sizeBytes']);
  assert.deepEqual(left({ mac: '', diskBytes: 1 }), ['cloudInit.sshKeys.1']);
  assert.deepEqual(left({ mac: '', diskBytes: 1, sshKeys: '' }), []);
});

test('a VM goes where it was chosen to, else where the user may create one', () => {
  const [standard, shop, lab] = [{ id: 'default' }, { id: 'prj-shop' }, { id: 'prj-lab' }];
  assert.equal(projectFor(EMPTY_DRAFT, [shop, standard]), standard);
  assert.equal(projectFor(EMPTY_DRAFT, [shop, lab]), shop);
  assert.equal(projectFor({ ...EMPTY_DRAFT, project: 'prj-lab' }, [standard, shop, lab]), lab);
  assert.equal(projectFor({ ...EMPTY_DRAFT, project: 'prj-gone' }, [standard, shop]), standard);
  assert.equal(projectFor(EMPTY_DRAFT, []), null);
  assert.equal(requestOf({ ...cloud, project: 'prj-lab' })?.project, 'prj-lab');
  assert.equal(requestOf({ ...cloud, project: 'default' })?.project, undefined);
});

test('another project keeps the images that it may use, and no others', () => {
  const draft = withProject({ ...cloud, isoId: 'img-2' }, 'prj-lab', (id) => id === 'img-1');
  assert.deepEqual([draft.project, draft.cloudImageId, draft.isoId], ['prj-lab', 'img-1', '']);
});
