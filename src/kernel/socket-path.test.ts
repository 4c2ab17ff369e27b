import assert from 'node:assert/strict';
import { test } from 'node:test';
import { socketFolderProblem } from './socket-path.ts';

test('a folder is refused as soon as its longest socket path would not fit, counted in bytes', () => {
  assert.equal(socketFolderProblem(`/${'x'.repeat(92)}`), null);
  assert.match(socketFolderProblem(`/${'x'.repeat(93)}`)?.problem ?? '', /94 bytes long and sockets take 93 at most/);
  assert.match(socketFolderProblem(`/${'ü'.repeat(47)}`)?.problem ?? '', /95 bytes long/);
});
