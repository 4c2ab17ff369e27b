import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldersTo, inFolder, modeText, namesOf, pathOfNames } from './file-path.ts';

test('a path is its names, and every folder above it leads to itself', () => {
  assert.deepEqual(foldersTo('/etc/nginx'), [
    { name: 'etc', path: '/etc' },
    { name: 'nginx', path: '/etc/nginx' },
  ]);
  assert.deepEqual(foldersTo('/'), []);
  assert.equal(pathOfNames([]), '/');
  assert.equal(inFolder('/', 'a b'), '/a b');
  assert.equal(inFolder('/etc/', '#x?y'), '/etc/#x?y');
  assert.deepEqual(namesOf('//a///b/'), ['a', 'b']);
});

test('permission bits read as in a listing', () => {
  assert.equal(modeText({ kind: 'folder', mode: 0o755 }), 'drwxr-xr-x');
  assert.equal(modeText({ kind: 'file', mode: 0o640 }), '-rw-r-----');
  assert.equal(modeText({ kind: 'file', mode: 0o4755 }), '-rwsr-xr-x');
  assert.equal(modeText({ kind: 'file', mode: 0o2644 }), '-rw-r-Sr--');
  assert.equal(modeText({ kind: 'folder', mode: 0o1777 }), 'drwxrwxrwt');
});
