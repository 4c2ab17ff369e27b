import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Image } from '#contract/images.ts';
import { vmErrors } from '#contract/vms.ts';
import { registerErrors } from '#kernel/errors.ts';
import type { ObjectRef } from '#platform/feature.ts';
import { findImage, imageAsSeen, imageObject } from './image-object.ts';
import { imageRowSchema } from './store.ts';

registerErrors(vmErrors);

const row = (id: string, name: string, project: string, shared = 0) =>
  imageRowSchema.parse({
    id,
    name,
    project,
    shared,
    kind: 'iso',
    format: 'iso',
    file: `${id}.iso`,
    size_bytes: 1,
    virtual_size_bytes: 1,
    sha256: '',
    source: 'upload',
    catalogue_id: null,
    verified: 'none',
    label: null,
    default_user: null,
    created_at: '',
  });
const rows = [
  row('img-1', 'debian', 'default', 1),
  row('img-2', 'debian', 'prj-a'),
  row('img-3', 'debian', 'prj-b'),
  row('img-4', 'only-b', 'prj-b'),
];
const store = {
  image: (id: string) => rows.find((one) => one.id === id) ?? null,
  imagesNamed: (name: string) => rows.filter((one) => one.name === name),
};
const projectRow = (id: string, name: string) => ({ id, name, title: null, number: 1, createdAt: '' });
const projects = {
  get: (name: string) => (name === 'a' ? projectRow('prj-a', 'a') : name === 'b' ? projectRow('prj-b', 'b') : null),
  usersOf: () => [],
};
/** A member of the project a. */
const seesA = ({ project, sharedWith }: ObjectRef) => project === 'prj-a' || sharedWith === 'all';

test('a name means one of those that the asker sees, and the own one where several have it', () => {
  const find = (name: string, preferred: string | null = null) =>
    findImage(name, store, projects, seesA, preferred)?.id ?? null;
  assert.equal(find('a/debian'), 'img-2');
  assert.equal(find('debian', 'prj-a'), 'img-2');
  assert.throws(() => find('debian'), { code: 'ambiguous_name' });
  assert.equal(find('b/debian'), null, 'the answer for what is not there');
  assert.equal(find('only-b'), null);
  assert.equal(find('nothing'), null);
});

test('of the VMs that use an image, one sees those that one may see', () => {
  const image = {
    usedBy: [
      { vmId: '1', name: 'mine', project: 'prj-a', place: 'host' },
      { vmId: '2', name: 'gone', project: 'prj-a', place: 'trash' },
      { vmId: '3', name: 'theirs', project: 'prj-b', place: 'host' },
    ],
  } as Image;
  const seen = imageAsSeen(image, (permission, object) => permission === 'vm.read' && object.project === 'prj-a');
  assert.deepEqual(
    seen.usedBy.map(({ name }) => name),
    ['mine', 'gone'],
  );
});

test('an image is shared with all, or with the projects that were given it', () => {
  const image = { id: 'img-9', name: 'x', project: 'prj-a', isShared: false };
  const given = { usersOf: (_type: string, id: string) => (id === 'img-9' ? ['prj-b'] : []) };
  assert.deepEqual(imageObject(image, given).sharedWith, ['prj-b']);
  assert.equal(imageObject({ ...image, isShared: true }, given).sharedWith, 'all');
});
