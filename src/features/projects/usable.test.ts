import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectRef } from '#platform/feature.ts';
import { isForProject, isUsableIn, type May } from './usable.ts';

const network = (sharedWith: readonly string[]): ObjectRef => ({ type: 'network', id: 'n', project: null, sharedWith });

/** Holds the right in these projects. */
const holding =
  (...projects: string[]): May =>
  (_permission, { project, sharedWith }) =>
    (project !== null && projects.includes(project)) ||
    (sharedWith !== undefined && sharedWith !== 'all' && sharedWith.some((one) => projects.includes(one)));

test('a project may use what is its own, what is shared with all, and what it was given', () => {
  const image: ObjectRef = { type: 'image', id: 'i', project: 'a' };
  assert.equal(isForProject(image, 'a'), true);
  assert.equal(isForProject(image, 'b'), false);
  assert.equal(isForProject({ ...image, sharedWith: 'all' }, 'b'), true);
  assert.equal(isForProject({ ...image, sharedWith: ['b'] }, 'b'), true);
  assert.equal(isForProject({ type: 'network', id: 'n', project: null }, 'a'), false);
});

test('a right in one project does not carry what is shared with it into another', () => {
  const both = network(['a', 'b']);
  assert.equal(isUsableIn('a', 'network.use', both, holding('a')), true);
  assert.equal(isUsableIn('b', 'network.use', both, holding('a')), false);
  assert.equal(isUsableIn('b', 'network.use', network(['a']), holding('a', 'b')), false);
});
