import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command } from './command.ts';
import { loadAll } from './commands.ts';
import { Failure } from './failure.ts';
import { parseCommandLine, takeGlobals, unknownCommand } from './parse.ts';
import { flag, many, one, sizeOption, textList } from './values.ts';

const make = command({
  path: ['vm', 'make'],
  summary: 'Make',
  positionals: { name: one('NAME', 'name') },
  options: { memory: sizeOption('memory'), disk: textList('SIZE', 'disk'), headless: flag('no screen') },
  run: async () => 0,
});

const refusal = (words: readonly string[]) => {
  try {
    parseCommandLine(make, words);
  } catch (error) {
    assert.ok(error instanceof Failure);
    assert.equal(error.exit, 2);
    return error.message;
  }
  return assert.fail('was not refused');
};

test('options may stand before and after arguments, repeated ones keep their order', () => {
  const line = parseCommandLine(make, ['--disk', '1GiB', 'web1', '--disk=2GiB', '--headless']);
  assert.deepEqual(line.positionals, ['web1']);
  assert.deepEqual(line.options.get('disk'), ['1GiB', '2GiB']);
  assert.ok(line.options.has('headless'));
});

test('a wrong option is refused with the nearest one', () => {
  assert.equal(refusal(['web1', '--memroy', '1GiB']), 'there is no option --memroy; did you mean "--memory"?');
  assert.match(refusal(['web1', '-m', '1GiB']), /there is no option -m/);
});

test('missing, doubled and superfluous words are refused', () => {
  assert.equal(refusal([]), 'NAME is missing');
  assert.equal(refusal(['a', 'b']), '"b" is one argument too many');
  assert.match(refusal(['a', '--memory']), /--memory needs a value: SIZE/);
  assert.match(refusal(['a', '--memory', '--headless']), /--memory needs a value/);
  assert.match(refusal(['a', '--headless=yes']), /takes no value/);
  assert.match(refusal(['a', '--memory', '1G', '--memory', '2G']), /given twice/);
  assert.match(refusal(['a', '--__proto__', 'x']), /there is no option/);
});

test('what follows -- is an argument, even when it looks like an option', () => {
  assert.deepEqual(parseCommandLine(make, ['--', '--json']).positionals, ['--json']);
  assert.deepEqual(takeGlobals(['vm', 'show', '--', '--json']), {
    isJson: false,
    wantsHelp: false,
    host: null,
    rest: ['vm', 'show', '--', '--json'],
  });
});

test('--host names a machine before the noun, and is an option of the command behind it', () => {
  for (const [words, host, rest] of [
    [['--host', 'a', 'vm', 'list'], 'a', ['vm', 'list']],
    [['--json', '--host=a:8080', 'vm', 'list'], 'a:8080', ['vm', 'list']],
    [['vm', 'migrate', 'web1', '--host', 'b'], null, ['vm', 'migrate', 'web1', '--host', 'b']],
    [['--host', 'a', 'vm', 'migrate', '--host', 'b'], 'a', ['vm', 'migrate', '--host', 'b']],
    [['--host'], '', []],
  ] as const) {
    const globals = takeGlobals(words);
    assert.equal(globals.host, host, words.join(' '));
    assert.deepEqual(globals.rest, rest, words.join(' '));
  }
});

test('a name given twice counts once', () => {
  assert.deepEqual(many('NAME', 'names').read(['a', 'b', 'a']), ['a', 'b']);
});

test('an unknown verb names the nearest one', () => {
  assert.match(unknownCommand([make], ['vm', 'mke']).message, /hv vm has no "mke"; did you mean "make"\?/);
});

test('every command is complete: summary, example, known words only', async () => {
  for (const each of await loadAll()) {
    const name = each.path.join(' ');
    assert.ok(each.summary.length > 5, name);
    assert.doesNotMatch(each.summary, /\.$/, name);
    if (each.isHidden) continue;
    assert.ok(each.examples.length > 0, `${name} has no example`);
    for (const example of each.examples) {
      if (example.includes('|') || example.includes('>')) continue;
      const words = example.match(/"[^"]*"|\S+/g) ?? [];
      assert.deepEqual(words.slice(0, each.path.length), each.path, name);
      parseCommandLine(each, words.slice(each.path.length));
    }
  }
});
