/** The list of hostile inputs, row by row: each has a test that carries its id in its name, or a reason why it cannot have one yet. */

import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { api } from '#contract/api.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Row → what is put in. */
const ROWS: Readonly<Record<string, string>> = {
  A1: 'a VM name that closes its element and brings a disk',
  A2: 'markup in titles and descriptions',
  A3: 'VM names of other alphabets, options, formats, blanks',
  A5: 'definitions with a DOCTYPE or entities, too long, too deep',
  A6: 'host files, emulators, command lines, host devices in a request',
  A7: 'numbers out of bounds or of other kinds',
  A8: 'one name, MAC or UUID twice at once',
  A10: 'a harmless VM, then an update that adds what is forbidden',
  A11: 'a domain with host paths from a peer host',
  B1: 'a qcow2 upon /etc/shadow',
  B2: 'a backing file given as json:',
  B3: 'a qcow2 with an external data file',
  B4: 'a VMDK with a flat extent',
  B5: 'a raw disk that begins like a qcow2',
  B6: 'a petabyte in a small file',
  B9: 'an ISO label that is a path',
  B12: 'a link swapped in between check and open',
  B13: 'uploads without length, with a wrong one, slow, broken off',
  B15: 'a wrong checksum, a file changed between check and use',
  C1: 'an address of this machine or its network to fetch from',
  C2: 'DNS answers that change, redirects to private addresses',
  C4: 'endless, slow, packed and oversized answers',
  C5: 'VM names that mention people in chats',
  C7: 'template expressions in texts',
  C8: 'cells that spreadsheets run',
  C10: 'expressions that take for ever',
  D1: 'SSH signatures changed, of another purpose or key',
  D2: 'challenges used again, elsewhere, late, by many',
  D3: 'weak and foreign kinds of keys',
  D6: 'one-time links twice, by many, late, by a preview',
  D7: 'sign-ins with fields left out or added',
  D8: 'forged tokens of identity providers',
  D10: 'passkey answers of other sites, users and times',
  D11: 'a session planted before the sign-in, two cookies',
  D12: 'sessions over their limits or without rights, with an open stream',
  D13: 'copies of database, files, output and memory searched for secrets',
  D15: 'API tokens outside their scope, expired, in an address',
  D17: 'the time that a wrong secret takes',
  E1: 'every route with every other project’s id',
  E2: 'an operator who changes, types, points',
  E3: 'many creates at once against a quota',
  E5: 'another project’s image or volume by any name',
  E7: 'names of the form that projects have in libvirt',
  E9: 'a project’s administrator who makes himself more',
  E11: 'polkit rules with a mistake in them',
  E12: 'a user who takes another identity at libvirt',
  F1: 'scripts in every stored text',
  F2: 'a console page with host and port in its address',
  F4: 'WebSocket upgrades of other sites, without or with used tickets',
  F5: 'a look for open ports',
  F7: 'forms and pictures of other sites',
  F8: 'doubled headers, other host names',
  F9: 'malformed and smuggled requests',
  F10: 'slow clients by the hundred',
  F11: 'bodies without measure',
  F12: 'JSON that is deep, wide or reaches for prototypes',
  F13: 'queries beyond bounds or like SQL',
  F16: 'frames, sniffing, plain HTTP',
  F17: 'texts that a shell would run',
  G1: 'cloud-init values that would become YAML of their own',
  G3: 'a guest that floods its serial port or resets for ever',
  G4: 'a guest with a foreign MAC or address',
  G7: 'the boot proof of a hostile backup',
  G8: 'a plugin that reads, opens, forks, eats and kills',
  G9: 'a plugin package with scripts, paths, without signature',
  G11: 'a plugin endpoint without a permission',
  H2: 'an audit log edited, cut, re-ordered, made anew',
  H3: 'an audit log on a full, read-only or slow disk',
  H5: 'an update unsigned, older, of another channel, broken off',
  H6: 'a stranger who opens the first page first',
  H7: 'a configuration file that others could have written',
  H9: 'a million audit records',
};

interface Reason {
  readonly why: string;
  /** No route asks for a permission that begins with it: the reason ends with the first one. */
  readonly without: string;
}

const NOT_YET = {
  plugins: { why: 'there are no plugins yet', without: 'plugin.' },
  updates: { why: 'it does not update itself yet', without: 'host.update' },
} as const;

/** Rows that have no test, and why. A row that gets one must leave this list. */
const WITHOUT: Readonly<Record<string, Reason>> = {
  G8: NOT_YET.plugins,
  G9: NOT_YET.plugins,
  G11: NOT_YET.plugins,
  H5: NOT_YET.updates,
};

/** `test('A1, A3: …'` or `test('A1 A3 …'`: what a test says it is about. */
const NAMED = /\btest\(\s*[`'"]((?:[A-H]\d{1,2}(?:,? |: ))+)/g;

test('every row of hostile inputs has a test of its name or a reason why not', async () => {
  const found = new Map<string, number>();
  let tests = 0;
  for await (const file of glob('{src,test}/**/*.test.ts', { cwd: ROOT })) {
    for (const [, ids = ''] of (await readFile(join(ROOT, file), 'utf8')).matchAll(NAMED)) {
      tests += 1;
      for (const id of ids.match(/\w+/g) ?? []) {
        assert.ok(id in ROWS, `${file} names the row ${id}, which is not in this list`);
        found.set(id, (found.get(id) ?? 0) + 1);
      }
    }
  }
  for (const id of Object.keys(ROWS)) {
    if (id in WITHOUT) assert.ok(!found.has(id), `${id} has a test now: take it out of the list of those without`);
    else assert.ok(found.has(id), `${id} (${ROWS[id]}) has no test whose name begins with "${id}:"`);
  }
  for (const [id, { why, without }] of Object.entries(WITHOUT)) {
    assert.ok(id in ROWS, id);
    for (const [route, endpoint] of Object.entries(api))
      assert.ok(
        !('permission' in endpoint && endpoint.permission.startsWith(without)),
        `${id} was left out because ${why}: ${route} says otherwise`,
      );
  }
  const later = Object.keys(WITHOUT).join(', ');
  console.log(
    `# count: hostile rows: ${found.size} of ${Object.keys(ROWS).length} covered by ${tests} tests of their names; without, with a reason: ${later}`,
  );
});
