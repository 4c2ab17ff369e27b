import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { withoutSettings, withSettings } from './settings-file.ts';

const settings = { auth_unix_rw: '"polkit"', access_drivers: '[ "polkit" ]' };

test('the settings count once, and lines that said otherwise are off', () => {
  const text = withSettings(
    'listen_tls = 0\nauth_unix_rw = "none"\n  access_drivers=[]\n#auth_unix_rw = "x"\n',
    settings,
  );
  const active = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  assert.deepEqual(active, ['listen_tls = 0', 'auth_unix_rw = "polkit"', 'access_drivers = [ "polkit" ]']);
});

test('doing it again changes nothing, and taking it out gives the file back', () => {
  const line = fc.oneof(
    fc.constantFrom(
      'auth_unix_rw = "none"',
      '  auth_unix_rw="sasl"',
      'access_drivers = [ ]',
      '# a remark',
      '',
      'log_level = 3',
    ),
    fc.string({ maxLength: 20 }).filter((text) => !text.includes('\n')),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const text = lines.map((each) => `${each}\n`).join('');
      const once = withSettings(text, settings);
      assert.equal(withSettings(once, settings), once);
      assert.equal(withoutSettings(once), text);
    }),
  );
});

test('what was edited beside the settings stays when they are taken out', () => {
  const edited = `${withSettings('a = 1\n', settings).replace('a = 1', 'a = 2')}b = 3\n`;
  assert.equal(withoutSettings(edited), 'a = 2\nb = 3\n');
});

test('a block whose end is lost is taken out to the end of the file', () => {
  const cut = withSettings('a = 1\n', settings).replace(/# hyper-nixos end\n$/, '');
  assert.equal(withoutSettings(cut), 'a = 1\n');
});
