import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createSecretSeal } from './sealed-secrets.ts';

const folder = mkdtempSync(join(tmpdir(), 'hv-seal-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('secrets come back under their key and channel only, unchanged', () => {
  const path = join(folder, 'own', 'secrets.key');
  const sealed = createSecretSeal(path).seal('chn-1', { url: 'https://example.org/secret' });
  assert.doesNotMatch(Buffer.from(sealed.split('.').at(-1) ?? '', 'base64url').toString('latin1'), /secret/);
  assert.deepEqual(createSecretSeal(path).open('chn-1', sealed), { url: 'https://example.org/secret' });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.throws(() => createSecretSeal(path).open('chn-2', sealed));
  assert.throws(() => createSecretSeal(join(folder, 'other.key')).open('chn-1', sealed));
  const parts = sealed.split('.');
  const text = Buffer.from(parts[3] ?? '', 'base64url');
  text.writeUInt8(text.readUInt8(0) ^ 1, 0);
  const changed = [...parts.slice(0, 3), text.toString('base64url')].join('.');
  assert.throws(() => createSecretSeal(path).open('chn-1', changed));
  assert.notEqual(createSecretSeal(path).seal('chn-1', {}), createSecretSeal(path).seal('chn-1', {}));
});
