import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createImageNames, nameLock } from './image-names.ts';

function stage() {
  const images: { project: string; name: string }[] = [];
  const uploads: { project: string; name: string }[] = [];
  const locks = new Set<string>();
  const store = { images: () => images, uploads: () => uploads };
  return { names: createImageNames(store, (key) => locks.has(key)), images, uploads, locks };
}

const isTaken = { code: 'already_exists', status: 409 };

test('a name is taken by an image, an upload, an open operation, and a request that is being answered', () => {
  const { names, images, uploads, locks } = stage();
  const take = (name: string) => names.reserve('default', name, '', null);
  images.push({ project: 'default', name: 'image' });
  uploads.push({ project: 'default', name: 'upload' });
  locks.add(nameLock('default', 'importing'));
  for (const name of ['image', 'upload', 'importing']) assert.throws(() => take(name), isTaken, name);
  const first = take('free');
  assert.throws(() => take('free'), isTaken);
  first.release();
  take('free').release();
});

test('without a wanted name the next free one is made of the file name', () => {
  const { names, locks } = stage();
  const take = () => names.reserve('default', undefined, 'Disk.img', null).name;
  assert.deepEqual([take(), take()], ['disk', 'disk-2']);
  locks.add(nameLock('default', 'disk-3'));
  assert.equal(take(), 'disk-4');
});

test('a request that comes twice shares its name with itself only', () => {
  const { names } = stage();
  const first = names.reserve('default', 'name', '', 'root key-1');
  const again = names.reserve('default', 'name', '', 'root key-1');
  assert.throws(() => names.reserve('default', 'name', '', 'root key-2'), isTaken);
  first.release();
  assert.throws(() => names.reserve('default', 'name', '', null), isTaken);
  again.release();
  names.reserve('default', 'name', '', null).release();
});

test('a name is taken in one project and free in another, kept, held or coming', () => {
  const { names, images, locks } = stage();
  images.push({ project: 'default', name: 'image' });
  locks.add(nameLock('default', 'importing'));
  const held = names.reserve('default', 'held', '', null);
  for (const name of ['image', 'importing', 'held']) {
    assert.throws(() => names.reserve('default', name, '', null), isTaken, name);
    names.reserve('other', name, '', null).release();
  }
  held.release();
  assert.equal(names.reserve('other', undefined, 'image.iso', null).name, 'image');
});
