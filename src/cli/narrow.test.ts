/** What people read on a terminal of 40 columns. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApiClient } from '#contract/client.ts';
import { NOUNS } from './commands.ts';
import { exampleVm } from './fake-daemon.ts';
import { commandHelp, groupHelp, rootHelp } from './help.ts';
import { processOutput } from './output.ts';
import { matchCommand, parseCommandLine } from './parse.ts';
import { textWidth } from './text.ts';

const WIDTH = 40;
const plain = (_colour: unknown, text: string) => text;

/** Lines that do not fit, but for those that are one word. */
const tooWide = (lines: readonly string[]) =>
  lines.flatMap((text) => text.split('\n')).filter((line) => textWidth(line) > WIDTH && /\S\s+\S/.test(line));

/** The words of a text, wherever its lines end; a backslash ends a line of an example. */
const wordsOf = (text: string) => text.replace(/ \\\n/g, ' ').split(/\s+/);

test('help at every level fits, and no word of a command is broken', async () => {
  const texts = [(width: number) => rootHelp(width, plain)];
  for (const { name, load } of NOUNS) {
    const { commands } = await load();
    texts.push((width) => groupHelp(commands, [name], width, plain));
    for (const each of commands) texts.push((width) => commandHelp(each, width, plain));
  }
  for (const text of texts) {
    assert.deepEqual(tooWide([text(WIDTH)]), []);
    assert.deepEqual(wordsOf(text(WIDTH)), wordsOf(text(200)));
  }
});

test('an example that takes several lines can be pasted as it stands', async () => {
  const { commands } = (await NOUNS.find(({ name }) => name === 'vm')?.load()) ?? { commands: [] };
  const create = matchCommand(commands, ['vm', 'create']);
  assert.ok(create);
  assert.match(commandHelp(create, WIDTH, plain), /^ {2}hv vm create .* \\\n {4}--/m);
});

const fingerprint = Array.from({ length: 32 }, () => 'AB').join(':');
const answers: Readonly<Record<string, unknown>> = {
  'GET /system/status': {
    version: '0.1.0',
    pid: 12345,
    host: 'machine',
    startedAt: '2026-01-01T00:00:00Z',
    accel: 'tcg',
    libvirt: { state: 'connected', since: '2026-01-01T00:00:00Z', uri: 'qemu:///system' },
    vms: { running: 1, total: 2 },
    operations: { open: 0, attention: 0 },
    address: 'https://127.0.0.1:8080',
    certificateFingerprint: fingerprint,
  },
  'GET /projects': { items: [], next: null, total: 0 },
  'GET /vms/{id}': {
    ...exampleVm,
    nics: exampleVm.nics.map((nic) => ({
      ...nic,
      addresses: [...nic.addresses, { address: 'fe80::5054:ff:fe12:3456', prefix: 64, from: 'agent' }],
    })),
  },
};

for (const words of [['status'], ['vm', 'show', 'web-1']])
  test(`\`hv ${words.join(' ')}\` fits`, async () => {
    const lines: string[] = [];
    const output = { ...processOutput(false, {}), width: WIDTH, line: (text: string) => void lines.push(text) };
    const api = (async (key: string) => answers[key]) as ApiClient;
    const transport = {
      send: () => Promise.reject(new Error('unused')),
      webSocket: () => Promise.reject(new Error('unused')),
      host: null,
      isHere: async () => false,
      open: () => Promise.reject(new Error('unused')),
    };
    const { commands } = (await NOUNS.find(({ name }) => name === words[0])?.load()) ?? { commands: [] };
    const found = matchCommand(commands, words);
    assert.ok(found);
    const line = parseCommandLine(found, words.slice(found.path.length));
    await found.run({ api, transport, output, isDetached: false, env: {} }, line);
    assert.deepEqual(
      lines.flatMap((text) => text.split('\n')).filter((each) => textWidth(each) > WIDTH),
      [],
    );
    assert.ok(lines.length > 5);
  });
